#!/usr/bin/env python3
"""run-pc.py - unmodified boot floppies, CDs and kernels out of Debian's packages, recognised by their screen, answered by key strokes.

usage: run-pc.py [CASE...]

The guests come from tests/guests/fetch.sh; those that are not to be had are skipped. When a case fails, its last picture and screen text
are kept beside the log (OBJDIR/log/pc-CASE.png, .txt). Prints a line for each case.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from machine import Failure

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
OBJ = os.environ.get('OBJDIR', os.path.join(os.getcwd(), 'build/rel'))
LONG = bool(os.environ.get('RINGFENCE_LONG'))
JOBS = 2
CASES = []


class Skip(Exception):
    """Why a case cannot be tried here."""


class Screen:
    """A machine without a display, seen and typed at through its control socket."""

    def __init__(self, name, words, seconds):
        self.name = name
        self.deadline = time.monotonic() + seconds
        self.text = ''
        self.process = subprocess.Popen([RINGFENCE, 'run', '--display', 'none', '--serial', 'none', '--name', name, *words],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.keep()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.stdout.close()
        self.process.wait()

    def ctl(self, *words):
        return subprocess.run([RINGFENCE, 'ctl', self.name, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)

    def keep(self):
        os.makedirs(os.path.join(OBJ, 'log'), exist_ok=True)
        path = os.path.join(OBJ, 'log', self.name)
        self.ctl('screendump', path + '.png')
        with open(path + '.txt', 'w') as f:
            f.write(self.text)

    def expect(self, pattern):
        """Waits until the screen shows it; returns the match."""
        while True:
            done = self.ctl('screen-text')
            self.text = done.stdout if done.returncode == 0 else self.text
            found = re.search(pattern, self.text)
            if found:
                return found
            if self.process.poll() is not None:
                raise Failure('it ended (status %d) before %r: %s' % (self.process.returncode, pattern, self.process.stdout.read()[-200:]))
            if time.monotonic() > self.deadline:
                raise Failure('no %r on the screen; it ends: %s' % (pattern, ' / '.join(self.text.split('\n')[-4:])[-200:]))
            time.sleep(0.25)

    def keys(self, *names):
        done = self.ctl('send-key', *names)
        if done.returncode:
            raise Failure('send-key: ' + done.stderr.strip())

    def type(self, line):
        done = self.ctl('type', line + '\n')
        if done.returncode:
            raise Failure('type: ' + done.stderr.strip())


def guest(name):
    done = subprocess.run([os.path.join(TOP, 'tests/guests/fetch.sh'), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Skip(done.stderr.strip().split('\n')[-1][:160])
    return done.stdout.split()[-1]


def case(function):
    CASES.append(function)
    return function


def grub(name, file):
    with Screen(name, [guest(file)], 120) as s:
        s.expect(r'GNU GRUB +version 2')
        s.keys('c')
        s.expect(r'grub> *')
        s.type('ls')
        s.expect(r'\((cd|fd0)\b')
        s.type('ls /')
        s.expect(r'boot/')


@case
def grub_floppy(name):
    grub(name, 'grub-floppy')


@case
def grub_cdrom(name):
    grub(name, 'grub-cdrom')


def memtest(name, file):
    with Screen(name, [guest(file), '-m', '64M'], 600 if LONG else 150) as s:
        s.expect(r'Memtest86\+ v6')
        s.expect(r'Test +\d+%')
        if LONG:
            s.expect(r'Pass: +[1-9]')
        if not re.search(r'Errors: +0', s.text):
            raise Failure('errors in memory that has none')


@case
def memtest_kernel(name):
    memtest(name, 'memtest86')


@case
def memtest_cdrom(name):
    memtest(name, 'memtest86-iso')


def ipxe(name, file):
    with Screen(name, [guest(file)], 90) as s:
        s.expect(r'iPXE 1\..* -- Open Source Network Boot')
        s.expect(r'No more network devices|Press Ctrl-B')


@case
def ipxe_kernel(name):
    ipxe(name, 'ipxe-lkrn')


@case
def ipxe_cdrom(name):
    ipxe(name, 'ipxe-iso')


@case
def invaders(name):
    with Screen(name, [guest('invaders'), '-m', '16M'], 60) as s:
        s.expect(r'-\*- +-\*- +-\*-')
        s.expect(r'(?m)^ +/ \\$')


@case
def gnumach(name):
    for megabytes in (48, 256):
        with Screen(name, [guest('gnumach'), '-m', '%dM' % megabytes], 60) as s:
            s.expect(r'No bootstrap code loaded')
            found = re.search(r'DIRECTMAP: pages: \d+ \((\d+)M\)', s.text)
            if not found or not megabytes - 17 <= int(found.group(1)) <= megabytes - 15:
                raise Failure('with %d MiB it sees %s above 16 MiB' % (megabytes, found and found.group(1)))


def run(function):
    name = function.__name__
    try:
        function('pc-' + name.replace('_', '-'))
        return 'ok pc ' + name.replace('_', ' ')
    except Skip as why:
        return 'skip pc %s - %s' % (name.replace('_', ' '), why)
    except Exception as why:            # a bug here must not hide the other cases
        kind = '' if isinstance(why, Failure) else type(why).__name__ + ': '
        return 'not ok pc %s - %s%s' % (name.replace('_', ' '), kind, ' / '.join(str(why).split('\n')))


def main():
    wanted = [c for c in CASES if len(sys.argv) < 2 or any(word in c.__name__ for word in sys.argv[1:])]
    if not os.access(RINGFENCE, os.X_OK):
        print('not ok pc - there is no program %s' % RINGFENCE)
        return 1
    failed = False
    with tempfile.TemporaryDirectory(prefix='rf.') as folder, ThreadPoolExecutor(max_workers=JOBS) as pool:
        os.environ['XDG_RUNTIME_DIR'] = folder
        for line in pool.map(run, wanted):
            print(line, flush=True)
            failed |= line.startswith('not ok')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
