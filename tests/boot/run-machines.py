#!/usr/bin/env python3
"""run-machines.py - machines with a folder: made, run, listed, changed, copied, renamed, deleted.

usage: run-machines.py [CASE...]

Uses the small guests of tests/guest (make guests); needs nothing from outside. Prints a line for each case.
"""
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from machine import Failure, Machine

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
GUESTS = os.path.join(os.environ.get('BUILDDIR', TOP), 'build/guest')
HELLO = os.path.join(GUESTS, 'hello.elf')
CASES = []


def case(function):
    CASES.append(function)
    return function


def ringfence(*words, timeout=60, typed=None, cwd=None):
    how = {'input': typed} if typed is not None else {'stdin': subprocess.DEVNULL}
    return subprocess.run([RINGFENCE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors='replace',
                          timeout=timeout, cwd=cwd, **how)


def good(*words, **more):
    done = ringfence(*words, **more)
    if done.returncode:
        raise Failure('%s: status %d: %s' % (' '.join(words), done.returncode, done.stderr.strip()))
    return done.stdout


def refused(says, *words, status=1, **more):
    done = ringfence(*words, **more)
    lines = [line for line in done.stderr.splitlines() if not line.startswith('Try ')]
    if done.returncode != status or len(lines) != 1 or says not in lines[0]:
        raise Failure("%s: status %d, no sentence with '%s': %s" % (' '.join(words), done.returncode, says, done.stderr.strip()))


def folder_of(name):
    return os.path.join(os.environ['XDG_DATA_HOME'], 'ringfence', name)


def conf(name):
    with open(os.path.join(folder_of(name), 'machine.conf')) as f:
        return f.read()


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def raw_disk(folder, name='disk.img', size=4 << 20):
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        f.truncate(size)
        f.seek(510)
        f.write(b'\x55\xaa')
        f.seek(1 << 20)
        f.write(b'data' * 1000)
    return path


def state(name):
    for line in good('list').splitlines():
        if line.split()[:1] == [name]:
            return line[21:32].strip()
    return None


@case
def made_and_run(folder):
    good('create', 'hello', HELLO, 'memory=16M', '--display', 'none', 'description=Says hello')
    if state('hello') != 'stopped' or not os.path.exists(os.path.join(folder_of('hello'), 'kernel')):
        raise Failure('it is not listed, or has no kernel of its own: %s' % good('list'))
    out = good('run', 'hello')
    if 'all is well' not in out:
        raise Failure('it does not run: ' + out[-200:])
    if 'memory = 16M' not in good('show', 'hello') or good('show', 'hello', 'memory') != '16M\n':
        raise Failure('show: ' + good('show', 'hello'))
    refused('there is no machine', 'show', 'hallo', status=1)
    if ringfence('show', 'hello', 'cpu').returncode != 1:
        raise Failure('show of a key that is not set succeeds')


@case
def set_keeps_comments(folder):
    good('create', 'a', 'memory=16M')
    path = os.path.join(folder_of('a'), 'machine.conf')
    with open(path, 'a') as f:
        f.write('\n# mine\ncpu = 486   \n')
    before = conf('a')
    good('set', 'a', 'memory=32M', 'serial.0=none', 'cpu=')
    text = conf('a')
    if text != before.replace('memory = 16M', 'memory = 32M').replace('cpu = 486   \n', '') + 'serial.0 = none\n':
        raise Failure('set made: ' + text)
    for says, word in (("did you mean 'memory'", 'memroy=1'), ('is no size', 'memory=x'), ('KEY=VALUE', 'memory'),
                       ('disk.0 to disk.3', 'disk.7=x'), ('is kept by', 'snapshot=x')):
        refused(says, 'set', 'a', 'cpu=pentium', word)
    if conf('a') != text:
        raise Failure('a set that was refused changed the file')
    with open(path, 'a') as f:
        f.write('colour = red\n')
    refused('machine.conf:%d: unknown key' % (text.count('\n') + 1), 'run', 'a')
    refused('unknown key', 'show', 'a')
    if 'unknown key' not in good('list'):
        raise Failure('list does not say what is wrong')


@case
def running_is_left_alone(folder):
    good('create', 'busy', HELLO)
    good('set', 'busy', 'firmware=seabios', 'kernel=', 'display=none', 'serial.0=none')
    with Machine([RINGFENCE, 'run', 'busy'], 60) as machine:
        limit = time.monotonic() + 20
        while state('busy') != 'running':
            if time.monotonic() > limit:
                raise Failure('it is not listed as running: %s %s' % (good('list'), machine.tail()))
            time.sleep(0.1)
        for words in (('run', 'busy'), ('rename', 'busy', 'b'), ('delete', 'busy', '--yes'), ('set', 'busy', 'cpu=486'),
                      ('clone', 'busy', 'b')):
            refused("machine 'busy' is in use", *words)
        machine.process.send_signal(signal.SIGKILL)
        machine.process.wait()
    if state('busy') != 'stopped':
        raise Failure('after a kill: ' + good('list'))
    good('rename', 'busy', 'b')
    if state('b') != 'stopped' or state('busy'):
        raise Failure('after rename: ' + good('list'))


@case
def copies_and_goes(folder):
    disk = raw_disk(folder)
    good('create', 'one', disk, '--size', '64M')
    shown = good('show', 'one')
    own = os.path.join(folder_of('one'), 'disk0.img')
    if 'format=raw' not in shown or digest(own) != digest(disk) or os.stat(own).st_blocks > 200:
        raise Failure('the disk is not copied, or its holes are filled: ' + shown)
    if not re.search(r'disk\.1 = disk1\.(img|qcow2)', shown):
        raise Failure('no empty disk: ' + shown)
    good('clone', 'one', 'two')
    if digest(os.path.join(folder_of('two'), 'disk0.img')) != digest(disk) or conf('one') != conf('two'):
        raise Failure('the copy differs')
    refused('already', 'clone', 'one', 'two')
    refused('already', 'create', 'two')
    refused('already', 'rename', 'one', 'two')
    refused('no name for a machine', 'create', 'a/b')
    refused('--yes deletes without a question', 'delete', 'two', status=2)
    good('delete', 'two', '--yes')
    if os.listdir(os.path.dirname(folder_of('one'))) != ['one']:
        raise Failure('left: %s' % os.listdir(os.path.dirname(folder_of('one'))))
    good('create', 'three', disk, '--in-place')
    if 'disk.0 = %s,format=raw' % os.path.realpath(disk) not in conf('three'):
        raise Failure('in place: ' + conf('three'))
    refused('No such file', 'create', 'four', 'disk.0=not-there.img')
    refused('no kernel and no floppy', 'create', 'four', os.path.abspath(__file__))
    if os.path.exists(folder_of('four')):
        raise Failure('a machine that could not be made is there')


@case
def leftovers_go(folder):
    good('create', 'a')
    base = os.path.dirname(folder_of('a'))
    for name in ('.new-x.1', '.gone-y.2'):
        os.mkdir(os.path.join(base, name))
        open(os.path.join(base, name, 'lock'), 'w').close()
    done = ringfence('create', 'b')
    if done.returncode or done.stderr.count('removed') != 2 or sorted(os.listdir(base)) != ['a', 'b']:
        raise Failure('%s %s' % (done.stderr, os.listdir(base)))


@case
def documents(folder):
    """The page and the manual page have every key."""
    keys = re.findall(r'^  ([a-z-]+)(?:\.0\.\.\d)? ', good('set', '--help'), re.MULTILINE)
    with open(os.path.join(TOP, 'docs/machines.md')) as f:
        page = f.read()
    with open(os.path.join(TOP, 'docs/ringfence.1')) as f:
        manual = f.read().replace('\\-', '-')
    missing = [k for k in keys if not re.search(r'^\| `%s(\.N)?` ' % k, page, re.MULTILINE) or '\\fB%s\\fR' % k not in manual]
    if missing or len(keys) < 15:
        raise Failure('not in docs/machines.md and the manual page: ' + ' '.join(missing))


def main():
    wanted = [c for c in CASES if len(sys.argv) < 2 or any(word in c.__name__ for word in sys.argv[1:])]
    if not os.access(RINGFENCE, os.X_OK):
        print('not ok machines - there is no program %s' % RINGFENCE)
        return 1
    if not os.path.exists(HELLO):
        print('skip machines - the guests of tests/guest are not built (gcc -m32)')
        return 77
    failed = False
    for function in wanted:
        name = function.__name__.replace('_', ' ')
        with tempfile.TemporaryDirectory(prefix='rf.') as folder:
            os.environ['XDG_RUNTIME_DIR'] = folder
            os.environ['XDG_DATA_HOME'] = os.path.join(folder, 'data')
            try:
                function(folder)
                print('ok machines ' + name, flush=True)
            except Exception as why:            # a bug here must not hide the other cases
                kind = '' if isinstance(why, Failure) else type(why).__name__ + ': '
                print('not ok machines %s - %s%s' % (name, kind, ' / '.join(str(why).split('\n'))), flush=True)
                failed = True
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
