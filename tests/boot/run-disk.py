#!/usr/bin/env python3
"""run-disk.py - disks through the BIOS: a boot sector of our own reads, writes and is refused; a full disk; images in use; images that
are none.

usage: run-disk.py

Prints a line for each case. Needs nasm and SeaBIOS.
"""
import fcntl
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

RINGFENCE = os.environ.get('RINGFENCE', './ringfence')
HERE = os.path.dirname(os.path.abspath(__file__))
NEAR = 20000            # sectors with a number, from the start and from FAR on
FAR = 140000
COUNT = 100
SECTORS = 160000
LIMIT = 68 << 20        # bytes: more than the machine's memory, less than FAR
PORT = '0x501'
GOOD = 16 * 2 + 1       # what the boot sector writes to the exit port when all is well
STEPS = ('nothing', 'extended read', 'its data', 'geometry', 'read by CHS', 'its data', 'write', 'reading back')


class Failure(Exception):
    """One sentence: what went wrong."""


def ringfence(*options):
    command = [RINGFENCE, 'run', '--display', 'none', '--serial', 'none', '--debug-exit', PORT] + list(options)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise Failure('it did not end within 60 s') from None
    return done.returncode, done.stdout.strip()


def numbered(first, count):
    return b''.join(struct.pack('<I', n) + bytes(508) for n in range(first, first + count))


def make(path, boot, mode):
    with open(path, 'wb') as f:
        f.truncate(SECTORS * 512)
        f.write(numbered(0, NEAR))
        f.seek(FAR * 512)
        f.write(numbered(FAR, COUNT))
        f.seek(0)
        f.write(boot[:504] + bytes([mode]) + boot[505:])


def check(path, mode):
    """What the boot sector was to write is there, and beside it nothing has changed."""
    with open(path, 'rb') as f:
        f.seek(512)
        if f.read((NEAR - 1) * 512) != numbered(1, NEAR - 1):
            raise Failure('sectors near the start have changed')
        f.seek((FAR - 1) * 512)
        far = numbered(FAR, COUNT) if mode else b'\x5a' * (COUNT * 512)
        if f.read((COUNT + 2) * 512) != bytes(512) + far + bytes(512):
            raise Failure('what was written is not in the image, or more than that')


def good(status, text):
    if status != GOOD:
        step = STEPS[status // 2] if status % 2 and status // 2 < len(STEPS) else 'status %d' % status
        raise Failure('failed at: %s; %s' % (step, text[-200:]))


def boots(work, boot, options, mode):
    path = os.path.join(work, 'disk.img')
    make(path, boot, mode)
    good(*ringfence('--disk', path + options))
    check(path, mode)


def boots_from(work, boot, name):
    """The same disk in another format, which is found by content."""
    path, image = os.path.join(work, 'disk.img'), os.path.join(work, 'disk.' + name)
    make(path, boot, 0)
    for words in ((['-f', 'raw', '-O', name, path, image]), ['-O', 'raw', image, path + '.back']):
        done = subprocess.run([RINGFENCE, 'image', 'convert', *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60)
        if done.returncode:
            raise Failure(done.stdout)
        if words[-1] == image:
            good(*ringfence('--disk', image))
    check(path + '.back', 0)
    os.unlink(path + '.back')


def ctl(work, *words):
    done = subprocess.run([RINGFENCE, 'ctl', 'full', *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30,
                          env=dict(os.environ, XDG_RUNTIME_DIR=work))
    return done.stdout


def wait_paused(work, path):
    end = time.monotonic() + 30
    while 'cannot be written: File too large' not in ctl(work, 'query-status'):
        if time.monotonic() > end:
            raise Failure('it does not pause: ' + ctl(work, 'query-status')[-200:])
        time.sleep(0.05)


def host_full(work, boot):
    """The host refuses a write; the machine pauses, again when nothing has changed, and goes on when there is room."""
    path = os.path.join(work, 'disk.img')
    make(path, boot, 0)
    command = [RINGFENCE, 'run', '--display', 'none', '--debug-exit', PORT, '--name', 'full', '-m', '16', '--disk', path]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=dict(os.environ, XDG_RUNTIME_DIR=work),
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY)))
    try:
        wait_paused(work, path)
        ctl(work, 'cont')
        wait_paused(work, path)
        check(path, 1)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ctl(work, 'cont')
        good(process.wait(30), process.stdout.read())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    check(path, 0)


def in_use(work, boot):
    path = os.path.join(work, 'disk.img')
    make(path, boot, 1)
    want = 'ringfence: %s: in use by another machine' % path
    with open(path, 'r+b') as f:
        lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(f, 37, lock)                # F_OFD_SETLK
        for options in ('', ',readonly'):
            if ringfence('--disk', path + options) != (1, want):
                raise Failure('an image in use is not refused: ' + str(ringfence('--disk', path + options)))
        fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
        fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
        if ringfence('--disk', path) != (1, want):
            raise Failure('an image that others read can be written')
        if ringfence('--disk', path + ',readonly')[0] != GOOD:
            raise Failure('an image that others read cannot be read')
    if ringfence('--disk', path, '--disk', path) != (1, want):
        raise Failure('an image given twice is not refused')


def no_image(work, boot):
    empty = os.path.join(work, 'empty')
    with open(empty, 'wb'):
        pass
    cases = {
        work: 'is a directory, not a disk image',
        empty: 'is empty',
        os.path.join(work, 'none'): 'cannot be opened: No such file or directory',
        '/dev/null': 'is neither a file nor a block device',
    }
    for path, sentence in cases.items():
        got = ringfence('--disk', path)
        if got != (1, 'ringfence: %s: %s' % (path, sentence)):
            raise Failure('%s: status %d, %s' % (path, got[0], got[1][-200:]))


def main():
    if not shutil.which('nasm'):
        print('there is no nasm')
        return 77
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        binary = os.path.join(work, 'boot.bin')
        subprocess.run(['nasm', '-f', 'bin', '-o', binary, os.path.join(HERE, 'disk.asm')], check=True)
        with open(binary, 'rb') as f:
            boot = f.read()
        cases = {
            'reads and writes': lambda: boots(work, boot, '', 0),
            'a second disk is not the first': lambda: boots(work, boot, ',unit=3', 0),
            'a read-only disk refuses': lambda: boots(work, boot, ',readonly', 1),
            'a full host disk': lambda: host_full(work, boot),
            **{'a disk in %s' % name: lambda name=name: boots_from(work, boot, name) for name in ('vdi', 'vhd', 'vmdk', 'bochs', 'qcow2')},
            'images in use': lambda: in_use(work, boot),
            'no images': lambda: no_image(work, boot),
        }
        for name, case in cases.items():
            try:
                case()
                print('ok ' + name, flush=True)
            except Failure as e:
                print('not ok %s - %s' % (name, e), flush=True)
                failed += 1
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
