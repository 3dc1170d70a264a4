#!/usr/bin/env python3
"""run-firmware.py - SeaBIOS from the reset vector to where it finds nothing to boot, as its debug port tells; and again after resets.

usage: run-firmware.py

Prints a line for each case, with the time from power-on.
"""
import os
import sys
import time

from machine import Failure, Machine

RINGFENCE = os.environ.get('RINGFENCE', './ringfence')
MOST_SECONDS = 1.0      # from power-on to the boot attempt; an idle host needs 0.03
CASES = {
    'default': [],
    'little memory': ['-m', '2'],
    'much memory': ['-m', '3584'],
    'an old processor': ['--cpu', '486'],
}


def boots(options):
    command = [RINGFENCE, 'run', '--debugcon', 'stdio', '--serial', 'none', '--display', 'none'] + options
    start = time.monotonic()
    with Machine(command, 30) as m:
        m.expect('SeaBIOS \\(version', "SeaBIOS' first line")
        m.expect('Running on QEMU', 'recognised machine')
        m.expect('Found QEMU fw_cfg', 'fw_cfg')
        m.expect('enter handle_19', 'boot attempt')
        seconds = time.monotonic() - start
        m.expect('No bootable device\\.\n', 'last word')
        m.pump(0.2)
        if 'Retrying' in m.text or m.process.poll() is not None:
            raise Failure('it does not wait where nothing is to be booted: ' + m.tail())
        if seconds > MOST_SECONDS:
            raise Failure('%.2f s from power-on to the boot attempt' % seconds)
        return seconds


def main():
    failed = 0
    for name, options in CASES.items():
        try:
            print('ok %s - %.3f s' % (name, boots(options)), flush=True)
        except Failure as e:
            print('not ok %s - %s' % (name, e), flush=True)
            failed += 1
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
