#!/usr/bin/env python3
"""run-guests16.py - boot floppies of our own that use the BIOS and the floppy controller.

usage: run-guests16.py
"""
import os
import subprocess
import sys
import tempfile

RINGFENCE = os.environ.get('RINGFENCE', './ringfence')
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'guest')
GUESTS = {'floppy16': 'ok'}     # what each says to port E9h
SIZE = 1474560


def run(folder, name, wanted):
    """None, or what is wrong."""
    image, said = os.path.join(folder, name + '.img'), os.path.join(folder, name + '.said')
    subprocess.run(['nasm', '-f', 'bin', '-o', image, os.path.join(SOURCE, name + '.asm')], check=True)
    os.truncate(image, SIZE)
    command = [RINGFENCE, 'run', '--floppy', image, '--serial', 'none', '--display', 'none', '--debug-exit', '0xf4',
               '--debugcon', 'file:' + said]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return 'it does not end'
    with open(said, encoding='latin-1') as f:
        text = f.read()
    if not text.endswith(wanted):
        return 'it says %r at the end, not %r' % (text[-40:], wanted)
    with open(image, 'rb') as f:
        f.seek((20 * 36 + 18) * 512)
        track = f.read(18 * 512)
    if track[:4 * 512] != b'\xf6' * 2048 or track[4 * 512:4 * 512 + 4] != b'\x34\x12\x3b\x17':
        return 'the image does not have what was formatted and written'
    return None


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, wanted in GUESTS.items():
            wrong = run(folder, name, wanted)
            print('not ok %s - %s' % (name, wrong) if wrong else 'ok %s' % name, flush=True)
            failed += bool(wrong)
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
