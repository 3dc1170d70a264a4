#!/usr/bin/env python3
"""run-machines.py - machines with a folder: made, run, listed, changed, copied, renamed, deleted; snapshots of them.

usage: run-machines.py [CASE...]

Uses the small guests of tests/guest (make guests); needs nothing from outside. Prints a line for each case.
"""
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from machine import Failure, Machine, Skip, run_cases

HERE = os.path.dirname(os.path.abspath(__file__))
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


def keys_machine(folder, name):
    """A machine whose guest keeps the keys that are typed in its memory and on its disk."""
    if not shutil.which('nasm') or not os.path.exists('/usr/share/seabios/bios-256k.bin'):
        raise Skip('there is no nasm or no SeaBIOS')
    path = os.path.join(folder, 'keys.img')
    subprocess.run(['nasm', '-f', 'bin', '-o', path, os.path.join(HERE, 'keys.asm')], check=True)
    os.truncate(path, 4 << 20)
    good('create', name, path, 'memory=16M', 'display=none', 'serial.0=none')


class Keys:
    """That machine, running."""

    def __init__(self, name, *words, verb='run'):
        self.name = name
        self.machine = Machine([RINGFENCE, verb, *(words or (name,))], 300)

    def __enter__(self):
        self.wait('ready')
        return self

    def __exit__(self, *what):
        self.machine.__exit__(*what)

    def wait(self, pattern):
        limit = time.monotonic() + 60
        while True:
            screen = ringfence('ctl', self.name, 'screen-text').stdout
            found = re.findall(pattern, screen)
            if found:
                return found[-1]
            if time.monotonic() > limit or self.machine.process.poll() is not None:
                raise Failure('no %s on the screen: %s %s' % (pattern, screen.split(), self.machine.tail()))
            time.sleep(0.05)

    def add(self, text):
        good('ctl', self.name, 'type', text)
        self.wait(text)

    def expect(self, text):
        """Memory and disk have just that."""
        good('ctl', self.name, 'type', '/')
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            lines = [line for line in ringfence('ctl', self.name, 'screen-text').stdout.splitlines() if line.startswith('<')]
            if lines and lines[-1] == '<%s|%s>' % (text, text):
                return
            time.sleep(0.05)
        raise Failure('not %s twice: %s' % (text, lines[-1:]))


def check_layers(name):
    if not shutil.which('qemu-img'):
        return
    for layer in os.listdir(folder_of(name)):
        if layer.endswith('.layer'):
            done = subprocess.run(['qemu-img', 'check', '-f', 'qcow2', os.path.join(folder_of(name), layer)], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                raise Failure('%s: %s' % (layer, done.stdout))


@case
def tree_walked(folder):
    """Two branches, five snapshots, restored in random order while the guest runs."""
    keys_machine(folder, 'tree')
    snaps = {}
    with Keys('tree') as guest:
        for name, parent in (('a', None), ('b', 'a'), ('c', 'b'), ('d', 'a'), ('e', 'd')):
            if parent:
                good('snapshot', 'restore', parent)
            guest.add('%s%d.' % (name, random.randrange(10)))
            snaps[name] = snaps.get(parent, '') + guest.wait(name + '[0-9][.]')
            guest.expect(snaps[name])
            if good('snapshot', 'take', name, '--machine', 'tree') != name + '\n':
                raise Failure('take does not say the name')
        drawn = good('snapshot', 'list')
        if not re.search(r'`- a .*\n   \|- b .*\n   \|  `- c .*\n   `- d .*\n      `- e .*\n         `- you are here', drawn):
            raise Failure('the tree is: ' + drawn)
        for name in random.choices('abcde', k=8):
            good('ctl', 'tree', 'type', 'x')
            good('snapshot', 'restore', name)
            guest.expect(snaps[name])
        refused("there is no snapshot 'f'", 'snapshot', 'restore', 'f')
        refused('already', 'snapshot', 'take', 'a')
        guest.add('lost')
        good('undo')
        guest.expect(snaps[name])
        good('snapshot', 'delete', 'd')
        guest.machine.process.send_signal(signal.SIGKILL)
        guest.machine.process.wait()
    check_layers('tree')
    for name in random.sample('abce', 4):       # from cold
        good('snapshot', 'restore', name)
        with Keys('tree') as guest:
            guest.expect(snaps[name])
    before = len(os.listdir(folder_of('tree')))
    good('snapshot', 'delete', 'b')
    good('snapshot', 'restore', 'c')
    if len(os.listdir(folder_of('tree'))) >= before:
        raise Failure('no layer was joined: %s' % os.listdir(folder_of('tree')))
    check_layers('tree')
    with Keys('tree') as guest:
        guest.expect(snaps['c'])
    for name in 'ace':
        good('snapshot', 'delete', name)
    if os.listdir(os.path.join(folder_of('tree'), 'snapshots', 'states')):
        raise Failure('memory of snapshots is left')
    check_layers('tree')


@case
def tried(folder):
    """Nothing is written to a file or a machine that is tried."""
    keys_machine(folder, 'kept')
    path = os.path.join(folder, 'keys.img')
    os.chmod(path, 0o400)
    own = os.path.join(folder_of('kept'), 'disk0.img')
    before = digest(path), digest(own), conf('kept'), sorted(os.listdir(folder_of('kept')))
    for words in ((path, '--name', 'tried', '--display', 'none', '--serial', 'none', '-m', '16M'), ('kept', '--name', 'tried')):
        with Keys('tried', *words, verb='try') as guest:
            guest.add('gone')
            guest.expect('gone')
            refused('has no folder for snapshots', 'ctl', 'tried', 'snapshot-take')
            good('ctl', 'tried', 'quit')
            guest.machine.status(60)
    if before != (digest(path), digest(own), conf('kept'), sorted(os.listdir(folder_of('kept')))):
        raise Failure('something was written')


@case
def suspended(folder):
    keys_machine(folder, 'sleeper')
    with Keys('sleeper') as guest:
        guest.add('one')
        good('suspend', 'sleeper')
        if guest.machine.status(60):
            raise Failure('suspend does not end it well: ' + guest.machine.tail())
    refused('does not run', 'suspend', 'sleeper')
    if 'resume = ' not in conf('sleeper'):
        raise Failure('nothing to resume: ' + conf('sleeper'))
    with Keys('sleeper') as guest:
        guest.expect('one')
        if 'resume = ' in conf('sleeper'):
            raise Failure('it would go on from there twice')
        guest.add('two')
    refused('was not suspended', 'resume', 'sleeper')


@case
def disks_of_a_machine_that_is_off(folder):
    disk = raw_disk(folder)
    good('create', 'off', disk)
    first = good('snapshot', 'take', '--description', 'first of all').strip()
    if not re.fullmatch(r'snap-\d{8}-\d{6}', first) or 'first of all' not in good('snapshot', 'list'):
        raise Failure('the name is ' + first)
    good('set', 'off', 'memory=16M')
    good('snapshot', 'take', 'second')
    good('undo')
    if 'memory = 16M' not in conf('off'):
        raise Failure('undo: ' + conf('off'))
    good('snapshot', 'restore', first)
    if 'memory = 16M' in conf('off'):
        raise Failure('settings are not as they were: ' + conf('off'))
    good('snapshot', 'delete', 'second')
    good('snapshot', 'delete', first)
    if good('snapshot', 'list'):
        raise Failure('left: ' + good('snapshot', 'list'))
    refused('no snapshot to go back to', 'undo')
    refused('did you mean', 'snapshot', 'tak', status=2)
    whole = os.path.join(folder, 'whole.img')
    top = re.search(r'disk\.0 = ([^,\n]+)', conf('off')).group(1)
    good('image', 'convert', '-O', 'raw', os.path.join(folder_of('off'), top), whole)
    if digest(whole) != digest(disk):
        raise Failure('the disk has changed')
    good('create', 'away', disk, '--in-place')
    refused("not in the machine's folder", 'snapshot', 'take', '--machine', 'away')


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
    if not os.access(RINGFENCE, os.X_OK):
        print('not ok machines - there is no program %s' % RINGFENCE)
        return 1
    if not os.path.exists(HELLO):
        print('skip machines - the guests of tests/guest are not built (gcc -m32)')
        return 77
    return run_cases('machines', CASES, sys.argv[1:],
                     lambda folder: os.environ.update(XDG_RUNTIME_DIR=folder, XDG_DATA_HOME=os.path.join(folder, 'data')))


if __name__ == '__main__':
    sys.exit(main())
