#!/usr/bin/env python3
"""run-image.py - 'ringfence image' against qemu-img: what one makes the other reads; words, exit statuses, refusals.

usage: run-image.py [CASE...]

Needs qemu-img (qemu-utils); without it most cases are skipped. Prints a line for each case.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from machine import Failure, Skip

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
QEMU_NAMES = {'vhd': 'vpc'}
MIB = 1 << 20
CASES = []


def case(function):
    CASES.append(function)
    return function


def run(*words, status=0):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors='replace',
                          timeout=300)
    if done.returncode != status:
        raise Failure('%s: status %d, not %d: %s' % (' '.join(words[-6:]), done.returncode, status,
                                                     (done.stderr + done.stdout).strip()[-300:]))
    return done


def image(*words, status=0):
    return run(RINGFENCE, 'image', *words, status=status)


def qemu(*words, status=0):
    if not shutil.which('qemu-img'):
        raise Skip('qemu-img is missing')
    return run('qemu-img', *words, status=status)


def refused(says, *words, status=1):
    done = image(*words, status=status)
    lines = [line for line in done.stderr.splitlines() if not line.startswith('Try ')]
    if len(lines) != 1 or not lines[0].startswith('ringfence: ') or says not in lines[0]:
        raise Failure("%s: no sentence with '%s': %s" % (' '.join(words)[-80:], says, done.stderr.strip()[-300:]))


def same(a, a_format, b, b_format):
    qemu('compare', '-f', QEMU_NAMES.get(a_format, a_format), '-F', QEMU_NAMES.get(b_format, b_format), a, b)


def formats():
    text = image('--help').stdout
    return re.search(r'Formats: (.*)', text).group(1).split()


def make_raw(path, size=24 * MIB, seed=1):
    """Data, zeroes and holes, in pieces of odd sizes."""
    r = random.Random(seed)
    with open(path, 'wb') as f:
        f.truncate(size)
        at = 0
        while at < size:
            n = min(r.choice((512, 4096, 30 * 512, 65536, 3 * MIB)), size - at)
            kind = r.randrange(3)
            f.seek(at)
            if kind == 0:
                f.write(bytes(n))
            elif kind == 1:
                f.write((r.randbytes(512) + bytes(512) * r.randrange(2)) * (n // 512))
            at = max(at + n, min(size, f.tell()))
        f.truncate(size)
    return path


def path(folder, name):
    return os.path.join(folder, name)


@case
def convert(folder):
    """Every format into every other, and qemu-img finds the same disk in all."""
    raw = make_raw(path(folder, 'raw'))
    known = formats()
    for first in known:
        a = path(folder, 'a.' + first)
        image('convert', '-f', 'raw', '-O', first, raw, a)
        same(raw, 'raw', a, first)
        for second in known:
            b = path(folder, 'b.' + second)
            image('convert', '-O', second, a, b)
            same(raw, 'raw', b, second)
            os.unlink(b)
    if os.stat(path(folder, 'a.raw')).st_blocks * 512 > os.stat(raw).st_blocks * 512:
        raise Failure('zeroes take room in a raw copy')


@case
def from_qemu(folder):
    """qemu-img's images, also compressed ones."""
    raw = make_raw(path(folder, 'raw'), seed=2)
    out = path(folder, 'out')
    kinds = [('vdi', []), ('vpc', ['-o', 'force_size=on']), ('vpc', ['-o', 'subformat=fixed,force_size=on']), ('vmdk', []),
             ('vmdk', ['-o', 'subformat=streamOptimized']), ('vmdk', ['-o', 'subformat=twoGbMaxExtentFlat'])]
    if 'qcow2' in formats():
        kinds += [('qcow2', []), ('qcow2', ['-c']), ('qcow2', ['-o', 'compat=0.10,cluster_size=4k'])]
    for name, options in kinds:
        a = path(folder, 'a.img')
        qemu('convert', '-f', 'raw', '-O', name, *options, raw, a)
        image('convert', '--overwrite', '-p', a, out)
        with open(raw, 'rb') as x, open(out, 'rb') as y:
            if x.read() != y.read():
                raise Failure('another disk comes out of %s %s' % (name, ' '.join(options)))
        if image('info', a).stdout.splitlines()[2] != qemu('info', '-f', name, a).stdout.splitlines()[2]:
            raise Failure('info of %s %s tells another size' % (name, ' '.join(options)))


@case
def info(folder):
    a = path(folder, 'a.vmdk')
    image('create', '-f', 'vmdk', '-o', 'adapter_type=lsilogic,subformat=twoGbMaxExtentSparse', a, '5G')
    ours = json.loads(image('info', '--json', a).stdout)
    theirs = json.loads(qemu('info', '--output=json', a).stdout)
    for key in ('virtual-size', 'format', 'filename', 'cluster-size'):
        if ours[key] != theirs[key]:
            raise Failure('info: %s is %s, qemu-img says %s' % (key, ours[key], theirs[key]))
    for key in ('cid', 'parent-cid', 'create-type'):
        if ours['format-specific']['data'][key] != theirs['format-specific']['data'][key]:
            raise Failure('info: %s differs from what qemu-img says' % key)
    if len([f for f in os.listdir(folder) if f.startswith('a-s')]) != 3:
        raise Failure('5 GB are not three extents')


@case
def maps(folder):
    """The same stretches of data and zeroes as qemu-img finds."""
    raw = make_raw(path(folder, 'raw'), seed=3)

    def stretches(text):
        found = []
        for row in json.loads(text):
            if found and found[-1][2] == row['data']:
                found[-1][1] += row['length']
            else:
                found.append([row['start'], row['length'], row['data']])
        return found
    for kind in ('raw', 'vdi', 'vmdk'):
        a = path(folder, 'a.' + kind)
        qemu('convert', '-f', 'raw', '-O', kind, raw, a)
        ours, theirs = (stretches(tool('map', '-f', kind, '--output=json', a).stdout) for tool in (image, qemu))
        if ours != theirs:
            raise Failure('map of %s: %s, but qemu-img says %s' % (kind, ours[:4], theirs[:4]))


@case
def check(folder):
    """The exit statuses of qemu-img; damage is found, and put right."""
    a = path(folder, 'a.vdi')
    make_raw(path(folder, 'raw'), seed=4)
    image('convert', '-f', 'raw', '-O', 'vdi', path(folder, 'raw'), a)
    if 'No errors' not in image('check', a).stdout:
        raise Failure('no word that a good image is good')
    image('check', path(folder, 'raw'), '-f', 'raw', status=63)
    image('check', path(folder, 'none'), status=1)
    with open(a, 'r+b') as f:
        f.seek(512)
        f.write(b'\xf0\xff\xff\x7f')
    qemu('check', a, status=2)
    image('check', a, status=2)
    if json.loads(image('check', '--json', a, status=2).stdout)['corruptions'] < 1:
        raise Failure('JSON does not tell of damage')
    refused('damaged', 'resize', a, '+1G')
    image('repair', a)
    image('check', a)
    qemu('check', a)


@case
def resize(folder):
    raw = make_raw(path(folder, 'raw'), 8 * MIB, seed=5)
    for kind, options in (('raw', ''), ('vdi', ''), ('vhd', 'subformat=dynamic'), ('vhd', 'subformat=fixed')):
        a = path(folder, 'a.' + kind)
        image('convert', '--overwrite', '-f', 'raw', '-O', kind, '-o', options, raw, a)
        image('resize', '-f', kind, a, '+11M')
        info = json.loads(qemu('info', '-f', QEMU_NAMES.get(kind, kind), '--output=json', a).stdout)
        if info['virtual-size'] != 19 * MIB:
            raise Failure('%s has %d bytes, not 19M' % (kind, info['virtual-size']))
        same(raw, 'raw', a, kind)
    refused('would be lost', 'resize', '-f', 'raw', path(folder, 'a.raw'), '4M')
    image('resize', '-f', 'raw', '--shrink', path(folder, 'a.raw'), '-15M')
    image('resize', '-f', 'vhd', '--shrink', path(folder, 'a.vhd'), '4M')
    same(path(folder, 'a.raw'), 'raw', path(folder, 'a.vhd'), 'vhd')


@case
def chains(folder):
    """Commit and rebase keep the disk as it is."""
    if 'qcow2' not in formats():
        raise Skip('there is no format with backing files')
    base, other, top = path(folder, 'base'), path(folder, 'other'), path(folder, 'top.qcow2')
    make_raw(base, seed=6)
    make_raw(other, seed=7)
    qemu('create', '-f', 'qcow2', '-b', 'base', '-F', 'raw', top)
    subprocess.run(['qemu-io', '-c', 'write -P 7 1M 300k', '-c', 'write -z 5M 1M', top], check=True, stdout=subprocess.DEVNULL)
    before = path(folder, 'before')
    image('convert', top, before)
    image('rebase', '-b', 'other', '-F', 'raw', top)
    same(before, 'raw', top, 'qcow2')
    qemu('check', top)
    image('rebase', '-b', '', top)
    same(before, 'raw', top, 'qcow2')
    if 'backing file' in image('info', top).stdout:
        raise Failure('rebase to none leaves a backing file')
    image('rebase', '-u', '-b', 'base', '-F', 'raw', top)
    image('commit', top)
    same(before, 'raw', base, 'raw')
    same(before, 'raw', top, 'qcow2')
    if os.stat(top).st_size > MIB:
        raise Failure('commit does not empty the overlay')
    qemu('check', top)


@case
def vmdk_parents(folder):
    """A VMDK with a parent: read and written through, and refused once the parent has changed."""
    base, top, raw, out = (path(folder, name) for name in ('base.vmdk', 'top.vmdk', 'raw', 'out'))
    make_raw(raw, 8 * MIB, seed=8)
    qemu('convert', '-f', 'raw', '-O', 'vmdk', raw, base)
    qemu('create', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', top)
    image('convert', top, out)
    same(raw, 'raw', out, 'raw')
    refused('cannot be emptied', 'commit', top)
    make_raw(raw, 8 * MIB, seed=9)
    image('convert', '-n', '-f', 'raw', '-O', 'vmdk', raw, top)
    same(raw, 'raw', top, 'vmdk')
    qemu('check', top)
    image('convert', '-n', '-f', 'raw', '-O', 'vmdk', raw, base)
    refused('error', 'convert', top, path(folder, 'x'))


@case
def refusals(folder):
    a, b = path(folder, 'a'), path(folder, 'b')
    make_raw(a, MIB)
    refused('is there already', 'create', a, '1M')
    refused('is there already', 'convert', a, a)
    refused('how large', 'create', b)
    refused('is no size', 'create', b, 'much')
    refused('no image format', 'create', '-f', 'qcow9', b, '1M')
    refused('no option', 'create', '-f', 'vdi', '-o', 'cluster_size=1', b, '1M')
    refused('no option', 'info', '--shrink', a)
    refused("did you mean 'check'", 'chek', a)
    refused('which image', 'info')
    refused('into which file', 'convert', a)
    refused('has no compression', 'convert', '-c', '-O', 'vdi', a, b)
    refused('neither leaks nor all', 'check', '-r', 'some', a)
    if os.path.exists(b):
        raise Failure('a refused create or convert leaves a file')
    # A descriptor may not reach outside its folder.
    os.mkdir(path(folder, 'in'))
    for name in ('../a', a):
        with open(path(folder, 'in/x.vmdk'), 'w', encoding='ascii') as f:
            f.write('# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
                    'RW 2048 FLAT "%s" 0\n' % name)
        refused('outside', 'convert', path(folder, 'in/x.vmdk'), b)
    # Nor is a raw disk one because its guest wrote such a text to it.
    with open(path(folder, 'in/x.vmdk'), encoding='ascii') as f, open(path(folder, 'in/floppy'), 'w', encoding='ascii') as floppy:
        floppy.write(f.read() + '#' * 163840)
    if 'file format: raw' not in image('info', path(folder, 'in/floppy')).stdout:
        raise Failure('a descriptor at the start of a raw disk is taken for one')
    image('convert', '--allow-backing', path(folder, 'in/x.vmdk'), b)
    same(a, 'raw', b, 'raw')


@case
def manual_page(folder):
    """The manual page and --help of all verbs list the same options."""
    helped = set()
    verbs = re.findall(r'^  (\w+) ', image('--help').stdout, re.MULTILINE)
    for verb in verbs:
        helped.update(re.findall(r'^ .{4} (--[a-z-]+)', image(verb, '--help').stdout, re.MULTILINE))
    with open(os.path.join(TOP, 'docs/ringfence.1'), encoding='utf-8') as f:
        page = f.read().replace('\\-', '-').split('.SH IMAGES')[1].split('.SH EXIT')[0]
    paged = set(re.findall(r'(--[a-z-]+)', '\n'.join(part.split('\n')[1] for part in page.split('Options:')[1].split('.TP')[1:])))
    if helped != paged or len(helped) < 20:
        raise Failure('only in one of --help and manual page: ' + ' '.join(sorted(helped ^ paged)))
    if any('\\fB%s\\fR' % verb not in page for verb in verbs):
        raise Failure('a verb is not in the manual page')


def main():
    wanted = sys.argv[1:]
    failed = 0
    for function in CASES:
        if wanted and function.__name__ not in wanted:
            continue
        folder = tempfile.mkdtemp(prefix='image-', dir=os.environ.get('TEST_TMP'))
        try:
            function(folder)
            print('ok ' + function.__name__)
        except Skip as why:
            print('skip %s - %s' % (function.__name__, why))
        except (Failure, OSError, ValueError, subprocess.SubprocessError) as why:
            print('not ok %s - %s' % (function.__name__, why))
            failed += 1
        shutil.rmtree(folder)
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
