#!/usr/bin/env python3
"""run-linux.py - boots Debian's i386 kernels to a shell, types commands and looks at the answers.

usage: run-linux.py [--engine-cmd COMMAND] [--jobs N] [--list] [CASE...]

COMMAND runs another machine instead of Ringfence, to prove this script: {kernel} {initrd} {append} {m} {cpu} are replaced in its words.
The guests come from tests/guests/fetch.sh; without them everything is skipped. Prints a line for each case.
"""
import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from machine import Failure, Machine

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.environ.get('RINGFENCE', './ringfence')
READY = 'GUEST-READY'
CHECKSUM_BYTES = 32 << 20


def check_uname(m):
    text, status = m.command('uname -a')
    if 'Linux' not in text or 'i686' not in text or status:
        raise Failure('uname -a answers ' + text.strip())


def check_cpuinfo(m):
    text, _ = m.command('cat /proc/cpuinfo')
    for word in ('vendor_id', 'model name', 'flags', 'bogomips'):
        if word not in text:
            raise Failure('/proc/cpuinfo has no %s: %s' % (word, text[:100]))


def check_pipe(m):
    text, _ = m.command("seq 1 1000 | sort -rn | head -n 3 | tr '\\n' ' '")
    if text.split() != ['1000', '999', '998']:
        raise Failure('a pipe gives ' + text.strip())


def check_checksum(m):
    want = hashlib.md5(b'R' * CHECKSUM_BYTES).hexdigest()
    text, _ = m.command("head -c %d /dev/zero | tr '\\0' R | md5sum" % CHECKSUM_BYTES)
    if want not in text:
        raise Failure('the checksum of 32 MiB is %s, not %s' % (text.strip(), want))


def check_sleep(m):
    """Both clocks must agree on how long 'sleep 2' takes; the host sees the typing as well."""
    start = time.monotonic()
    text, _ = m.command('cat /proc/uptime; sleep 2; cat /proc/uptime')
    host = time.monotonic() - start
    first, second = (float(line.split()[0]) for line in text.split('\n')[:2])
    guest = second - first
    if not 1.95 <= guest <= 2.8 or not guest - 0.2 <= host <= guest + 1.0:
        raise Failure('sleep 2 takes %.2f s by the guest and %.2f s by the host' % (guest, host))


def check_date(m):
    text, _ = m.command('date -u +%s')
    if abs(int(text) - time.time()) > 3:
        raise Failure('the date is %d s off' % (int(text) - time.time()))


def check_forks(m):
    text, _ = m.command('i=0; while [ $i -lt 200 ]; do /bin/busybox true || break; i=$((i+1)); done; echo forks $i')
    if 'forks 200' not in text:
        raise Failure('of 200 forks: ' + text.strip())


def check_interrupt(m):
    """Ctrl-C goes to the guest and ends what runs there."""
    m.type("echo SL''EEPS; sleep 1000; echo st''opped $?\n")
    m.expect('SLEEPS', 'the line before sleep')
    time.sleep(0.5)
    m.type('\x03')
    m.expect(r'# ', 'a prompt after Ctrl-C', 10)


SHORT = (check_uname,)
FULL = (check_uname, check_cpuinfo, check_pipe, check_date, check_forks, check_sleep, check_checksum, check_interrupt)


class Case:
    def __init__(self, name, kernel, checks=SHORT, memory='512M', cpu='host', options=(), append='', timeout=100, eof=False):
        self.name, self.kernel, self.checks, self.memory, self.cpu = name, kernel, checks, memory, cpu
        self.options, self.append, self.timeout, self.eof = list(options), append, timeout, eof


# Debian's 686 kernels are built for a Pentium Pro (CMOV): pentium3 is the least of our models that they run on.
CASES = [
    Case('686 512M', 'linux-686', FULL),
    Case('686-pae 512M', 'linux-686-pae', FULL),
    Case('686 128M', 'linux-686', memory='128M'),
    Case('686 2G', 'linux-686', memory='2G'),
    Case('686-pae 128M', 'linux-686-pae', memory='128M'),
    Case('686-pae 2G', 'linux-686-pae', memory='2G'),
    Case('686 pentium3', 'linux-686', (check_uname, check_cpuinfo), cpu='pentium3'),
    Case('686 core2', 'linux-686', cpu='core2'),
    Case('686-pae core2', 'linux-686-pae', (check_uname, check_pipe), cpu='core2'),
    Case('686 end of input', 'linux-686', append='run=bye.sh', eof=True),
    Case('686 check=links', 'linux-686', options=['--check=links'], timeout=140),
    Case('686 check=recover', 'linux-686', options=['--check=recover'], timeout=200),
]


class Suite:
    def __init__(self, guests, initrd, engine_cmd):
        self.guests, self.initrd, self.engine_cmd = guests, initrd, engine_cmd

    def command(self, case):
        append = ' '.join(('console=ttyS0 panic=-1', case.append)).strip()
        values = {'kernel': self.guests[case.kernel], 'initrd': self.initrd, 'append': append, 'm': case.memory, 'cpu': case.cpu}
        if self.engine_cmd:
            return [word.format(**values) for word in self.engine_cmd.split()]
        return [RINGFENCE, 'run', '--kernel', values['kernel'], '--initrd', self.initrd, '--append', append, '-m', case.memory,
                '--cpu', case.cpu, '--serial', 'stdio', '--display', 'none', '--no-reboot'] + case.options

    def run(self, case):
        """Returns the line to print."""
        if self.engine_cmd and case.options:
            return 'skip linux %s - an option of Ringfence alone' % case.name
        start = time.monotonic()
        try:
            with Machine(self.command(case), case.timeout, stdin=subprocess.DEVNULL if case.eof else None) as m:
                m.expect(READY, 'shell')
                booted = time.monotonic() - start
                if case.eof:
                    m.expect('GUEST-DONE 7', 'end of the script')
                else:
                    m.expect('# ', 'prompt')
                for check in case.checks if not case.eof else ():
                    check(m)
                if not case.eof:
                    m.type('exit\n')
                status = m.status(30)
                if status:
                    raise Failure('after switching off the exit status is %d; last lines: %s' % (status, m.tail()))
        except Failure as why:
            return 'not ok linux %s - %s' % (case.name, why)
        except Exception as why:                # a bug here must not hide the other cases
            return 'not ok linux %s - %s: %s' % (case.name, type(why).__name__, why)
        return 'ok linux %s\n# %s: shell after %.1f s, end after %.1f s' % (case.name, case.name, booted, time.monotonic() - start)


def fetch():
    """The files by name, or None with the reason printed."""
    done = subprocess.run([os.path.join(TOP, 'tests/guests/fetch.sh'), 'linux-686', 'linux-686-pae', 'busybox'],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return dict(line.split(' ', 1) for line in done.stdout.splitlines())
    print('skip linux - ' + (done.stderr.strip().splitlines() or ['the guests could not be fetched'])[-1])
    return None


def make_initrd(folder, busybox):
    bye, initrd = os.path.join(folder, 'bye.sh'), os.path.join(folder, 'initrd.gz')
    with open(bye, 'w') as f:
        f.write('cat </dev/null\nsleep 1\nexit 7\n')
    guests = os.path.join(TOP, 'tests/guests')
    subprocess.run([guests + '/mkinitramfs.sh', initrd, busybox, guests + '/init-test.sh', 'bye.sh=' + bye], check=True)
    return initrd


def main():
    parser = argparse.ArgumentParser(description='Boots Debian kernels.')
    parser.add_argument('--engine-cmd', help='another machine instead of Ringfence')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--list', action='store_true')
    parser.add_argument('cases', nargs='*', metavar='CASE', help='cases whose name contains this')
    options = parser.parse_args()
    cases = [c for c in CASES if not options.cases or any(word in c.name for word in options.cases)]
    if options.list:
        print('\n'.join(c.name for c in cases))
        return 0
    guests = fetch()
    if not guests:
        return 77
    with tempfile.TemporaryDirectory(dir=os.environ.get('TEST_TMP')) as folder:
        suite = Suite(guests, make_initrd(folder, guests['busybox']), options.engine_cmd)
        failed = False
        with ThreadPoolExecutor(max_workers=options.jobs) as pool:
            for line in pool.map(suite.run, cases):
                print(line, flush=True)
                failed |= line.startswith('not ok')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
