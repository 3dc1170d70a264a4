#!/usr/bin/env python3
"""run-hostile.py - guests that mean harm (hostile.asm): whatever they do, the user stays in control.

usage: run-hostile.py [SCENE...]

For each scene, while the guest is at it: the control socket answers within a second, the process's memory stays bounded, and Ctrl-A X ends
it with status 0. The machine has a disk and a floppy. A scene may fault, reset or stop for good; it may not leave by itself.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', os.path.join(TOP, 'ringfence')))
OUT = os.environ.get('TEST_TMP', '/tmp')
SLOW = os.environ.get('M', 'rel') not in ('rel', 'dbg')     # sanitizers
ASKED = 6                   # times
ANSWER = 1.0                # seconds: the best but one of all answers, as the host may be busy with other things
WORST = 20.0
MEMORY_MIB = 400            # guest memory, video memory, translation cache, and what libraries take
LEAVE = 10.0
AT_ONCE = 3
ASK = ['query-status', 'regs', 'screen-text', 'irq', 'query-cpus', 'stats']


class Failure(Exception):
    pass


def scenes():
    with open(os.path.join(HERE, 'hostile.asm')) as f:
        return re.findall(r'^%ifidn SCENE, (\w+)', f.read(), re.M)


def memory_mib(pid):
    with open('/proc/%d/status' % pid) as f:
        return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1)) / 1024


class Client:
    def __init__(self, path, process, limit=30.0):
        deadline = time.monotonic() + limit
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(WORST)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if process.poll() is not None:
                    raise Failure('it ended with status %d' % process.returncode)
                if time.monotonic() > deadline:
                    raise Failure('there is no control socket')
                time.sleep(0.05)
        self.lines = self.socket.makefile('r')
        self.lines.readline()

    def ask(self, verb):
        """Seconds until the answer."""
        start = time.monotonic()
        try:
            self.socket.sendall((json.dumps({'execute': verb, 'id': 1}) + '\n').encode())
            while True:
                line = self.lines.readline()
                if not line:
                    raise Failure('the control socket was closed at %s' % verb)
                if 'id' in json.loads(line):
                    return time.monotonic() - start
        except OSError:
            raise Failure('no answer to %s in %d s' % (verb, WORST))

    def close(self):
        self.lines.close()
        self.socket.close()


def begin(scene, folder, sockets):
    binary = os.path.join(folder, 'guest.bin')
    subprocess.run(['nasm', '-I', os.path.join(TOP, 'tests/asm') + '/', '-f', 'bin', '-DSCENE=' + scene, '-o', binary,
                    os.path.join(HERE, 'hostile.asm')], check=True)
    disk, floppy = os.path.join(folder, 'disk'), os.path.join(folder, 'floppy')
    for path, size in (disk, 4 << 20), (floppy, 1440 << 10):
        with open(path, 'wb') as f:
            f.write(b'\x90' * size)
    command = [RINGFENCE, 'run', '--kernel', binary, '-m', '16M', '--display', 'none', '--serial', 'stdio', '--name', scene,
               '--debugcon', 'file:' + os.path.join(folder, 'console'), '--disk', disk + ',format=raw', '--floppy', floppy]
    with open(os.path.join(folder, 'output'), 'wb') as log:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                                env=dict(os.environ, XDG_RUNTIME_DIR=sockets))


def leave(process):
    process.stdin.write(b'\x01x')
    process.stdin.flush()
    try:
        status = process.wait(LEAVE)
    except subprocess.TimeoutExpired:
        raise Failure('Ctrl-A X does not end it in %d s' % LEAVE)
    if status:
        raise Failure('status %d at the end' % status)


def watch(scene, folder, sockets, process):
    console = os.path.join(folder, 'console')
    client = Client(os.path.join(sockets, 'ringfence', scene + '.sock'), process)
    deadline = time.monotonic() + 20
    while not (os.path.exists(console) and b'!' in open(console, 'rb').read()):
        if time.monotonic() > deadline:
            raise Failure('the guest did not begin')
        client.ask('query-status')
        time.sleep(0.05)
    answers, most = [], 0
    for i in range(ASKED):
        time.sleep(0.15)
        answers.append(client.ask(ASK[i % len(ASK)]))
        most = max(most, memory_mib(process.pid))
    client.close()
    if sorted(answers)[-2] > ANSWER and not SLOW:
        raise Failure('answers took %s s' % ' '.join('%.2f' % a for a in answers))
    if most > MEMORY_MIB and not SLOW:
        raise Failure('it takes %d MiB' % most)
    return 'worst answer %.2f s, %d MiB' % (max(answers), most)


def run(scene):
    """Returns (scene, None or what went wrong, notes)."""
    folder = os.path.join(OUT, scene)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    sockets = tempfile.mkdtemp(prefix='rf.')        # a socket's path must be short
    process = begin(scene, folder, sockets)
    try:
        notes = watch(scene, folder, sockets, process)
        leave(process)
        return scene, None, notes
    except Failure as e:
        with open(os.path.join(folder, 'output'), errors='replace') as f:
            tail = ' / '.join(f.read().strip().splitlines()[-3:])[-300:]
        return scene, str(e), tail
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdin.close()
        shutil.rmtree(sockets, ignore_errors=True)


def main():
    if not shutil.which('nasm'):
        print('nasm is missing')
        return 77
    failed = False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for scene, wrong, notes in pool.map(run, sys.argv[1:] or scenes()):
            print('     %s: %s' % (scene, notes))
            print('not ok %s - %s' % (scene, wrong) if wrong else 'ok ' + scene)
            sys.stdout.flush()
            failed |= wrong is not None
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
