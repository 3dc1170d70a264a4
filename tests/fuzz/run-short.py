#!/usr/bin/env python3
"""run-short.py - every fuzzer for a moment, with fixed seeds: that they build and run, and that nothing old is back."""
import os
import subprocess
import sys

OBJ = os.environ.get('OBJDIR', 'build/rel')
os.environ.setdefault('RINGFENCE', os.path.abspath(os.path.join(OBJ, 'ringfence')))
# Name, arguments. Cases are counted, not seconds, so that each run does the same.
RUNS = [
    ('sniff', '-n 3000'),
    ('cli', '-n 30000'),
    ('loader', '-n 20000'),
    ('ova', '-n 5000'),
    ('control', '-n 1000'),
    ('dev', 'all -n 60000'),
]


def main():
    failed = False
    for name, args in RUNS:
        program = os.path.join(OBJ, 'fuzz', name)
        try:
            p = subprocess.run([program] + args.split(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=240)
            status, out = p.returncode, p.stdout.decode(errors='replace')
        except subprocess.TimeoutExpired as e:
            status, out = 'too slow', (e.stdout or b'').decode(errors='replace')
        print(out, end='')
        if status == 0:
            print('ok ' + name)
        elif status == 77:
            print('skip %s - %s' % (name, out.strip()))
        else:
            print('not ok %s - status %s' % (name, status))
            failed = True
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
