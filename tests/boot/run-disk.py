#!/usr/bin/env python3
"""run-disk.py - disks through the BIOS: a boot sector of our own reads, writes and is refused; images in use; images that are none.

usage: run-disk.py

Prints a line for each case. Needs nasm and SeaBIOS.
"""
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile

RINGFENCE = os.environ.get('RINGFENCE', './ringfence')
HERE = os.path.dirname(os.path.abspath(__file__))
SECTORS = 20000
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


def make(path, boot, mode):
    data = bytearray(b''.join(struct.pack('<I', n) + bytes(508) for n in range(SECTORS)))
    data[:512] = boot
    data[504] = mode
    with open(path, 'wb') as f:
        f.write(data)
    return data


def boots(work, boot, options, mode):
    path = os.path.join(work, 'disk.img')
    data = make(path, boot, mode)
    status, text = ringfence('--disk', path + options)
    if status != GOOD:
        step = STEPS[status // 2] if status % 2 and status // 2 < len(STEPS) else 'status %d' % status
        raise Failure('failed at: %s; %s' % (step, text[-200:]))
    if not mode:
        data[2000 * 512:2100 * 512] = b'\x5a' * (100 * 512)
    with open(path, 'rb') as f:
        if f.read() != data:
            raise Failure('the image is not what it should be now')


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
