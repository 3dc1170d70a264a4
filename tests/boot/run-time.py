#!/usr/bin/env python3
"""run-time.py - guest time against the host's, and what an idle guest costs.

usage: run-time.py [CASE...]

Short in 'make check' (20 s of load, 10 s of idling), the full five minutes of mixed load with RINGFENCE_LONG=1 (make check-long).
Prints a line for each case, with the figures measured.
"""
import os
import subprocess
import sys
import tempfile
import time

from machine import Failure, Machine

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.environ.get('RINGFENCE', './ringfence')
LONG = os.environ.get('RINGFENCE_LONG') == '1'
LOAD_SECONDS = 300 if LONG else 20
IDLE_SECONDS = 60 if LONG else 10
MOST_DRIFT = 0.1                # seconds over the time of load
MOST_IDLE = 0.02 if LONG else 0.05      # of one processor; other tests beside it take caches away
# Computing, forking, writing to memory, short sleeps, and output on the serial line, side by side.
LOADS = ("while :; do head -c 4000000 /dev/zero | md5sum; done >/dev/null &",
         "while :; do /bin/busybox true; sleep 0.05; done &",
         "while :; do dd if=/dev/zero of=/tmp/x bs=64k count=64; sleep 0.3; done 2>/dev/null &",
         "while :; do cat /proc/interrupts; sleep 1; done >/dev/ttyS0 &")


def offset(m):
    """Guest's date less the host's, in seconds, and how uncertain that is: the quickest of some questions counts."""
    best = None
    for n in range(12):
        before = time.time()
        m.type('adjtimex\n')    # busybox' date knows no fractions
        found = m.expect(r'time.tv_sec: +(\d+)\n.*time.tv_usec: +(\d+)\n', 'date')
        after = time.time()
        if best is None or after - before < best[1]:
            guest = int(found.group(1)) + int(found.group(2)) / 1e6
            best = (guest - (before + after) / 2, after - before)
        m.pump(0.1)
    return best


def processor_seconds(m):
    with open('/proc/%d/stat' % m.process.pid) as f:
        fields = f.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def drift(m):
    start, blur = offset(m)
    for load in LOADS:
        m.command('{ %s }' % load)
    time_of_load(m)
    m.type('kill $(jobs -p)\n')
    m.pump(1)
    end, blur_end = offset(m)
    moved = end - start
    figures = 'date moved by %+.4f s in %d s of load (read to within %.4f s)' % (moved, LOAD_SECONDS, (blur + blur_end) / 2)
    if abs(moved) > MOST_DRIFT:
        raise Failure(figures)
    return figures


def time_of_load(m):
    end = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < end:
        if not m.pump(min(1, max(0, end - time.monotonic()))):
            raise Failure('it ended under load: ' + m.tail())


def idle(m):
    time.sleep(2)               # what the start left to do
    before = processor_seconds(m)
    time.sleep(IDLE_SECONDS)
    share = (processor_seconds(m) - before) / IDLE_SECONDS
    figures = 'an idle guest uses %.2f %% of a processor' % (100 * share)
    if share > MOST_IDLE:
        raise Failure(figures)
    return figures


CASES = [('idle 686', 'linux-686', idle), ('idle 686-pae', 'linux-686-pae', idle), ('drift 686', 'linux-686', drift)]


def run(name, kernel, initrd, check):
    words = [RINGFENCE, 'run', '--kernel', kernel, '--initrd', initrd, '--append', 'console=ttyS0 panic=-1', '-m', '256M', '--no-reboot']
    try:
        with Machine(words, LOAD_SECONDS + 120) as m:
            m.expect('GUEST-READY', 'shell')
            m.expect('# ', 'prompt')
            figures = check(m)
    except Failure as why:
        return 'not ok time %s - %s' % (name, why)
    except Exception as why:                    # a bug here must not hide the other cases
        return 'not ok time %s - %s: %s' % (name, type(why).__name__, why)
    return 'ok time %s\n# %s: %s' % (name, name, figures)


def main():
    fetched = subprocess.run([TOP + '/tests/guests/fetch.sh', 'linux-686', 'linux-686-pae', 'busybox'], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    if fetched.returncode:
        print('skip time - ' + (fetched.stderr.strip().splitlines() or ['the guests could not be fetched'])[-1])
        return 77
    guests = dict(line.split(' ', 1) for line in fetched.stdout.splitlines())
    failed = False
    with tempfile.TemporaryDirectory(dir=os.environ.get('TEST_TMP')) as folder:
        initrd = os.path.join(folder, 'initrd.gz')
        subprocess.run([TOP + '/tests/guests/mkinitramfs.sh', initrd, guests['busybox'], TOP + '/tests/guests/init-test.sh'], check=True)
        for name, kernel, check in CASES:       # one after the other: they measure
            if len(sys.argv) < 2 or any(word in name for word in sys.argv[1:]):
                line = run(name, guests[kernel], initrd, check)
                print(line, flush=True)
                failed |= line.startswith('not ok')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
