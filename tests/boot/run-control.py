#!/usr/bin/env python3
"""run-control.py - the control socket as programs and people use it: 'ringfence ctl', 'ringfence list', malformed messages, pausing.

usage: run-control.py [CASE...]

Uses the small guest of tests/guest (make guests); needs nothing from outside. Prints a line for each case.
"""
import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time

from machine import Failure, Machine, run_cases

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
HELLO = os.path.join(os.environ.get('BUILDDIR', TOP), 'build/guest/hello.elf')
CASES = []


def case(function):
    CASES.append(function)
    return function


def run(*words):
    return subprocess.run([RINGFENCE, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def ringfence(*words, status=0):
    done = run(*words)
    if done.returncode != status:
        raise Failure('%s: status %d, not %d: %s' % (' '.join(words), done.returncode, status, (done.stdout + done.stderr).strip()[-200:]))
    return done.stdout if status == 0 else done.stderr


def ctl(*words, status=0):
    return ringfence('ctl', *words, status=status)


def expect(text, *parts):
    for part in parts:
        if part not in text:
            raise Failure("'%s' is not in: %s" % (part, text.strip()[-300:]))


def start(*more, name='one', ticks=100000):
    named = ['--name', name] if name else []
    m = Machine([RINGFENCE, 'run', '--kernel', HELLO, '-m', '64M', '--append', 'ticks=%d' % ticks, *named, *more], 60)
    m.expect('back from ring 3')
    return m


def socket_path(folder, name):
    return os.path.join(folder, 'ringfence', name + '.sock')


class Client:
    """Speaks to the socket itself."""

    def __init__(self, folder, name='one'):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(socket_path(folder, name))
        self.file = self.sock.makefile('rb')
        self.greeting = self.line()

    def line(self):
        data = self.file.readline()
        return json.loads(data) if data else None

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b'\n')

    def ask(self, command, events=None, **arguments):
        self.send({'execute': command, 'arguments': arguments} if arguments else {'execute': command})
        while True:
            answer = self.line()
            if answer is None:
                raise Failure('closed instead of an answer to ' + command)
            if 'event' not in answer:
                return answer
            if events is not None:
                events.append(answer['event'])

    def event(self, name):
        answer = self.line()
        if answer is None or answer.get('event') != name:
            raise Failure('%s instead of the event %s' % (answer, name))
        return answer

    def close(self):
        self.file.close()
        self.sock.close()


@case
def verbs(folder):
    """Each verb, as a person calls it."""
    with start() as m:
        expect(ctl('one', 'query-status'), 'status: running', 'name: one', 'pid: %d' % m.process.pid, 'memory: 67108864')
        expect(ctl('one', 'query-name'), 'name: one')
        expect(ctl('one', 'query-version'), 'package: ringfence', 'version: ')
        expect(ctl('one', 'query-commands'), 'screendump', 'query-status')
        expect(ctl('one', 'query-cpus'), 'mode: protected, 32-bit', 'pc: 0x1')
        expect(ctl('one', 'stats'), 'blocks: ')
        expect(ctl('one', 'qmp_capabilities'))
        expect(ctl('one', 'query-block'))
        expect(ctl('one', 'query-blockstats'))
        expect(ctl('one', 'send-key', 'ctrl-alt-delete', 'a'))
        expect(ctl('one', 'type', 'hello', 'world'))
        expect(ctl('one', 'mouse', '1', '-2'))
        expect(ctl('one', 'mouse', '1', '-2', '8', status=1), 'buttons is 0 to 7')
        expect(ctl('one', 'send-key', 'ctrl-foo', status=1), "no key 'foo'")
        expect(ctl('one', 'send-key', '-', status=1), 'no key named')
        expect(ctl('one', 'type', 'caf\u00e9', status=1), 'character 4')
        expect(ctl('one', 'screendump', folder + '/missing/x.png', status=1), 'missing/x.png')
        if json.loads(ctl('--json', 'one', 'query-status'))['running'] is not True:
            raise Failure('--json: not running')
        ctl(socket_path(folder, 'one'), 'quit')
        if m.status(20):
            raise Failure('quit: status %s' % m.process.returncode)


@case
def looking_inside(folder):
    with start() as m:
        ctl('one', 'stop')
        expect(ctl('one', 'regs'), 'eax ', 'eflags ', 'cs   0008 base 00000000 limit ffffffff', 'cr3 ')
        expect(ctl('one', 'walk', '100000'), ' P W', '00100000 is physical 00100000, RAM')
        expect(ctl('one', 'walk', '0x40000000'), '40000000 is physical ')
        expect(ctl('one', 'walk', 'f0000000'), 'is not mapped')
        expect(ctl('one', 'mem', '100000', '32'), '00100000 ', '00100010 ')
        expect(ctl('one', 'mem', 'f0000000'), 'no memory')
        expect(ctl('one', 'mem', 'esp', '4'), '  ')
        expect(ctl('one', 'mem', 'f000:fff0', '16'), '000ffff0 ')
        expect(ctl('one', 'mem', 'xyz', status=1), "'xyz' is no address")
        if len(ctl('one', 'disas', 'eip', '5').splitlines()) != 5:
            raise Failure('disas: not 5 lines')
        expect(ctl('one', 'disas'), '  00')
        expect(ctl('one', 'blocks'), ' blocks')
        expect(ctl('one', 'blocks', 'fffffff0', 'ffffffff'), '0 blocks')
        expect(ctl('one', 'dev'), 'pit ', 'uart0 ')
        expect(ctl('one', 'dev', 'pit'), 'pit.')
        expect(ctl('one', 'dev', 'nothing', status=1), "no device 'nothing'")
        expect(ctl('one', 'irq'), 'interrupt line', 'pic.')
        ctl('one', 'quit')
        m.status(20)


@case
def prompt(folder):
    """The prompt in a terminal: a verb, editing, completion, history, help; keys reach the guest again behind it."""
    near, far = os.openpty()
    setup = 'import os,sys,fcntl,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])'
    command = [sys.executable, '-c', setup, RINGFENCE, 'run', '--kernel', HELLO, '-m', '64M', '--append', 'ticks=100000', '--name', 'one']
    with Machine(command, 60, pty=(near, far)) as m:
        m.expect('back from ring 3')
        m.type('\x01c')
        m.expect('does not hear you')
        m.type('query-nam\x7fme\r')
        m.expect(r'name: one')
        m.type('query-nonsense\r')
        m.expect('no verb')
        m.type('sto\t\r')
        m.type('query-st\x01\x01\x1b[F\t\r')
        m.expect('status: paused')
        m.type('\x1b[A\x1b[A\x15cont\r\x1b[A\x1b[A\r')
        m.expect('status: running')
        m.type('mem xyz\r')
        m.expect('is no address')
        m.type('help walk\r')
        m.expect('walk ADDRESS')
        m.type('exit\r')
        m.type('\x01c')
        m.expect('does not hear you')
        m.type('quit\r')
        if m.status(20):
            raise Failure('status %s' % m.process.returncode)
    os.close(far)


@case
def media(folder):
    """A CD drive's medium is taken out and changed; a hard disk's is not."""
    for name, size in (('a.iso', 65536), ('b.iso', 131072), ('hd.img', 1 << 20)):
        with open(os.path.join(folder, name), 'wb') as f:
            f.truncate(size)
    iso = os.path.join(folder, 'a.iso')
    with start('--cdrom', iso, '--disk', os.path.join(folder, 'hd.img')) as m:
        expect(ctl('one', 'query-block'), 'device: ide1-cd0', 'size: 65536', 'device: ide0-hd0')
        ctl('one', 'eject', 'ide1-cd0')
        expect(ctl('one', 'query-block'), 'inserted: false')
        ctl('one', 'change', 'ide1-cd0', os.path.join(folder, 'b.iso'))
        expect(ctl('one', 'query-block'), 'size: 131072')
        expect(ctl('one', 'change', 'ide1-cd0', folder + '/missing', status=1), 'missing')
        expect(ctl('one', 'eject', 'ide0-hd0', status=1), 'hard disk')
        expect(ctl('one', 'eject', 'nothing', status=1), "no drive 'nothing'")
        expect(ctl('one', 'eject', 'ide1-cd0', 'softly', status=1), "'softly'")
        ctl('one', 'quit')
        m.status(20)


@case
def wrong_usage(folder):
    for says, words in (('needs a machine and a verb', []), ('needs a machine and a verb', ['one']),
                        ("did you mean 'query-status'", ['one', 'query-statis']),
                        ("'x' is too much", ['one', 'stop', 'x']), ('filename is missing', ['one', 'screendump']),
                        ('dx is no number', ['one', 'mouse', 'x', 'y'])):
        expect(ctl(*words, status=2), says)
    expect(ctl('one', 'stop', status=1), "no machine named 'one' runs")
    expect(ctl('../one', 'stop', status=1), 'No such file')
    expect(ctl('--help'), 'screendump FILENAME', 'mouse DX DY [BUTTONS]')
    expect(ctl('one', 'mouse', '--help'), 'mouse DX DY [BUTTONS]')
    if ringfence('list'):
        raise Failure('list shows something')


@case
def slow_files(folder):
    """A file that the host does not open for long keeps neither the guest nor other commands."""
    path = os.path.join(folder, 'pipe')
    os.mkfifo(path)
    with start():
        c = Client(folder)
        c.send({'execute': 'screendump', 'arguments': {'filename': path}})
        before = json.loads(ctl('--json', 'one', 'query-status'))['guest-time']
        time.sleep(0.2)
        status = json.loads(ctl('--json', 'one', 'query-status'))
        if not status['running'] or status['guest-time'] - before < 150000000:
            raise Failure('the guest stands while the host waits: %s' % status)
        with open(path, 'rb') as f:
            picture = f.read()
        answer = c.line()
        if not picture.startswith(b'\x89PNG') or 'return' not in answer:
            raise Failure('%d bytes of a picture, then %s' % (len(picture), answer))
        c.close()


@case
def pausing(folder):
    """Guest and guest time stand still, and go on where they stood."""
    with start() as m:
        c = Client(folder)
        ctl('one', 'stop')
        c.event('STOP')
        before = c.ask('query-status')['return']
        time.sleep(0.5)
        after = c.ask('query-status')['return']
        if before['running'] or before['guest-time'] != after['guest-time'] or before['status'] != 'paused':
            raise Failure('%s, then %s' % (before, after))
        expect(ringfence('list'), 'one ', ' paused ')
        ctl('one', 'stop')
        ctl('one', 'cont')
        c.event('RESUME')
        time.sleep(0.1)
        later = c.ask('query-status')['return']
        if not later['running'] or not 0 < later['guest-time'] - after['guest-time'] < 400000000:
            raise Failure('%s, later %s' % (after, later))
        ctl('one', 'system_powerdown')
        c.event('POWERDOWN')
        ctl('one', 'system_reset')
        c.event('RESET')
        m.expect('hello: up', 'the kernel again after system_reset')
        m.expect('back from ring 3')
        ctl('one', 'stop')
        c.event('STOP')
        ctl('one', 'quit')
        c.event('RESUME')
        c.event('SHUTDOWN')
        if c.line() is not None:
            raise Failure('not closed at the end')
        c.close()
        if m.status(20):
            raise Failure('quit while paused: status %s' % m.process.returncode)


@case
def guest_ends(folder):
    with start(ticks=20) as m:
        c = Client(folder)
        answer = c.event('SHUTDOWN')
        if not answer['data']['guest']:
            raise Failure('the guest ended, not the user: %s' % answer)
        c.close()
        m.status(20)
    if os.path.exists(os.path.join(folder, 'ringfence')):
        raise Failure('left behind: ' + ' '.join(os.listdir(os.path.join(folder, 'ringfence'))))


@case
def malformed(folder):
    """Whatever a client sends, it gets an error with a sentence, and the machine goes on."""
    with start() as m:
        c = Client(folder)
        if 'version' not in c.greeting['QMP']:
            raise Failure('greeting %s' % c.greeting)
        for line in (b'{', b'}', b'nonsense', b'[]', b'5', b'"stop"', b'{}', b'{"execute": 5}', b'{"execute": null}',
                     b'{"execute": "stop"',
                     b'\xff\xfe', b'{"execute": "stop", "arguments": []}', b'{"execute": "stop", "arguments": {"x": 1}}', b'[' * 5000,
                     b'{"execute": "screendump"}', b'{"execute": "screendump", "arguments": {"filename": 5}}',
                     b'{"execute": "a\\u0000b"}',
                     b'{"execute": "mouse", "arguments": {"dx": "a", "dy": 1}}',
                     b'{"execute": "mouse", "arguments": {"dx": 1.5, "dy": 1}}'):
            c.send(line + b'\n')
            answer = c.line()
            if answer is None or answer.get('error', {}).get('class') != 'GenericError' or not answer['error']['desc']:
                raise Failure('%r: %s' % (line[:60], answer))
        c.send(b'\n  \r\n{"execute": "nonsense", "id": {"n": [1, "x"]}}\n')
        answer = c.line()
        if answer['error']['class'] != 'CommandNotFound' or answer['id'] != {'n': [1, 'x']}:
            raise Failure('unknown command: %s' % answer)
        if c.ask('query-status')['return']['running'] is not True:
            raise Failure('the machine stands')
        c.send(b''.join(b'{"execute": "%s", "id": %d}\n' % (b'bad' if i == 3 else b'query-name', i) for i in range(1, 5)))
        ids = [c.line()['id'] for _ in range(4)]
        if ids != [1, 2, 3, 4]:
            raise Failure('answers in the order %s' % ids)
        c.close()
        ctl('one', 'quit')
        m.status(20)


@case
def impatient(folder):
    """A client that asks for megabytes before it reads gets every answer, in order."""
    with start() as m:
        c = Client(folder)
        count = 2000
        lines = b''.join(b'{"execute": "regs", "id": %d}\n' % i for i in range(count))
        sender = threading.Thread(target=c.send, args=(lines,))
        sender.start()
        time.sleep(1)
        for i in range(count):
            answer = c.line()
            if not answer or answer.get('id') != i:
                raise Failure('answer %d is %s' % (i, str(answer)[:100]))
        sender.join()
        c.close()
        ctl('one', 'quit')
        m.status(20)


@case
def huge_lines(folder):
    with start() as m:
        c = Client(folder)
        c.send(b'x' * 1000000 + b'\n')
        answer = c.line()
        if '64 KiB' not in answer['error']['desc']:
            raise Failure('%s' % answer)
        c.send({'execute': 'type', 'arguments': {'text': 'a' * 60000}})
        if 'return' not in c.line() or 'return' not in c.ask('query-name'):
            raise Failure('a line of 60000 bytes is refused')
        c.sock.shutdown(socket.SHUT_WR)
        if c.line() is not None:
            raise Failure('not closed after end of file')
        c.close()
        ctl('one', 'quit')
        m.status(20)


@case
def many_clients(folder):
    """Clients that stay, that leave in the middle of a command, and that do not read what they asked for."""
    with start() as m:
        clients = [Client(folder) for _ in range(20)]
        deaf = Client(folder)
        deaf.sock.setblocking(False)
        try:
            for _ in range(200000):
                deaf.sock.send(b'{"execute": "query-commands"}\n')
        except OSError:
            pass
        for c in clients[:10]:
            c.send({'execute': 'query-status'})
            c.close()
        for c in clients[10:]:
            if c.ask('query-name')['return']['name'] != 'one':
                raise Failure('another name')
        full = []
        for _ in range(100):
            s = socket.socket(socket.AF_UNIX)
            s.connect(socket_path(folder, 'one'))
            full.append(s)
        for s in full + [deaf.sock]:
            s.close()
        time.sleep(0.2)
        ctl('one', 'query-status')
        ctl('one', 'quit')
        m.status(20)


@case
def names(folder):
    """Two machines; a name that is taken; a socket left by a killed one; modes."""
    with start(name=None) as a, start(name=None) as b:
        lines = ringfence('list').splitlines()
        if [line.split()[0] for line in lines] != ['NAME', 'guest', 'guest-2']:
            raise Failure('list: %s' % lines)
        if not re.fullmatch(r'guest +running +%d +64M  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d' % a.process.pid, lines[1]):
            raise Failure('list: ' + lines[1])
        done = run('run', '--kernel', HELLO, '--name', 'guest')
        if done.returncode != 1 or "a machine named 'guest' is running already" not in done.stderr:
            raise Failure('name taken: %d %s' % (done.returncode, done.stderr))
        path = socket_path(folder, 'guest')
        if stat.S_IMODE(os.stat(path).st_mode) != 0o600 or stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) != 0o700:
            raise Failure('modes')
        ctl('guest-2', 'quit')
        b.status(20)
        expect(ctl('guest', 'query-name'), 'guest')
    if not os.path.exists(path):        # a was killed
        raise Failure('no stale socket')
    if 'guest' in ringfence('list'):
        raise Failure('a dead machine is listed')
    with start(name='guest') as m:
        ctl('guest', 'quit')
        m.status(20)
    os.mkdir(os.path.dirname(path), 0o755)
    os.chmod(os.path.dirname(path), 0o755)
    done = run('run', '--kernel', HELLO, '--name', 'x')
    if done.returncode != 1 or "not this user's alone" not in done.stderr:
        raise Failure("somebody else's folder: %d %s" % (done.returncode, done.stderr))
    done = run('run', '--kernel', HELLO)
    if done.returncode or 'no control socket' not in done.stderr or 'all is well' not in done.stdout:
        raise Failure('without a socket: %d %s' % (done.returncode, done.stderr))


@case
def manual_page(folder):
    """The manual page names every verb."""
    helped = re.findall(r'^  ([a-z_-]+)', ctl('--help'), re.MULTILINE)
    with open(os.path.join(TOP, 'docs/ringfence.1')) as f:
        page = f.read().replace('\\-', '-')
    missing = [verb for verb in helped if '\\fB%s\\fR' % verb not in page]
    if missing or len(helped) < 15:
        raise Failure('not in the manual page: ' + ' '.join(missing))


def main():
    if not os.access(RINGFENCE, os.X_OK):
        print('not ok control - there is no program %s' % RINGFENCE)
        return 1
    if not os.path.exists(HELLO):
        print('skip control - the guests of tests/guest are not built (gcc -m32)')
        return 77
    return run_cases('control', CASES, sys.argv[1:], lambda folder: os.environ.update(XDG_RUNTIME_DIR=folder))


if __name__ == '__main__':
    sys.exit(main())
