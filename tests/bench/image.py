#!/usr/bin/env python3
"""image.py - 'make bench-image': ringfence image convert beside qemu-img convert, raw to qcow2, back, and compressed.

usage: image.py [--rounds N] [--size MIB] [--folder DIR]

The disk is a quarter zeroes, a quarter noise and half words. Both leave their output in the page cache (-t unsafe).
They take turns; the best of N rounds counts. Prints seconds, processor seconds, and qemu-img's time over ours: above 1 we are
faster.
"""
import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time

RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
OURS = [RINGFENCE, 'image', 'convert', '--overwrite', '-t', 'unsafe']
THEIRS = ['qemu-img', 'convert']


def make_disk(path, mib):
    r = random.Random(1)
    words = [bytes(r.choices(b'abcdefghijklmnopqrstuvwxyz', k=r.randrange(2, 9))) for _ in range(2000)]
    with open(path, 'wb') as f:
        for i in range(mib):
            if i % 4 == 3:
                f.seek(1 << 20, os.SEEK_CUR)
            elif i % 4 == 1:
                f.write(r.randbytes(1 << 20))
            else:
                f.write(b' '.join(r.choices(words, k=200000))[:1 << 20])
        f.truncate(mib << 20)


def measure(command):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--folder')
    args = parser.parse_args()
    if not shutil.which('qemu-img'):
        print('bench-image: qemu-img (qemu-utils) is missing')
        return 77
    folder = tempfile.mkdtemp(prefix='bench-image-', dir=args.folder)
    raw, q, back, packed = (os.path.join(folder, name) for name in ('raw', 'qcow2', 'back', 'packed'))
    try:
        make_disk(raw, args.size)
        print('%-22s %18s %18s %7s' % ('%d MiB' % args.size, 'ringfence', 'qemu-img', 'ratio'))
        for name, words in (('raw to qcow2', ['-f', 'raw', '-O', 'qcow2', raw, q]), ('qcow2 to raw', ['-f', 'qcow2', '-O', 'raw', q, back]),
                            ('raw to qcow2, packed', ['-c', '-f', 'raw', '-O', 'qcow2', raw, packed])):
            best = [(1e9, 1e9), (1e9, 1e9)]
            for i in range(2 * args.rounds):
                best[i % 2] = min(best[i % 2], measure([OURS, THEIRS][i % 2] + words))
            print('%-22s %8.2f s %6.2f %8.2f s %6.2f %7.2f' % (name, *best[0], *best[1], best[1][0] / best[0][0]))
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == '__main__':
    sys.exit(main())
