#!/usr/bin/env python3
"""run-cli.py - what a user can do wrong, and how a run begins and ends: messages, exit statuses, the terminal, many at once.

usage: run-cli.py [CASE...]

Uses the small guests of tests/guest (make guests); needs nothing from outside. Prints a line for each case.
"""
import os
import pty
import pwd
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import termios
import time

from machine import Failure, Machine, Skip, run_cases

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
GUESTS = os.path.join(os.environ.get('BUILDDIR', TOP), 'build/guest')
HELLO, KLUDGE = os.path.join(GUESTS, 'hello.elf'), os.path.join(GUESTS, 'kludge.bin')
GOOD = 'hello: all is well'
CASES = []
SANITIZED = os.environ.get('M') in ('asan', 'tsan', 'ubsan')


def case(function):
    CASES.append(function)
    return function


def ringfence(*words, timeout=60, **more):
    more.setdefault('stdin', subprocess.DEVNULL)
    try:
        return subprocess.run([RINGFENCE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors='replace',
                              timeout=timeout, **more)
    except subprocess.TimeoutExpired:
        raise Failure('%s does not end within %d s' % (' '.join(words)[-100:], timeout)) from None


def expect_error(status, says, *words, **more):
    """The run ends with that status and one sentence that has these words."""
    done = ringfence(*words, **more)
    lines = [line for line in done.stderr.splitlines() if not line.startswith('Try ')]
    shown = ' '.join(words)[-80:]
    if done.returncode != status:
        raise Failure('%s: status %d, not %d: %s' % (shown, done.returncode, status, done.stderr.strip()[-200:]))
    if len(lines) != 1 or not lines[0].startswith('ringfence: ') or says not in lines[0]:
        raise Failure("%s: no sentence with '%s': %s" % (shown, says, done.stderr.strip()[-200:]))


def expect_good(done, says=GOOD, status=0):
    if done.returncode != status or says not in done.stdout:
        raise Failure('status %d, output %s' % (done.returncode, (done.stdout + done.stderr).strip()[-200:]))


def write(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        f.write(data)
    return path


def reachable(path):
    """May others get to this file?"""
    need = stat.S_IXOTH if os.path.isdir(path) or path == RINGFENCE else stat.S_IROTH
    return bool(os.stat(path).st_mode & need) and (path == '/' or reachable(os.path.dirname(path)))


@case
def help_and_version(folder):
    for words in (['--help'], ['run', '--help'], ['probe', '--help'], ['--version'], ['run', '--version'], ['probe', '--version']):
        done = ringfence(*words)
        if done.returncode or not done.stdout or done.stderr:
            raise Failure('%s: status %d, %s' % (' '.join(words), done.returncode, done.stderr))
        if '--version' in words and not re.fullmatch(r'ringfence \d+\.\d+\S*\n', done.stdout):
            raise Failure('version is ' + done.stdout)


@case
def probe(folder):
    done = ringfence('probe')
    for word in ('BMI2', 'memfd', 'seccomp', 'TSC'):
        if word not in done.stdout:
            raise Failure('probe says nothing of ' + word)
    if done.returncode or 'Ringfence runs here.' not in done.stdout:
        raise Failure('status %d: %s' % (done.returncode, done.stdout[-300:]))


@case
def manual_page(folder):
    """The manual page and --help list the same options."""
    helped = set(re.findall(r'--[a-z][a-z-]+', ringfence('run', '--help').stdout.split('\nIn the terminal')[0]))
    with open(os.path.join(TOP, 'docs/ringfence.1')) as f:
        page = f.read().replace('\\-', '-').split('.SH OPTIONS OF RUN')[1].split('.SH TERMINAL')[0]
    heads = [lines.split('\n')[1] for lines in page.split('.TP')[1:] for lines in ['\n' + lines.strip()]]
    paged = set(re.findall(r'--[a-z][a-z-]+', ' '.join(heads)))
    if helped != paged or len(helped) < 10:
        raise Failure('only in one of --help and manual page: ' + ' '.join(sorted(helped ^ paged)))
    if shutil.which('groff'):
        done = subprocess.run(['groff', '-man', '-ww', '-z', os.path.join(TOP, 'docs/ringfence.1')], stderr=subprocess.PIPE, text=True)
        if done.stderr:
            raise Failure('groff says: ' + done.stderr.strip()[:200])


@case
def wrong_usage(folder):
    for says, words in (
            ('what is to be done', []), ("no command 'rum'; did you mean 'run'", ['rum']), ('unknown option', ['run', '--kernal', 'x']),
            ('did you mean --no-reboot', ['run', '--no-rebot']), ('--kernel, which is missing', ['run', '--append', 'x']),
            ('needs a value', ['run', '--kernel']),
            ('out of range', ['run', '--kernel', HELLO, '-m', '0']), ('out of range', ['run', '--kernel', HELLO, '-m', '4T']),
            ('out of range', ['run', '--kernel', HELLO, '-m', '9' * 40]), ('is no size', ['run', '--kernel', HELLO, '-m', '-1']),
            ('no model', ['run', '--kernel', HELLO, '--cpu', '6502']), ('unknown option', ['probe', '--fast'])):
        expect_error(2, says, *words)


@case
def bad_files(folder):
    seed = 20230610
    noise = random.Random(seed)
    with open(HELLO, 'rb') as f:
        hello = f.read()
    run = ['run', '-m', '64M', '--serial', 'none', '--kernel']
    for says, path in (
            ('No such file', folder + '/missing'), ('is empty', write(folder, 'empty', b'')), ('is a directory', folder),
            ('neither', write(folder, 'noise', noise.randbytes(100000))), ('truncated', write(folder, 'cut', hello[:5000])),
            ('larger than 64 MiB', '/dev/zero'), ('neither', write(folder, 'one', b'x')), ('Not a directory', HELLO + '/x'),
            ('name too long', 'x' * 5000)):
        expect_error(1, says, *run, path)
    for says, path in (('No such file', folder + '/missing'), ('is empty', folder + '/empty'), ('larger than', '/dev/zero'),
                       ('is a directory', folder)):
        expect_error(1, says, *run, HELLO, '--initrd', path)
    expect_error(1, folder + '/no/x', *run, HELLO, '--debugcon', 'file:' + folder + '/no/x')
    expect_error(1, folder + '/no/x', *run, HELLO, '--debugcon', 'unix:' + folder + '/no/x')
    for n in range(20):         # whatever happens, it is no crash
        data = bytearray(hello)
        for _ in range(3):
            data[noise.randrange(0x40 if n & 1 else 0x1010)] = noise.randrange(256)
        path = write(folder, 'changed', bytes(data))
        try:
            done = ringfence(*run, path, timeout=3)
        except Failure:
            continue            # a guest that runs for ever
        if done.returncode < 0 or done.returncode > 1 or (done.returncode == 1) != bool(done.stderr):
            raise Failure('changed kernel %d of seed %d: status %d, %s' % (n, seed, done.returncode, done.stderr[-200:]))


def as_nobody(folder):
    """Arguments for subprocess that make root somebody without rights, who owns the folder."""
    user = pwd.getpwnam('nobody')
    if not all(reachable(path) for path in (RINGFENCE, HELLO, folder)):
        raise Skip('nobody cannot get to the program')
    os.chown(folder, user.pw_uid, -1)
    return {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': [], 'cwd': folder,
            'env': {'PATH': os.environ['PATH'], 'HOME': folder, 'TMPDIR': folder}}


@case
def unreadable(folder):
    path = write(folder, 'secret', b'x')
    os.chmod(path, 0)
    more = as_nobody(folder) if os.access(path, os.R_OK) else {}
    expect_error(1, 'secret: Permission denied', 'run', '--kernel', path, **more)


@case
def hello(folder):
    expect_good(ringfence('run', '--kernel', HELLO, '-m', '64M', '--append', 'ticks=20'))
    expect_good(ringfence('run', '--kernel', KLUDGE, '-m', '8M'), 'kludge: all is well')


@case
def trace(folder):
    """Each word of --trace prints something, without hurting the guest."""
    for word, says in (('exit', 'exit pending at '), ('tc', 'tc: block '), ('irq', 'interrupt '), ('exc', 'exception '),
                       ('io', 'out 03f8 '),
                       ('mem', 'mem: RAM 0 to 9ffff'), ('dev', 'dev: irq 0 ')):
        done = ringfence('run', '--kernel', HELLO, '-m', '64M', '--trace', word)
        expect_good(done)
        if says not in done.stderr:
            raise Failure('--trace %s: no %s' % (word, says))


@case
def hello_modules(folder):
    one, two = write(folder, 'one', b'abc'), write(folder, 'two,2', b'x' * 100000)
    done = ringfence('run', '--kernel', HELLO, '-m', '64M', '--initrd', one + ' first arg,' + two.replace(',', ',,'))
    expect_good(done)
    for says in ('module of 3 bytes', 'module text: %s first arg' % one, 'module of 100000 bytes', 'module text: ' + two):
        if says not in done.stdout:
            raise Failure("no '%s' in %s" % (says, done.stdout[-400:]))


@case
def cpu_models(folder):
    models = [line.split()[0] for line in ringfence('run', '--cpu', 'help').stdout.splitlines()]
    if not {'486', 'pentium', 'pentium3', 'core2', 'host'} <= set(models):
        raise Failure('models are ' + ' '.join(models))
    for model in models:
        try:
            expect_good(ringfence('run', '--kernel', HELLO, '-m', '64M', '--cpu', model))
        except Failure as why:
            raise Failure('--cpu %s: %s' % (model, why)) from None


@case
def engine_checks(folder):
    for option in ('--check=recover', '--check=links', '--check=recover,links', '--engine=translate'):
        try:
            expect_good(ringfence('run', '--kernel', HELLO, '-m', '64M', option))
        except Failure as why:
            raise Failure('%s: %s' % (option, why)) from None


@case
def debug_exit(folder):
    words = ['run', '--kernel', HELLO, '-m', '64M', '--debug-exit', '0xf4', '--append']
    expect_good(ringfence(*words, 'exit=0'), status=1)
    expect_good(ringfence(*words, 'exit=21'), status=43)


@case
def firmware(folder):
    # At the reset vector JMP F000:0000; there MOV AL, 21; OUT F4h, AL, which shows that the image is at both places.
    image = b'\xb0\x15\xe6\xf4\xf4'.ljust(0xfff0, b'\xf4') + b'\xea\0\0\0\xf0'.ljust(16, b'\xf4')
    path = write(folder, 'rom', image)
    run = ['run', '-m', '1M', '--debug-exit', '0xf4', '--serial', 'none', '--firmware', path]
    done = ringfence(*run)
    if done.returncode != 43 or done.stderr:
        raise Failure('status %d, %s' % (done.returncode, done.stderr[-200:]))
    write(folder, 'rom', image + b'x')
    expect_error(1, 'is no ROM image', *run)


@case
def reset(folder):
    expect_good(ringfence('run', '--kernel', HELLO, '-m', '64M', '--no-reboot', '--append', 'reset=1 ticks=1'))
    with Machine([RINGFENCE, 'run', '--kernel', HELLO, '-m', '64M', '--append', 'reset=1 ticks=1'], 60) as m:
        for _ in range(3):      # without --no-reboot it comes up again and again
            m.expect('hello: up')
            m.expect(GOOD)


@case
def back_ends(folder):
    com1, port_e9 = folder + '/com1', folder + '/e9'
    done = ringfence('run', '--kernel', HELLO, '-m', '64M', '--serial', 'file:' + com1, '--debugcon', 'file:' + port_e9)
    if done.returncode or done.stdout:
        raise Failure('status %d, output %s' % (done.returncode, done.stdout[-200:]))
    for path in (com1, port_e9):
        with open(path, errors='replace') as f:
            if GOOD not in f.read():
                raise Failure(os.path.basename(path) + ' has not the output')
    expect_good(ringfence('run', '--kernel', HELLO, '-m', '64M', '--debugcon', 'stdio'))


@case
def dump(folder):
    done = ringfence('run', '--kernel', HELLO, '-m', '64M', '--dump=tc:100000-110000')
    expect_good(done)
    if len(re.findall(r'(?m)^\s*0010[0-9a-f]{4}\s', done.stdout)) < 100:
        raise Failure('the dump shows no guest code: ' + done.stdout[-200:])


def console(*words):
    """A machine on a pseudo-terminal of its own, and the terminal's mode before."""
    near, far = pty.openpty()
    before = termios.tcgetattr(far)
    setup = 'import os,sys,fcntl,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])'
    command = [sys.executable, '-c', setup, RINGFENCE, 'run', '--kernel', HELLO, '-m', '64M', '--append', 'ticks=100000', *words]
    return Machine(command, 60, pty=(near, far)), far, before


def expect_restored(far, before, how):
    if termios.tcgetattr(far) != before:
        raise Failure('the terminal is not as before after ' + how)


def crash(m):
    """As a wild access would: the engine's handler, whose signal it is not, has it happen again."""
    m.process.send_signal(signal.SIGSEGV)
    time.sleep(0.5)
    if m.process.poll() is None:
        m.process.send_signal(signal.SIGSEGV)


@case
def terminal(folder):
    for how, act, status in (
            ('Ctrl-A X', lambda m: m.type('\x01x'), 0), ('SIGTERM', lambda m: m.process.send_signal(signal.SIGTERM), -signal.SIGTERM),
            ('SIGINT', lambda m: m.process.send_signal(signal.SIGINT), -signal.SIGINT),
            ('SIGHUP', lambda m: m.process.send_signal(signal.SIGHUP), -signal.SIGHUP),
            ('SIGABRT', lambda m: m.process.send_signal(signal.SIGABRT), -signal.SIGABRT),
            ('SIGSEGV', crash, -signal.SIGSEGV)):
        m, far, before = console()
        with m:
            m.expect('back from ring 3')
            if termios.tcgetattr(far)[3] & (termios.ICANON | termios.ECHO):
                raise Failure('the terminal is not raw while the guest runs')
            act(m)
            got = m.status(20)
            if got != status and not (SANITIZED and how == 'SIGSEGV'):
                raise Failure('%s: status %d, not %d' % (how, got, status))
            expect_restored(far, before, how)
        os.close(far)


@case
def terminal_help(folder):
    m, far, _ = console()
    with m:
        m.expect('back from ring 3')
        m.type('\x01h')
        m.expect('Ctrl-A X')
        m.type('\x03\x1c')      # Ctrl-C and Ctrl-\ are the guest's
        time.sleep(0.3)
        m.type('\x01X')
        if m.status(20):
            raise Failure('Ctrl-A X: status %d' % m.process.returncode)
    os.close(far)


@case
def terminal_stop(folder):
    m, far, before = console()
    with m:
        m.expect('back from ring 3')
        m.process.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, m.process.pid, os.WSTOPPED)
        expect_restored(far, before, 'SIGTSTP')
        m.process.send_signal(signal.SIGCONT)
        for _ in range(50):
            time.sleep(0.1)
            if not termios.tcgetattr(far)[3] & termios.ICANON:
                break
        else:
            raise Failure('the terminal is not raw again after SIGCONT')
        m.type('\x01x')
        if m.status(20):
            raise Failure('status %d' % m.process.returncode)
        expect_restored(far, before, 'Ctrl-A X')
    os.close(far)


@case
def output_closed(folder):
    """A reader that goes away is no crash."""
    with Machine([RINGFENCE, 'run', '--kernel', HELLO, '-m', '64M', '--append', 'ticks=100'], 30) as m:
        m.expect('hello: up')
        m.process.stdout.close()
        m.process.stdout = None
        deadline = time.monotonic() + 20
        while m.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if m.process.poll() not in (0, 1):
            raise Failure('status %s' % m.process.poll())


def ten_at_once(folder, more):
    before = set(os.listdir(folder))
    machines = [subprocess.Popen([RINGFENCE, 'run', '--kernel', HELLO, '-m', '64M'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, **more) for _ in range(10)]
    for m in machines:
        try:
            out, _ = m.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            for other in machines:
                other.kill()
            raise Failure('one of ten does not end') from None
        if m.returncode or GOOD not in out:
            raise Failure('one of ten: status %d, %s' % (m.returncode, out.strip()[-200:]))
    if set(os.listdir(folder)) != before:
        raise Failure('left behind: ' + ' '.join(set(os.listdir(folder)) - before))


@case
def ten(folder):
    ten_at_once(folder, {'env': dict(os.environ, TMPDIR=folder, HOME=folder), 'cwd': folder})


@case
def nobody(folder):
    if os.getuid() != 0:
        raise Skip('only root can become nobody')
    ten_at_once(folder, as_nobody(folder))


def main():
    if not os.access(RINGFENCE, os.X_OK):
        print('not ok cli - there is no program %s' % RINGFENCE)
        return 1
    if not os.path.exists(HELLO):
        print('skip cli - the guests of tests/guest are not built (gcc -m32)')
        return 77
    return run_cases('cli', CASES, sys.argv[1:], lambda folder: os.chmod(folder, 0o755))


if __name__ == '__main__':
    sys.exit(main())
