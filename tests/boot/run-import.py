#!/usr/bin/env python3
"""run-import.py - appliances: an OVA with a streamOptimized VMDK becomes a machine that starts; damaged and hostile ones are refused.

usage: run-import.py [CASE...]

Needs qemu-img (qemu-utils), which makes the VMDK and compares. Prints a line for each case.
"""
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile

from machine import Failure, run_cases

RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
CASES = []
# mov al, each character; out 0e9h, al; then power off by the keyboard controller's reset (--no-reboot ends the run)
HELLO = b''.join(b'\xb0' + bytes([c]) + b'\xe6\xe9' for c in b'imported\n') + b'\xb0\xfe\xe6\x64\xf4'
ITEM = '<Item>%s</Item>'
OVF = '''<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:href="%(name)s" ovf:id="file1"/></References>
<DiskSection><Info/><Disk ovf:capacity="%(size)d" ovf:diskId="d1" ovf:fileRef="file1"
 ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
<Disk ovf:capacity="64" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="d2"/></DiskSection>
<VirtualSystem ovf:id="x"><Info/><Name>Test appliance</Name><VirtualHardwareSection>%(items)s</VirtualHardwareSection></VirtualSystem>
</Envelope>
'''


def case(function):
    CASES.append(function)
    return function


def ringfence(*words):
    return subprocess.run([RINGFENCE, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors='replace', timeout=120)


def good(*words):
    done = ringfence(*words)
    if done.returncode:
        raise Failure('%s: status %d: %s' % (' '.join(words), done.returncode, done.stderr.strip()))
    return done.stdout


def refused(says, *words):
    done = ringfence(*words)
    if done.returncode != 1 or says not in done.stderr or len(done.stderr.splitlines()) != 1:
        raise Failure("%s: status %d, no sentence with '%s': %s" % (' '.join(words), done.returncode, says, done.stderr.strip()))


def machines():
    folder = os.path.join(os.environ['XDG_DATA_HOME'], 'ringfence')
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def item(kind, **more):
    return ITEM % ''.join('<rasd:%s>%s</rasd:%s>' % (k, v, k) for k, v in dict(more, ResourceType=kind).items())


ITEMS = (item(3, InstanceID=1, VirtualQuantity=2) + item(4, InstanceID=2, VirtualQuantity=48, AllocationUnits='byte * 2^20') +
         item(6, InstanceID=3) + item(10, InstanceID=4) + item(15, InstanceID=5, Parent=3, AddressOnParent=1) +
         item(17, InstanceID=7, Parent=3, AddressOnParent=2, HostResource='ovf:/disk/d2') +
         item(17, InstanceID=6, Parent=3, AddressOnParent=0, HostResource='ovf:/disk/d1'))


def disk(folder):
    """A raw disk that starts, with content here and there, and the same as a stream."""
    raw, vmdk = os.path.join(folder, 'raw.img'), os.path.join(folder, 'disk.vmdk')
    rng = random.Random(4)
    with open(raw, 'wb') as f:
        f.truncate(40 << 20)
        f.write(HELLO.ljust(510, b'\0') + b'\x55\xaa')
        for _ in range(30):
            f.seek(rng.randrange(1 << 10, 39 << 20))
            f.write(rng.randbytes(rng.randrange(1, 100000)))
    subprocess.run(['qemu-img', 'convert', '-O', 'vmdk', '-o', 'subformat=streamOptimized', raw, vmdk], check=True)
    return raw, vmdk


def write_ova(path, members):
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def appliance(folder, spoil=None, name='disk.vmdk'):
    """(archive, raw disk)"""
    raw, vmdk = disk(folder)
    with open(vmdk, 'rb') as f:
        data = f.read()
    ovf = (OVF % {'name': name, 'size': 40 << 20, 'items': ITEMS}).encode()
    mf = ''.join('SHA256(%s)= %s\n' % (n, hashlib.sha256(d).hexdigest()) for n, d in (('x.ovf', ovf), (name, data))).encode()
    members = [('x.ovf', ovf), ('x.mf', mf), (name, spoil(data) if spoil else data)]
    path = os.path.join(folder, 'x.ova')
    write_ova(path, members)
    return path, raw


def is_whole(name, raw):
    made = os.path.join(os.environ['XDG_DATA_HOME'], 'ringfence', name)
    subprocess.run(['qemu-img', 'check', '-q', os.path.join(made, 'disk0.qcow2')], check=True)
    subprocess.run(['qemu-img', 'compare', '-q', os.path.join(made, 'disk0.qcow2'), raw], check=True)
    if 'unpacked' in os.listdir(made) or 'disk.vmdk' in os.listdir(made):
        raise Failure('the unpacked files were left: %s' % os.listdir(made))


@case
def imported_and_run(folder):
    path, raw = appliance(folder)
    out = good('import', path)
    for says in ('2 processors', '1 network card', 'SCSI', "'ringfence run Test-appliance'"):
        if says not in out:
            raise Failure("nothing is said of '%s': %s" % (says, out))
    is_whole('Test-appliance', raw)
    shown = good('show', 'Test-appliance')
    for says in ('memory = 48M', 'disk.0 = disk0.qcow2,format=qcow2', 'disk.1 = disk1.qcow2', 'cdrom.2 = none'):
        if says not in shown:
            raise Failure("no '%s' in: %s" % (says, shown))
    out = good('run', 'Test-appliance', '--display', 'none', '--debugcon', 'file:' + os.path.join(folder, 'out'), '--no-reboot')
    with open(os.path.join(folder, 'out'), encoding='latin-1') as f:
        if 'imported\n' not in f.read():
            raise Failure('it does not start: ' + out)
    refused('already', 'import', path)


@case
def from_a_folder(folder):
    path, raw = appliance(folder)
    with tarfile.open(path) as tar:
        tar.extractall(os.path.join(folder, 'open'))
    good('import', os.path.join(folder, 'open', 'x.ovf'), '--name', 'open')
    is_whole('open', raw)
    if sorted(os.listdir(os.path.join(folder, 'open'))) != ['disk.vmdk', 'x.mf', 'x.ovf']:
        raise Failure('the appliance was changed')


@case
def bad_ones_are_refused(folder):
    path, _ = appliance(folder, spoil=lambda data: data[:5000] + b'\xff' + data[5001:])
    refused('another digest', 'import', path)
    path, _ = appliance(folder, name='../disk.vmdk')
    refused('no plain file name', 'import', path)
    path, _ = appliance(folder)
    with open(path, 'rb') as f:
        whole = f.read()
    for cut in (0, 100, 512, 3000, 200000):
        with open(path, 'wb') as f:
            f.write(whole[:cut])
        refused(path, 'import', path)
    with open(path, 'wb') as f:
        f.write(os.urandom(100000))
    refused('no tar archive', 'import', path)
    refused('No such file', 'import', os.path.join(folder, 'nothing.ova'))
    refused('is no file', 'import', folder)
    if machines():
        raise Failure('something was left: %s' % machines())
    if os.path.exists(os.path.join(folder, 'disk.vmdk.1')) or ringfence('import').returncode != 2:
        raise Failure('import without a file')


def main():
    if not shutil.which('qemu-img'):
        print('skip import - there is no qemu-img (qemu-utils)')
        return 77
    if 'was built without' in ringfence('import', 'x').stderr:
        print('skip import - built without libxml2, libarchive or nettle')
        return 77
    return run_cases('import', CASES, sys.argv[1:],
                     lambda folder: os.environ.update(XDG_RUNTIME_DIR=folder, XDG_DATA_HOME=os.path.join(folder, 'data')))


if __name__ == '__main__':
    sys.exit(main())
