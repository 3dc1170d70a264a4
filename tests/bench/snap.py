#!/usr/bin/env python3
"""snap.py - how long the guest stands still for a snapshot, how long restoring takes, how big the files are; Ringfence and QEMU TCG side by
side with the same Linux guest (make bench-snap).

usage: snap.py [--rounds N] [--memory MIB] [--dirty MIB] [--engines ringfence,tcg]

The guest fills DIRTY MiB of a tmpfs with what compresses like programs do (busybox, over and over, with numbers in between). QEMU gets a
qcow2 disk, in which savevm keeps its snapshots.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests/boot'))
from machine import Failure, Machine     # noqa: E402

RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
# Pages that differ from each other: busybox's, with a line of random bytes in front of each 64 KiB.
FILL = ('i=0; while [ $i -lt %d ]; do i=$((i+1)); (head -c 64 /dev/urandom; head -c 131008 /bin/busybox; head -c 64 /dev/urandom; '
        'tail -c 130000 /bin/busybox; head -c 1072 /dev/urandom) >>/tmp/%s; done')


class Ringfence:
    name = 'ringfence'

    def __init__(self, folder, guests, memory):
        self.folder, self.count = folder, 0
        self.run = [RINGFENCE, 'run', '--kernel', guests['linux-686'], '--initrd', guests['initrd'], '--append', 'console=ttyS0 quiet',
                    '-m', str(memory), '--serial', 'stdio', '--display', 'none', '--no-reboot', '--name', 'bench']

    def start(self):
        return Machine(self.run, 300)

    def ctl(self, *words):
        done = subprocess.run([RINGFENCE, 'ctl', 'bench', *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        return dict(line.split(': ', 1) for line in done.stdout.strip().splitlines() if ': ' in line)

    def path(self, name):
        return os.path.join(self.folder, name)

    def save(self, name):
        """(seconds that the guest stands still, seconds until durable)"""
        stop = int(self.ctl('snapshot-save', self.path(name))['stop-us']) / 1e6
        while True:
            state = self.ctl('query-snapshot')
            if state['writing'] == 'false':
                return stop, int(state['write-us']) / 1e6
            time.sleep(0.02)

    def load(self, name):
        return int(self.ctl('snapshot-load', self.path(name))['restore-us']) / 1e6

    def cold(self, name):
        """Seconds from the program's start to the guest's answer, in a new process."""
        start = time.monotonic()
        with Machine([RINGFENCE, 'run', '--restore', self.path(name), '--display', 'none', '--name', 'cold'], 60) as m:
            m.type('echo an""swer\n')
            m.expect('answer')
            return time.monotonic() - start

    def size(self, name):
        return os.path.getsize(self.path(name))


class Qemu:
    name = 'tcg'

    def __init__(self, folder, guests, memory):
        self.disk, self.monitor = os.path.join(folder, 'disk.qcow2'), os.path.join(folder, 'qmp')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', self.disk, '64M'], check=True)
        self.run = ['qemu-system-i386', '-accel', 'tcg', '-kernel', guests['linux-686'], '-initrd', guests['initrd'], '-append',
                    'console=ttyS0 quiet', '-m', str(memory), '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-no-reboot',
                    '-drive', 'file=%s,if=ide,format=qcow2' % self.disk, '-qmp', 'unix:%s,server=on,wait=off' % self.monitor]

    def start(self):
        m = Machine(self.run, 600)
        self.socket = self.connect()
        return m

    def connect(self):
        for _ in range(100):
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(self.monitor)
                break
            except OSError:
                time.sleep(0.1)
        stream = s.makefile('rw')
        stream.readline()
        self.ask(stream, 'qmp_capabilities')
        return stream

    @staticmethod
    def ask(stream, what, **arguments):
        stream.write(json.dumps({'execute': what, 'arguments': arguments}) + '\n')
        stream.flush()
        while True:
            answer = json.loads(stream.readline())
            if 'return' in answer or 'error' in answer:
                if 'error' in answer or (isinstance(answer['return'], str) and answer['return'].strip()):
                    raise Failure('QEMU: %s' % answer)
                return answer

    def timed(self, line):
        start = time.monotonic()
        self.ask(self.socket, 'human-monitor-command', **{'command-line': line})
        return time.monotonic() - start

    def save(self, name):
        before = os.stat(self.disk).st_blocks
        took = self.timed('savevm ' + name)
        self.grown = (os.stat(self.disk).st_blocks - before) * 512
        return took, took

    def load(self, name):
        return self.timed('loadvm ' + name)

    def cold(self, name):
        start = time.monotonic()
        with Machine([*self.run[:-2], '-loadvm', name], 120) as m:
            m.type('echo an""swer\n')
            m.expect('answer')
            return time.monotonic() - start

    def size(self, name):
        return self.grown


def measure(engine, options):
    """Medians by what was measured."""
    times = {}

    def note(what, value):
        times.setdefault(what, []).append(value)

    with engine.start() as m:
        m.expect('GUEST-READY')
        m.expect('# ')
        engine.save('first')
        note('first file', engine.size('first'))
        for n in range(options.rounds):
            name = 'round%d' % n
            m.command('rm -f /tmp/*; ' + FILL % (options.dirty * 4, name))
            stop, durable = engine.save(name)
            note('stop', stop)
            note('durable', durable)
            note('file', engine.size(name))
            idle, _ = engine.save('idle%d' % n)
            note('stop, idle', idle)
            note('file, idle', engine.size('idle%d' % n))
            note('restore, %d MiB differ' % options.dirty, engine.load('first'))
            m.command('true')
            engine.load(name)
            m.command('rm -f /tmp/*; ' + FILL % (options.dirty * 4, 'other'))
            note('restore, undo', engine.load(name))
        engine.load('round0')
    note('restore, cold', engine.cold('round0'))
    return {what: statistics.median(values) for what, values in times.items()}


def shown(what, value):
    return '%.1f MiB' % (value / 2**20) if 'file' in what else '%.1f ms' % (value * 1e3)


def guests_in(folder):
    done = subprocess.run([os.path.join(TOP, 'tests/guests/fetch.sh'), 'linux-686', 'busybox'], capture_output=True, text=True)
    if done.returncode:
        sys.exit('bench-snap: ' + done.stderr.strip())
    guests = dict(line.split(' ', 1) for line in done.stdout.splitlines())
    guests['initrd'] = os.path.join(folder, 'initrd.gz')
    scripts = os.path.join(TOP, 'tests/guests')
    subprocess.run([scripts + '/mkinitramfs.sh', guests['initrd'], guests['busybox'], scripts + '/init-test.sh'], check=True)
    return guests


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--memory', type=int, default=512)
    parser.add_argument('--dirty', type=int, default=100)
    parser.add_argument('--engines', default='ringfence,tcg')
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get('TEST_TMP')) as folder:
        os.environ['XDG_RUNTIME_DIR'] = folder
        guests = guests_in(folder)
        for engine in (Ringfence, Qemu):
            if engine.name in options.engines.split(','):
                results[engine.name] = measure(engine(folder, guests, options.memory), options)
    print('%-28s' % ('%d MiB, %d MiB dirty' % (options.memory, options.dirty)) + ''.join('%16s' % name for name in results))
    for what in next(iter(results.values())):
        row = [r[what] for r in results.values()]
        ratio = '%9.1fx' % (row[1] / row[0]) if len(row) == 2 and row[0] else ''
        print('%-28s' % what + ''.join('%16s' % shown(what, v) for v in row) + ratio)


if __name__ == '__main__':
    main()
