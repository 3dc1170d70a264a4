#!/usr/bin/env python3
"""pc.py - 'make bench-pc': what a person waits for on a PC, under Ringfence and under QEMU's TCG, in one run.

  pc.py [--rounds 3] [--bench NAME,...] [--engines ringfence,tcg]

    grub      power-on to GRUB's menu from the rescue CD            memtest   power-on to memtest86+'s first pass line
    installer power-on to the Debian installer's language menu      scroll    10,000 lines of text on the VGA console
    frames    500 full frames at 1024x768x32 through the frame buffer
    write, read   256 MiB on an IDE disk with DMA, O_DIRECT; native is dd on the same host file

The clock is the host's. The screen is looked at every 50 ms over the control sockets, which speak alike; the guests of the other
programs print lines on their serial port, which are stamped when they arrive. Results go to OBJDIR/bench/.
"""
import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
OBJ = os.environ.get('OBJDIR', os.path.join(os.getcwd(), 'build', 'rel'))
OUT = os.path.join(OBJ, 'bench')
RINGFENCE = os.environ.get('RINGFENCE', os.path.join(OBJ, 'ringfence'))
SOCKETS = tempfile.TemporaryDirectory(prefix='ringfence-')
LOOK = 0.05
DISK_MIB = 256
# What runs in the guest: each program between a BEGIN and an END line. 344h + 200h is VBE mode 144h, 1024x768x32.
SCRIPT = r'''
mark() { echo "$1 $2" >/dev/ttyS0; }
case $(cat /proc/cmdline) in
*job=scroll*) mark BEGIN scroll; seq 1 10000 >/dev/tty1; mark END scroll ;;
*job=frames*) head -c 3145728 /dev/urandom >/tmp/a; n=0; mark BEGIN frames
	while [ $n -lt 500 ]; do cat /tmp/a >/dev/fb0; n=$((n + 1)); done; mark END frames ;;
*job=disk*) mark BEGIN write; dd if=/dev/zero of=/dev/sda bs=1M count=%d oflag=direct 2>/dev/null; sync; mark END write
	mark BEGIN read; dd if=/dev/sda of=/dev/null bs=1M count=%d iflag=direct 2>/dev/null; mark END read ;;
esac
mark ALL done
''' % (DISK_MIB, DISK_MIB)


class Refused(Exception):
    """What the machine says to a command that it cannot do."""


class Monitor:
    """The control socket of either program."""

    def __init__(self, path, process, limit):
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > limit:
                    raise
                time.sleep(0.005)
        self.stream = self.socket.makefile('rw')
        self.stream.readline()
        self.execute('qmp_capabilities')

    def execute(self, name, **arguments):
        self.stream.write(json.dumps({'execute': name, 'arguments': arguments} if arguments else {'execute': name}) + '\n')
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if 'return' in answer:
                return answer['return']
            if 'error' in answer:
                raise Refused(answer['error']['desc'])


def screen(engine, monitor):
    if engine == 'ringfence':
        try:
            return monitor.execute('screen-text')
        except Refused:         # the screen is still off
            return ''
    path = os.path.join(OUT, 'vga')
    monitor.execute('pmemsave', val=0xb8000, size=0x8000, filename=path)      # all: the console scrolls by the start address
    with open(path, 'rb') as f:
        cells = f.read()[::2].decode('latin-1')
    return '\n'.join(cells[i:i + 80] for i in range(0, len(cells), 80))


def command(engine, run, sock, serial):
    """run: memory in MiB, kernel, initrd, append, cdrom, disk."""
    extra = []
    if engine == 'tcg':
        for option in 'kernel', 'initrd', 'append', 'cdrom':
            if run.get(option):
                extra += ['-' + option, run[option]]
        if run.get('disk'):
            extra += ['-drive', 'if=ide,format=raw,cache=none,file=' + run['disk']]
        return ['qemu-system-i386', '-accel', 'tcg', '-cpu', 'max', '-m', str(run['memory']), '-vga', 'std', '-display', 'none',
                '-net', 'none', '-serial', 'file:' + serial, '-qmp', 'unix:%s,server,nowait' % sock, *extra]
    for option in 'kernel', 'initrd', 'append', 'cdrom', 'disk':
        if run.get(option):
            extra += ['--' + option, run[option]]
    if run.get('kernel'):
        extra += ['--firmware', 'seabios']
    return [RINGFENCE, 'run', '-m', '%dM' % run['memory'], '--display', 'none', '--serial', 'file:' + serial, '--name', 'bench', *extra]


def start(engine, run):
    sock = os.path.join(SOCKETS.name, 'qmp' if engine == 'tcg' else 'ringfence/bench.sock')
    serial = os.path.join(OUT, 'serial')
    for path in sock, serial:
        if os.path.exists(path):
            os.unlink(path)
    with open(os.path.join(OUT, 'pc-%s.log' % engine), 'w', encoding='ascii') as log:
        process = subprocess.Popen(command(engine, run, sock, serial), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env=dict(os.environ, XDG_RUNTIME_DIR=SOCKETS.name))
    return process, sock, serial


def stop(process):
    process.kill()
    process.wait()


def to_screen(engine, run, pattern, limit):
    """Seconds from the start of the process until the screen shows the pattern; None: not in time."""
    begin = time.monotonic()
    process, sock, _ = start(engine, run)
    try:
        monitor = Monitor(sock, process, begin + 10)
        while time.monotonic() < begin + limit:
            if re.search(pattern, screen(engine, monitor)):
                return time.monotonic() - begin
            time.sleep(LOOK)
    except (OSError, ValueError) as why:
        print('%s: %s' % (engine, why), file=sys.stderr)
    finally:
        stop(process)
    return None


def marks(engine, run, limit):
    """What the guest marks on its serial line: name -> seconds between its BEGIN and END."""
    begin, times, taken = time.monotonic(), {}, {}
    process, _, serial = start(engine, run)
    seen = 0
    try:
        while time.monotonic() < begin + limit and process.poll() is None:
            text = open(serial, encoding='latin-1').read() if os.path.exists(serial) else ''
            lines, now = text[:text.rfind('\n') + 1].splitlines(), time.monotonic()
            for line in lines[seen:]:
                word = line.strip().split()
                if word[:1] == ['BEGIN']:
                    times[word[1]] = now
                elif word[:1] == ['END']:
                    taken[word[1]] = now - times[word[1]]
                elif word == ['ALL', 'done']:
                    return taken
            seen = len(lines)
            time.sleep(0.002)
    finally:
        stop(process)
    return taken


def native_disk(path):
    taken = {}
    for name, words in (('write', ['if=/dev/zero', 'of=' + path, 'oflag=direct', 'conv=notrunc']),
                        ('read', ['if=' + path, 'of=/dev/null', 'iflag=direct'])):
        begin = time.monotonic()
        subprocess.run(['dd', 'bs=1M', 'count=%d' % DISK_MIB, *words], stderr=subprocess.DEVNULL, check=True)
        if name == 'write':
            os.sync()
        taken[name] = time.monotonic() - begin
    return taken


def fetched(*names):
    out = subprocess.run([os.path.join(TOP, 'tests/guests/fetch.sh'), *names], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = dict(line.split(' ', 1) for line in out.splitlines())
    return [found[n] for n in names]


def prepare():
    os.makedirs(OUT, exist_ok=True)
    kernel, busybox, cdrom, memtest, di, di_rd = fetched('linux-686', 'busybox', 'grub-cdrom', 'memtest86', 'installer', 'installer-rd')
    script, initrd, disk = (os.path.join(OUT, n) for n in ('pc.sh', 'pc.cpio.gz', 'pc-disk.img'))
    with open(script, 'w', encoding='ascii') as f:
        f.write('#!/bin/busybox sh\n/bin/busybox --install -s /bin\nmount -t proc proc /proc\nmount -t devtmpfs dev /dev\nmkdir -p /tmp\n'
                'for round in 1 2 3 4 5 6; do for m in /mod/*.ko; do insmod $m 2>/dev/null && rm $m; done; done\n'
                'grep -q job=disk /proc/cmdline && n=0 || n=50\n'
                'until [ -b /dev/sda ] || [ $n = 50 ]; do sleep 0.1; n=$((n + 1)); done\n'
                + SCRIPT + 'sleep 1000\n')
    os.chmod(script, 0o755)
    subprocess.run([os.path.join(TOP, 'tests/guests/disk-initramfs.sh'), initrd, busybox, kernel, script], check=True)
    with open(disk, 'wb') as f:
        f.truncate(DISK_MIB << 20)
    linux = {'memory': 256, 'kernel': kernel, 'initrd': initrd}
    return {
        'grub': ('screen', {'memory': 64, 'cdrom': cdrom}, 'GNU GRUB', 60),
        'memtest': ('screen', {'memory': 64, 'kernel': memtest}, r'(?s)Memtest86.*Test #\d', 60),
        'installer': ('screen', dict(memory=512, kernel=di, initrd=di_rd, append='fb=false nomodeset'), 'Select a language', 200),
        'scroll': ('marks', dict(linux, append='quiet console=tty0 job=scroll'), None, 120),
        'frames': ('marks', dict(linux, append='quiet console=tty0 vga=0x344 job=frames'), None, 400),
        'disk': ('marks', dict(linux, append='quiet console=tty0 job=disk', disk=disk), None, 120),
    }


def once(engine, kind, run, pattern, limit, name):
    if engine == 'native':
        return native_disk(run['disk']) if name == 'disk' else {}
    if kind == 'screen':
        return {name: to_screen(engine, run, pattern, limit)}
    return marks(engine, run, limit)


def table(results, engines):
    print('\n| what | %s | faster than TCG |' % ' | '.join(e + ' s' for e in engines))
    print('|---' * (len(engines) + 2) + '|')
    for name in dict.fromkeys(n for e in reversed(engines) for n in results[e]):
        mid = {e: statistics.median(v) for e in engines if (v := [x for x in results[e].get(name, []) if x is not None])}
        ratio = '%.2fx' % (mid['tcg'] / mid['ringfence']) if 'tcg' in mid and mid.get('ringfence') else '-'
        print('| %s | %s | %s |' % (name, ' | '.join('%.2f' % mid[e] if e in mid else '-' for e in engines), ratio))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--bench', default='all')
    parser.add_argument('--engines', default='native,ringfence,tcg')
    options = parser.parse_args()
    engines = options.engines.split(',')
    jobs = prepare()
    chosen = list(jobs) if options.bench == 'all' else options.bench.split(',')
    if set(chosen) - set(jobs):
        parser.error('there is no %s; there are: %s' % (', '.join(set(chosen) - set(jobs)), ', '.join(jobs)))
    results = {e: {} for e in engines}
    for turn in range(options.rounds):
        for name in chosen:
            for engine in engines:
                for key, seconds in once(engine, *jobs[name], name).items():
                    results[engine].setdefault(key, []).append(seconds)
                    shown = '%.2f s' % seconds if seconds else 'not in time'
                    print('round %d/%d %-10s %-10s %s' % (turn + 1, options.rounds, engine, key, shown), flush=True)
    with open(os.path.join(OUT, 'pc.json'), 'w', encoding='ascii') as f:
        json.dump(results, f)
    print('\nLoad now: %.2f' % os.getloadavg()[0])
    table(results, engines)
    return 0 if all(x is not None for e in engines for v in results[e].values() for x in v) else 1


if __name__ == '__main__':
    sys.exit(main())
