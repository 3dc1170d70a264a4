#!/usr/bin/env python3
"""run-asm.py - assembles the programs beside it and runs each under every engine.

usage: run-asm.py [--tcg] [NAME...]

--tcg runs them under qemu-system-i386's TCG instead, to check the programs themselves; where TCG is known to differ from the
SDM (segment limits, reserved page-table bits, debug exceptions) its FAIL lines are shown and do not count.
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PASS = 0x10 * 2 + 1
ENGINES = [[], ['--check=links'], ['--check=recover']]
# What is not there yet: shown as skipped as long as it fails.
MISSING = {}


def command(binary, engine):
    if engine == 'tcg':
        return ['qemu-system-i386', '-accel', 'tcg', '-cpu', 'max', '-display', 'none', '-kernel', binary,
                '-device', 'isa-debug-exit,iobase=0xf4', '-debugcon', 'stdio']
    program = os.environ.get('RINGFENCE', os.path.join(TOP, 'ringfence'))
    return [program, 'run', '--kernel', binary, '-m', '16M', '--display', 'none', '--serial', 'none',
            '--debug-exit', '0xf4', '--debugcon', 'stdio'] + engine


def run(binary, engine):
    """Returns (passed, lines of output)."""
    try:
        p = subprocess.run(command(binary, engine), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=60)
    except subprocess.TimeoutExpired as e:
        return False, (e.stdout or b'').decode(errors='replace').splitlines()[-3:] + ['it did not end']
    lines = p.stdout.decode(errors='replace').splitlines()
    if p.returncode not in (PASS, PASS + 2):
        lines.append('exit status %d' % p.returncode)
    return p.returncode == PASS, lines


def main():
    args = sys.argv[1:]
    engines = ['tcg'] if '--tcg' in args else ENGINES
    names = [a for a in args if not a.startswith('-')] or sorted(f[:-4] for f in os.listdir(HERE) if f.endswith('.asm'))
    out = os.environ.get('TEST_TMP', '/tmp')
    failed = False
    if not shutil.which('nasm'):
        print('nasm is missing')
        return 77
    for name in names:
        binary = os.path.join(out, name + '.bin')
        subprocess.run(['nasm', '-f', 'bin', '-o', binary, name + '.asm'], cwd=HERE, check=True)
        for engine in engines:
            title = ' '.join([name] + (engine if engine != 'tcg' else ['tcg']))
            passed, lines = run(binary, engine)
            bad = [line for line in lines if not line.startswith('ok ')]
            if passed:
                print('ok ' + title)
            else:
                print('not ok %s - %s' % (title, '; '.join(bad[:4])))
                failed = True
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
