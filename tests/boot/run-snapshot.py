#!/usr/bin/env python3
"""run-snapshot.py - snapshots of whole machines: taken while the guest runs, restored in the same process and in a new one.

usage: run-snapshot.py [CASE...]

Prints a line for each case. Linux comes from tests/guests/fetch.sh; without it those cases are skipped.
"""
import calendar
import os
import subprocess
import sys
import tempfile
import time

from machine import Failure, Machine

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
CASES = []


def case(function):
    CASES.append(function)
    return function


def ctl(name, *words, status=0):
    done = subprocess.run([RINGFENCE, 'ctl', name, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if done.returncode != status:
        raise Failure('ctl %s: status %d: %s' % (' '.join(words), done.returncode, (done.stdout + done.stderr).strip()[-300:]))
    return done.stdout + done.stderr


def query(name):
    return dict(line.split(': ', 1) for line in ctl(name, 'query-snapshot').strip().splitlines())


def save(name, path, *how):
    ctl(name, 'snapshot-save', path, *how)
    limit = time.monotonic() + 60
    while query(name)['writing'] == 'true':
        if time.monotonic() > limit:
            raise Failure('a snapshot is still being written')
        time.sleep(0.05)
    state = query(name)
    if 'error' in state:
        raise Failure('no snapshot: ' + state['error'])
    return state


def linux(guests, *more, name='one', append='console=ttyS0 panic=-1 no_timer_check', memory='128M'):
    return Machine([RINGFENCE, 'run', '--kernel', guests['linux-686'], '--initrd', guests['initrd'], '--append', append, '-m', memory,
                    '--serial', 'stdio', '--display', 'none', '--no-reboot', '--name', name, *more], 120)


def same(m, line, want):
    text, _ = m.command(line)
    if text.strip() != want:
        raise Failure('%s gives %r, not %r' % (line, text.strip(), want))


@case
def tree(guests, folder):
    """Five snapshots in two branches, walked in an order of no order; files and variables of the same shell each time."""
    parents = {'b': 'a', 'c': 'b', 'd': 'a', 'e': 'd'}
    path = {n: os.path.join(folder, n, 'state') for n in 'abcde'}
    with linux(guests) as m:
        m.expect('GUEST-READY')
        m.expect('# ')
        for n in 'abcde':
            os.mkdir(os.path.join(folder, n))
            if n == 'd':
                ctl('one', 'snapshot-load', path['a'])
            m.command('V=%s; echo %s >/tmp/%s; head -c 3000000 /dev/urandom >/tmp/big; md5sum </tmp/big >/tmp/sum' % (n * 9, n, n))
            save('one', path[n])
        if not os.path.getsize(path['b']) < os.path.getsize(path['a']) / 2:
            raise Failure('a snapshot with a parent has %d bytes, the parent %d' %
                          (os.path.getsize(path['b']), os.path.getsize(path['a'])))
        for n in 'caebdacdbe':
            m.command('V=lost; rm -rf /tmp/*; head -c 5000000 /dev/urandom >/tmp/other')
            ctl('one', 'snapshot-load', path[n])
            same(m, 'echo $V', n * 9)
            files, at = [n], n
            while at in parents:
                at = parents[at]
                files.append(at)
            same(m, 'ls /tmp | tr "\\n" " "', ' '.join(sorted(files + ['big', 'sum'])))
            same(m, 'md5sum </tmp/big | cmp - /tmp/sum && echo equal', 'equal')
        ctl('one', 'quit')
    with Machine([RINGFENCE, 'run', '--restore', path['c'], '--display', 'none', '--name', 'two'], 60) as m:
        same(m, 'echo $V', 'c' * 9)
        same(m, 'md5sum </tmp/big | cmp - /tmp/sum && echo equal', 'equal')
        ctl('two', 'snapshot-load', path['e'])
        same(m, 'echo $V', 'e' * 9)
        m.type('exit\n')
        if m.status(30):
            raise Failure('after switching off the exit status is not 0')


@case
def live(guests, folder):
    """The guest writes all the time while snapshots are taken: each restores to one moment."""
    path = os.path.join(folder, 'live')
    with linux(guests) as m:
        m.expect('GUEST-READY')
        m.expect('# ')
        m.command('(i=0; while :; do i=$((i+1)); head -c 400000 /dev/zero | tr "\\0" $((i%10)) >/tmp/x; '
                  'cp /tmp/x /tmp/y; mv /tmp/y /tmp/z; done) & W=$!')
        for _ in range(3):
            time.sleep(0.2)
            save('one', path)
        ctl('one', 'snapshot-load', path)
        same(m, 'kill $W; wait; tr -d "$(head -c 1 /tmp/z)" </tmp/z | wc -c; wc -c </tmp/z', '0\n400000')
        before = float(m.command('cat /proc/uptime')[0].split()[0])
        save('one', path, 'alone')
        time.sleep(2)
        ctl('one', 'snapshot-load', path)
        after = float(m.command('cat /proc/uptime')[0].split()[0])
        if after - before > 1.5:
            raise Failure('%.1f s of guest time went by, though the snapshot was taken at once' % (after - before))
        if abs(int(m.command('date -u +%s')[0]) - time.time()) < 1.5:
            raise Failure('the guest has the host\'s date, though its clock is to be frozen')
        ctl('one', 'snapshot-load', path, 'host')
        shown, status = m.command('hwclock -r -u')
        if status == 0:
            clock = calendar.timegm(time.strptime(' '.join(shown.split()[:5]), '%a %b %d %H:%M:%S %Y'))
            if abs(clock - time.time()) > 2:
                raise Failure('the real-time clock is %d s off, though it was to have the host\'s date' % (clock - time.time()))
        ctl('one', 'quit')


@case
def refused(guests, folder):
    """Another machine, a damaged file, no file: a sentence, and the machine goes on as it was."""
    path = os.path.join(folder, 'one')
    with linux(guests) as m:
        m.expect('GUEST-READY')
        save('one', path)
        with open(path, 'rb') as f:
            good = f.read()
        flipped = len(good) // 2
        for name, change in (('cut', good[:-1]), ('empty', b''), ('text', b'hello\n' * 100),
                             ('flipped', good[:flipped] + bytes([good[flipped] ^ 1]) + good[flipped + 1:])):
            with open(os.path.join(folder, name), 'wb') as f:
                f.write(change)
            if name == 'flipped':       # memory that this process need not read
                continue
            said = ctl('one', 'snapshot-load', os.path.join(folder, name), status=1)
            if name not in said or not ('damaged' in said or 'no snapshot' in said or 'index' in said):
                raise Failure('%s: it says %r' % (name, said))
        m.command('echo still here')
        said = ctl('one', 'snapshot-save', os.path.join(folder, 'no', 'where'), status=1)
        if 'cannot be created' not in said:
            raise Failure('a folder that is not there: it says %r' % said)
        ctl('one', 'quit')
    for words, want in ((['-m', '64M'], 'memory=131072 KiB'), (['--cpu', '486'], 'processor='),
                        (['--parallel', 'file:/dev/null'], 'another machine')):
        done = subprocess.run([RINGFENCE, 'run', '--restore', path, '--display', 'none', *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 1 or want not in done.stderr:
            raise Failure('%s: status %d, %r' % (' '.join(words), done.returncode, done.stderr))
    with Machine([RINGFENCE, 'run', '--restore', os.path.join(folder, 'flipped'), '--display', 'none', '--name', 'one'], 60) as m:
        m.expect('paused: memory of the guest is lost: .*flipped: the snapshot is damaged')
        ctl('one', 'quit')
    if [n for n in os.listdir(folder) if '.new-' in n]:
        raise Failure('something half-written stays behind: ' + ' '.join(os.listdir(folder)))


@case
def firmware(guests, folder):
    """SeaBIOS without anything to boot, in text mode: the same screen in the same process and in a new one."""
    path = os.path.join(folder, 'bios')
    run = [RINGFENCE, 'run', '-m', '32M', '--display', 'none', '--serial', 'none']
    with Machine([*run, '--name', 'one'], 60):
        limit = time.monotonic() + 30
        while 'No bootable' not in screen('one'):
            if time.monotonic() > limit:
                raise Failure('SeaBIOS does not say that there is nothing to boot')
            time.sleep(0.2)
        seen = screen('one')
        save('one', path)
        ctl('one', 'system_reset')
        time.sleep(0.3)
        ctl('one', 'snapshot-load', path)
        if screen('one') != seen:
            raise Failure('another screen after restoring')
        ctl('one', 'quit')
    with Machine([RINGFENCE, 'run', '--restore', path, '--display', 'none', '--name', 'two'], 60):
        if screen('two') != seen:
            raise Failure('another screen in a new process')
        ctl('two', 'quit')


@case
def grub(guests, folder):
    """GRUB from a floppy: back to its prompt in the same process, where typing goes on, and in a new one."""
    path = os.path.join(folder, 'grub')

    def typed(name, text, wanted):
        ctl(name, 'type', text + '\n')
        limit = time.monotonic() + 20
        while wanted not in screen(name):
            if time.monotonic() > limit:
                raise Failure("GRUB does not answer '%s': %s" % (text, screen(name).strip()[-200:]))
            time.sleep(0.1)

    with Machine([RINGFENCE, 'run', '-m', '32M', '--floppy', guests['grub-floppy'], '--display', 'none', '--serial', 'none',
                  '--name', 'one'], 90):
        limit, asked = time.monotonic() + 60, False
        while 'grub>' not in screen('one'):
            if not asked and 'for a command-line' in screen('one'):
                time.sleep(0.5)
                ctl('one', 'send-key', 'c')
                asked = True
            if time.monotonic() > limit:
                raise Failure('no prompt of GRUB: ' + screen('one').strip()[-200:])
            time.sleep(0.2)
        time.sleep(1)           # it shows its prompt before it listens
        typed('one', 'set a=before', 'a=before')
        time.sleep(0.5)
        seen = screen('one')
        save('one', path)
        typed('one', 'set a=after', 'a=after')
        typed('one', 'echo $a', '\nafter')
        ctl('one', 'snapshot-load', path)
        if screen('one') != seen:
            raise Failure('another screen after restoring')
        typed('one', 'echo $a', '\nbefore')
        ctl('one', 'quit')
    with Machine([RINGFENCE, 'run', '--restore', path, '--display', 'none', '--name', 'two'], 60):
        if screen('two') != seen:
            raise Failure('another screen in a new process')
        typed('two', 'echo $a', '\nbefore')
        ctl('two', 'quit')


def screen(name):
    """The text screen; empty while there is none."""
    for _ in range(50):
        done = subprocess.run([RINGFENCE, 'ctl', name, 'screen-text'], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return done.stdout
        time.sleep(0.1)
    return ''


def fetch(folder):
    """The files by name, or None with the reason printed."""
    done = subprocess.run([os.path.join(TOP, 'tests/guests/fetch.sh'), 'linux-686', 'busybox', 'grub-floppy'], capture_output=True,
                          text=True)
    if done.returncode:
        print('skip snapshot - ' + (done.stderr.strip().splitlines() or ['the guests could not be fetched'])[-1])
        return None
    guests = dict(line.split(' ', 1) for line in done.stdout.splitlines())
    guests['initrd'] = os.path.join(folder, 'initrd.gz')
    scripts = os.path.join(TOP, 'tests/guests')
    subprocess.run([scripts + '/mkinitramfs.sh', guests['initrd'], guests['busybox'], scripts + '/init-test.sh'], check=True)
    return guests


def main():
    failed = 0
    with tempfile.TemporaryDirectory(dir=os.environ.get('TEST_TMP')) as folder, tempfile.TemporaryDirectory() as sockets:
        os.environ['XDG_RUNTIME_DIR'] = sockets     # a socket's path must be short
        guests = fetch(folder)
        for function in CASES:
            if sys.argv[1:] and function.__name__ not in sys.argv[1:]:
                continue
            if not guests and function is not firmware:
                continue
            with tempfile.TemporaryDirectory(dir=folder) as own:
                start = time.monotonic()
                try:
                    function(guests, own)
                    print('ok snapshot %s\n# %.1f s' % (function.__name__, time.monotonic() - start), flush=True)
                except Exception as why:
                    failed += 1
                    print('not ok snapshot %s - %s%s' % (function.__name__, '' if isinstance(why, Failure) else type(why).__name__ + ': ',
                                                        why), flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
