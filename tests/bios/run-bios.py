#!/usr/bin/env python3
"""run-bios.py - assembles the boot disks beside it and starts each from SeaBIOS: programs that use the processor's old modes and the BIOS.

usage: run-bios.py [--tcg] [NAME...]

--tcg runs them under qemu-system-i386's TCG instead, to check the programs themselves. Where NAME.txt stands beside a program, its
output must end with that; the lines that begin with "limit" are not asked of TCG, which has no segment limits.
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PASSED = 1 * 2 + 1
ENGINES = [[], ['--check=links'], ['--check=recover']]


def command(disk, engine):
    if engine == 'tcg':
        return ['qemu-system-i386', '-accel', 'tcg', '-display', 'none', '-drive', 'format=raw,file=' + disk, '-m', '16',
                '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-debugcon', 'stdio']
    program = os.environ.get('RINGFENCE', os.path.join(TOP, 'ringfence'))
    return [program, 'run', '--disk', disk, '-m', '16M', '--display', 'none', '--serial', 'none', '--debug-exit', '0xf4',
            '--debugcon', 'stdio'] + engine


def compare(lines, expected, engine):
    """Returns what differs first, or nothing."""
    tail = lines[-len(expected):] + [''] * (len(expected) - len(lines))
    for n, (got, want) in enumerate(zip(tail, expected)):
        if got.rstrip() != want and not (engine == 'tcg' and want.startswith('limit')):
            return 'line %d: "%s" for "%s"' % (n + 1, got, want)
    return ''


def run(disk, engine, expected):
    """Returns (passed, last lines of output)."""
    try:
        p = subprocess.run(command(disk, engine), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    except subprocess.TimeoutExpired as e:
        return False, (e.stdout or b'').decode(errors='replace').splitlines()[-3:] + ['it did not end']
    lines = p.stdout.decode(errors='replace').splitlines()
    different = compare(lines, expected, engine)
    return p.returncode == PASSED and not different, lines[-3:] + [different or 'exit status %d' % p.returncode]


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
        disk = os.path.join(out, name + '.img')
        subprocess.run(['nasm', '-f', 'bin', '-o', disk, name + '.asm'], cwd=HERE, check=True)
        text = os.path.join(HERE, name + '.txt')
        expected = open(text).read().splitlines() if os.path.exists(text) else []
        for engine in engines:
            title = ' '.join([name] + (engine if engine != 'tcg' else ['tcg']))
            passed, lines = run(disk, engine, expected)
            print('ok ' + title if passed else 'not ok %s - %s' % (title, '; '.join(lines)), flush=True)
            failed |= not passed
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
