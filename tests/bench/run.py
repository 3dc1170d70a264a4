#!/usr/bin/env python3
"""run.py - 'make bench': times the benchmark guest natively, under Ringfence and under QEMU's TCG, in one run.

  run.py run [--rounds 3] [--scale 0.2] [--bench all] [--configs 686,pae,pti] [--engines native,ringfence,tcg] [--build]
  run.py table FILE.json...       prints the tables again, of one or several result files together

Configurations: 686 is Debian's 686 kernel, pae its 686-pae kernel with pti=off, pti the same with pti=on (page-table
isolation: the kernel switches CR3 twice an entry). Engines run in turn within a round, so slow drifts of the host
spread over all of them.

The clock is the host's: each byte of the guest's console is stamped when it arrives, so a guest clock that lies does
not matter. A benchmark's time runs from its BEGIN line to its END line, boot time from the start of the process to
GUEST-READY. Each benchmark prints a checksum of its results; a difference between engines is an emulation bug and
makes the exit status 1, and so does a benchmark that did not finish. Results go to OBJDIR/bench/.
"""
import argparse
import json
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
OBJ = os.environ.get('OBJDIR', os.path.join(os.getcwd(), 'build', 'rel'))
OUT = os.path.join(OBJ, 'bench')
RINGFENCE = os.environ.get('RINGFENCE', os.path.join(OBJ, 'ringfence'))
MEMORY_MIB = 512
CMDLINE = 'console=ttyS0,115200 earlyprintk=ttyS0,115200'
CONFIGS = {     # kernel, more kernel arguments
    '686': ('linux-686', ''),
    'pae': ('linux-686-pae', 'pti=off'),
    'pti': ('linux-686-pae', 'pti=on'),
}
ENGINES = ('native', 'ringfence', 'tcg')
# What the host's own kernel makes odd (int 0x80 from 32-bit code is a slow path of a 64-bit kernel, as are its signals)
# tells nothing as a ratio to native.
NO_NATIVE_RATIO = {'syscall', 'signal'}


def groups():
    """Benchmark name -> group, in the order of benches.h."""
    with open(os.path.join(HERE, 'benches.h'), encoding='utf-8') as f:
        return dict(re.findall(r'^\{ "(\w+)",\s*"(\w+)"', f.read(), re.MULTILINE))


def command(engine, config, files, options):
    """(argument vector, more environment) of one run."""
    if engine == 'native':
        return ([os.path.join(OUT, 'gbench'), '-s', options.scale, options.bench], {'GBENCH_BUSYBOX': files['busybox']})
    kernel, extra = CONFIGS[config]
    append = ' '.join(w for w in (CMDLINE, 'bench=' + options.bench, 'scale=' + options.scale, extra, options.append) if w)
    initrd = os.path.join(OUT, 'bench.cpio.gz')
    if engine == 'tcg':
        return (['qemu-system-i386', '-accel', 'tcg', '-cpu', 'max', '-smp', '1', '-m', str(MEMORY_MIB), '-display', 'none', '-nodefaults',
                 '-no-reboot', '-serial', 'stdio', '-kernel', files[kernel], '-initrd', initrd, '-append', append], {})
    return ([RINGFENCE, 'run', '--kernel', files[kernel], '--initrd', initrd, '--append', append, '-m', '%dM' % MEMORY_MIB,
             '--serial', 'stdio', '--display', 'none', '--no-reboot'] + options.ringfence_args.split(), {})


class Console:
    """Takes the guest's lines with their times and keeps what they say."""

    def __init__(self):
        self.ready = None
        self.done = False
        self.bench = {}
        self.errors = []

    def line(self, text, when):
        start = re.search(r'G(BENCH|UEST)', text)       # kernel messages may stand before it
        words = text[start.start():].split() if start else ['']
        if words[0] == 'GUEST-READY':
            self.ready = self.ready or when
        elif words[0] == 'GBENCH-BEGIN' and len(words) >= 2:
            self.bench[words[1]] = {'begin': when}
        elif words[0] == 'GBENCH-END' and len(words) >= 2 and words[1] in self.bench:
            self.bench[words[1]]['wall'] = when - self.bench[words[1]].pop('begin')
        elif words[0] == 'GBENCH' and len(words) >= 6 and words[1] in self.bench:
            self.bench[words[1]].update(guest_s=float(words[4]), check=words[5].replace('check=', ''))
        elif words[0] == 'GBENCH-DONE':
            self.done = True
        elif words[0] == 'GBENCH-ERROR':
            self.errors.append(text)


def follow(process, console, log, timeout):
    """Reads the console to its end; False when it took too long."""
    start, rest = time.monotonic(), b''
    fd = process.stdout.fileno()
    while True:
        left = timeout - (time.monotonic() - start)
        if left <= 0:
            return False
        if not select.select([fd], [], [], left)[0]:
            continue
        data = os.read(fd, 65536)
        when = time.monotonic() - start
        if not data:
            return True
        log.write(data)
        *lines, rest = (rest + data).split(b'\n')
        for line in lines:
            console.line(line.decode('latin-1').strip(), when)


def run_once(argv, more_env, log_path, timeout, cpu):
    console = Console()
    quiet_in, quiet_out = os.pipe()         # a stdin that stays open and says nothing
    load = os.getloadavg()[0]
    process = subprocess.Popen(argv, stdin=quiet_in, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env=dict(os.environ, **more_env), preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
                               start_new_session=True)
    os.close(quiet_in)
    try:
        with open(log_path, 'wb') as log:
            ended = follow(process, console, log, timeout)
    finally:
        if process.poll() is None:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(process.pid, signal.SIGKILL)      # the group that was made for it
        except ProcessLookupError:
            pass
        status = process.wait()
        process.stdout.close()
        os.close(quiet_out)
    errors = list(console.errors)
    if not ended:
        errors.append('no end within %d s' % timeout)
    if not console.done and ended:
        errors.append('ended early (exit status %d), see %s' % (status, os.path.relpath(log_path)))
    return {'ready': console.ready, 'bench': console.bench, 'errors': errors, 'load': load}


def host():
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        model = re.search(r'model name\s*:\s*(.*)', f.read())
    return {'name': os.uname().nodename, 'kernel': os.uname().release, 'cpu': model.group(1) if model else 'unknown',
            'ncpu': os.cpu_count(), 'date': time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}


# --- tables -----------------------------------------------------------------------------------------------------------

def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def wall(runs, engine, config, bench):
    """Median seconds. Native runs have no kernel of their own: they serve every configuration."""
    return median(r['bench'].get(bench, {}).get('wall') for r in runs
                  if r['engine'] == engine and (engine == 'native' or r['config'] == config))


def show(value, form='%.2f'):
    return '-' if value is None else form % value


def ratio(a, b):
    return a / b if a is not None and b else None


def geomean(values):
    values = [v for v in values if v]
    return statistics.geometric_mean(values) if values else None


def print_config(runs, config, order):
    rows = []
    for bench, group in order.items():
        native, ours, tcg = (wall(runs, engine, config, bench) for engine in ENGINES)
        if ours is None and tcg is None:
            continue
        slowdown = None if bench in NO_NATIVE_RATIO else ratio(ours, native)
        rows.append((bench, group, native, ours, tcg, slowdown, ratio(tcg, ours)))
    print('\n%s (%s)\n' % (config, ' '.join(w for w in CONFIGS[config] if w)))
    print('| benchmark | group | native s | ringfence s | TCG s | ringfence / native | faster than TCG |')
    print('|---|---|---:|---:|---:|---:|---:|')
    for bench, group, native, ours, tcg, slowdown, gain in rows:
        print('| %s | %s | %s | %s | %s | %s | %s |' % (bench, group, show(native, '%.3f'), show(ours, '%.3f'), show(tcg, '%.3f'),
                                                     show(slowdown), show(gain, '%.2fx')))
    for name in ('compute', 'kernel', 'real', 'all'):
        some = [r for r in rows if name in (r[1], 'all')]
        if some:
            means = (show(geomean(r[5] for r in some)), show(geomean(r[6] for r in some), '%.2fx'))
            print('| **%s** | geometric mean | | | | %s | %s |' % (name, *means))
    boots = [median(r['ready'] for r in runs if r['engine'] == e and r['config'] == config) for e in ENGINES[1:]]
    if any(boots):
        gain = show(ratio(boots[1], boots[0]), '%.2fx')
        print('| **boot** | to GUEST-READY | | %s | %s | | %s |' % (show(boots[0]), show(boots[1]), gain))


def print_isolation(runs, order):
    """What page-table isolation costs each engine: kernel benchmarks on pti against pae."""
    rows = []
    for bench in (b for b, group in order.items() if group == 'kernel'):
        costs = [ratio(wall(runs, e, 'pti', bench), wall(runs, e, 'pae', bench)) for e in ENGINES[1:]]
        if any(costs):
            rows.append((bench, *costs))
    if rows:
        print('\nKernel benchmarks with page-table isolation (pti) against without (pae)\n')
        print('| benchmark | ringfence | TCG |\n|---|---:|---:|')
        for bench, ours, tcg in rows + [('**geometric mean**', geomean(r[1] for r in rows), geomean(r[2] for r in rows))]:
            print('| %s | %s | %s |' % (bench, show(ours), show(tcg)))


def wrong_checksums(runs):
    """(benchmark, {checksum: engines}) where engines disagree; native is right."""
    wrong = []
    for bench in dict.fromkeys(b for r in runs for b in r['bench']):
        by_sum = {}
        for r in runs:
            check = r['bench'].get(bench, {}).get('check')
            if check:
                label = r['engine'] if r['engine'] == 'native' else '%s %s' % (r['engine'], r['config'])
                by_sum.setdefault(check, set()).add(label)
        if len(by_sum) > 1:
            wrong.append((bench, {check: sorted(labels) for check, labels in by_sum.items()}))
    return wrong


def print_tables(data):
    """Prints everything; returns whether all is well."""
    runs, machine = data['runs'], data['host']
    print('\nHost %(name)s: %(cpu)s, %(ncpu)d CPUs, Linux %(kernel)s, %(date)s' % machine)
    loads = [r['load'] for r in runs]
    print('Scale %s, medians of %d rounds, load %.2f to %.2f before the runs' %
          (data['scale'], 1 + max(r['round'] for r in runs), min(loads), max(loads)))
    order = groups()
    for config in CONFIGS:
        if any(r['config'] == config for r in runs):
            print_config(runs, config, order)
    print_isolation(runs, order)
    bad = wrong_checksums(runs)
    for bench, sums in bad:
        print('\nWRONG CHECKSUM: %s: %s' % (bench, '; '.join('%s from %s' % (c, ', '.join(who)) for c, who in sums.items())))
    errors = [(r, e) for r in runs for e in r['errors']]
    for r, error in errors:
        print('\nFAILED: %s %s round %d: %s' % (r['engine'], r['config'] or '', r['round'] + 1, error))
    if not bad and not errors:
        print('\nAll benchmarks finished, all checksums agree.')
    return not bad and not errors


# --- main -------------------------------------------------------------------------------------------------------------

def prepare(options):
    """Builds what is needed; returns guest name -> file."""
    argv = [os.path.join(HERE, 'build.sh'), OUT]
    if not options.build and os.path.exists(os.path.join(OUT, 'bench.cpio.gz')):
        argv = [os.path.join(HERE, '../guests/fetch.sh'), 'linux-686', 'linux-686-pae', 'busybox']
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit('make bench: the benchmark guest was not built, see above')
    return dict(line.split(' ', 1) for line in done.stdout.splitlines())


def run(options):
    os.makedirs(os.path.join(OUT, 'log'), exist_ok=True)
    files = prepare(options)
    engines = [e for e in options.engines.split(',') if e]
    configs = [c for c in options.configs.split(',') if c]
    for word, known in [(e, ENGINES) for e in engines] + [(c, CONFIGS) for c in configs]:
        if word not in known:
            sys.exit("make bench: '%s' is none of %s" % (word, ', '.join(known)))
    if 'tcg' in engines and subprocess.run(['which', 'qemu-system-i386'], stdout=subprocess.DEVNULL).returncode:
        print('qemu-system-i386 is not here (configure --install-deps=all): no comparison with TCG')
        engines.remove('tcg')
    plan = [('native', '')] * ('native' in engines) + [(e, c) for c in configs for e in engines if e != 'native']
    data = {'host': host(), 'scale': options.scale, 'bench': options.bench, 'runs': []}
    out = options.out or os.path.join(OUT, time.strftime('%Y%m%d-%H%M%S.json', time.gmtime()))
    for number in range(options.rounds):
        for engine, config in plan:
            label = ('%s-%s' % (engine, config)).rstrip('-')
            argv, env = command(engine, config, files, options)
            result = run_once(argv, env, os.path.join(OUT, 'log', '%s-%d.log' % (label, number + 1)), options.timeout, options.cpu)
            data['runs'].append(dict(result, engine=engine, config=config, round=number))
            walls = [b['wall'] for b in result['bench'].values() if 'wall' in b]
            print('round %d/%d %-14s ready %s s, %d benchmarks in %.1f s%s' % (
                number + 1, options.rounds, label, show(result['ready']), len(walls), sum(walls),
                '; '.join([''] + result['errors'])), flush=True)
            with open(out + '.new', 'w', encoding='utf-8') as f:
                json.dump(data, f, indent=1)
            os.replace(out + '.new', out)
    well = print_tables(data)
    print('Results: ' + os.path.relpath(out))
    return 0 if well else 1


def table(options):
    data = None
    for name in options.files:
        with open(name, encoding='utf-8') as f:
            more = json.load(f)
        if data and more['scale'] != data['scale']:
            sys.exit('run.py: %s was run at scale %s, not %s' % (name, more['scale'], data['scale']))
        if data:
            data['runs'] += more['runs']
        else:
            data = more
    return 0 if print_tables(data) else 1


def main():
    parser = argparse.ArgumentParser(description='Times the benchmark guest.')
    sub = parser.add_subparsers(dest='what', required=True)
    p = sub.add_parser('run')
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--scale', default='0.2', help='share of the full work')
    p.add_argument('--bench', default='all', help='all, compute, kernel, real, none (boot alone), or names with commas')
    p.add_argument('--configs', default=','.join(CONFIGS))
    p.add_argument('--engines', default=','.join(ENGINES))
    p.add_argument('--append', default='', help='more kernel arguments')
    p.add_argument('--ringfence-args', default='', help='more arguments for ringfence run')
    p.add_argument('--cpu', type=int, default=0, help='the host CPU that the guest runs on')
    p.add_argument('--timeout', type=float, default=1800, help='seconds for one run')
    p.add_argument('--build', action='store_true', help='build the guest anew')
    p.add_argument('--out', help='result file')
    p = sub.add_parser('table')
    p.add_argument('files', nargs='+')
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    return run(options) if options.what == 'run' else table(options)


if __name__ == '__main__':
    sys.exit(main())
