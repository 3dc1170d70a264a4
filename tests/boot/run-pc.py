#!/usr/bin/env python3
"""run-pc.py - what boots on a PC boots here: firmware, boot loaders, kernels that call the BIOS, from floppies, CDs and disks.

usage: run-pc.py [CASE...]

Guests come from Debian's packages by tests/guests/fetch.sh, disks and CDs are made on the spot. Each is known by its screen's text.
"""
import os
import re
import subprocess
import sys

import disks
from machine import Failure
from pc import PC, guests, run


def case_no_device():
    with PC('no-device', ['-m', '32M']) as pc:
        pc.wait('SeaBIOS', 20)
        pc.wait('No bootable device', 20)


def grub_shell(pc):
    pc.wait(r'GNU GRUB +version 2', 30)
    pc.keys('c')
    pc.wait('grub>', 20)


def case_grub_floppy():
    floppy, = guests('grub-floppy')
    with PC('grub-floppy', ['-m', '64M', '--floppy', floppy + ',readonly']) as pc:
        grub_shell(pc)
        pc.type('ls\n')
        pc.wait(r'\(fd0\)', 20)
        pc.type('echo on-$grub_platform-here\n')
        pc.wait('on-pc-here', 10)


def case_grub_cdrom():
    cdrom, = guests('grub-cdrom')
    with PC('grub-cdrom', ['-m', '64M', '--cdrom', cdrom]) as pc:
        grub_shell(pc)
        pc.type('ls (cd)/boot/grub\n')
        pc.wait('i386-pc/', 20)
        pc.type('clear\ncat (cd)/boot/grub/i386-pc/modinfo.sh\n')
        pc.wait('grub_package_name="GRUB"', 20)


def case_memtest():
    kernel, = guests('memtest86')
    with PC('memtest', ['-m', '64M', kernel]) as pc:
        pc.wait(r'Memtest86\+ v6', 30)
        pc.wait(r'Errors: 0', 30)


def case_memtest_iso():
    iso, = guests('memtest86-iso')
    with PC('memtest-iso', ['-m', '64M', iso]) as pc:
        pc.wait('memtest|Memtest', 30)
        pc.keys('ret')
        pc.wait(r'Memtest86\+ v6', 30)


def case_ipxe_lkrn():
    kernel, = guests('ipxe-lkrn')
    with PC('ipxe-lkrn', ['-m', '64M', kernel]) as pc:
        pc.wait('Features: .*HTTP', 30)


def case_ipxe_iso():
    iso, = guests('ipxe-iso')
    with PC('ipxe-iso', ['-m', '64M', iso]) as pc:
        pc.wait('Features: .*HTTP', 40)


def case_invaders():
    kernel, = guests('invaders')
    with PC('invaders', ['-m', '64M', kernel]) as pc:
        pc.wait(r'-\*-.*-\*-', 20)


def case_gnumach():
    """The kernel prints the memory that it found, first the firmware's map, then its own tables; the pages are 4 KiB."""
    kernel, = guests('gnumach')
    for size in 32, 64, 256, 768:
        with PC('gnumach-%d' % size, ['-m', '%dM' % size, '--kernel', kernel, '--append', 'console=com0', '--serial', 'stdio']) as pc:
            pc.wait_output('No bootstrap code loaded', 30)
            text = pc.output()
        above = re.search(r'biosmem: 0*100000:0*([0-9a-f]+), available', text)
        if not above or int(above.group(1), 16) != size << 20:
            raise Failure('with -m %dM it sees memory to %s' % (size, above and above.group(1)))
        pages = sum(int(n) for n in re.findall(r'vm_page: \w+: pages: (\d+)', text))
        if not (size - 1) << 8 <= pages + 16 <= size << 8:
            raise Failure('with -m %dM it counts %d pages' % (size, pages))
    with PC('gnumach-screen', ['-m', '64M', kernel]) as pc:
        pc.wait('No bootstrap code loaded', 30)


def case_isolinux():
    """The menu of menu.c32, a label chosen by keys, which boots Linux; another typed at the prompt."""
    kernel, busybox, memtest = guests('linux-686', 'busybox', 'memtest86')
    iso = disks.isolinux_cd(kernel, busybox, memtest)
    with PC('isolinux', ['-m', '128M', iso], timeout=100) as pc:
        pc.wait('(?s)Chosen by keys.*Debian.*Memory test', 30)
        pc.keys('down', 'up', 'ret')
        pc.wait('MENU-LINUX [0-9.]+', 60)
    with PC('isolinux-typed', ['-m', '64M', iso]) as pc:
        pc.wait('Chosen by keys', 30)
        pc.keys('esc')
        pc.wait('boot:', 10)
        pc.type('other\n')
        pc.wait('Could not find kernel|No such file|not found', 20)
        pc.type('memory\n')
        pc.wait(r'Memtest86\+ v6', 30)


def case_syslinux():
    """From FAT: a message, two labels, one with parameters for Linux."""
    kernel, busybox, memtest = guests('linux-686', 'busybox', 'memtest86')
    disk = disks.syslinux_disk(kernel, busybox, memtest)
    with PC('syslinux', ['-m', '128M', '--disk', disk], timeout=100) as pc:
        pc.wait('(?s)Labels: debian, memory.*boot:', 30)
        pc.type('debian word=typed\n')
        pc.wait('MENU-LINUX [0-9.]+.* word=typed', 60)
    with PC('syslinux-memory', ['-m', '64M', '--disk', disk]) as pc:
        pc.wait('boot:', 30)
        pc.type('memory\n')
        pc.wait(r'Memtest86\+ v6', 30)


def case_grub_usb():
    """The rescue image for USB sticks as a hard disk: it has a partition table and an EFI partition behind it."""
    disk, = guests('grub-usb')
    with PC('grub-usb', ['-m', '64M', '--disk', disk + ',readonly']) as pc:
        grub_shell(pc)
        pc.type('ls\n')
        pc.wait(r'\(hd0\)', 20)
        pc.type('echo on-$grub_platform-here\n')
        pc.wait('on-pc-here', 10)


def case_disk():
    """Debian's kernel from an ext4 root on a disk with GRUB: menu, kernel, shell on the screen, a file that stays."""
    kernel, busybox = guests('linux-686', 'busybox')
    disk = disks.grub_disk('686', kernel, busybox)
    with PC('disk-686', ['-m', '256M', '--disk', disk], timeout=150) as pc:
        pc.wait('GNU GRUB', 30)
        pc.keys('ret')
        pc.wait('DISK-READY', 90)
        pc.type('echo kept-$((6*7)) >/file; sync; cat /file\n')
        pc.wait('kept-42', 20)
        pc.type('umount -r /; poweroff -f\n')
        if pc.status(30):
            raise Failure('exit status %d' % pc.process.returncode)
    check = subprocess.run(disks.debugfs('cat /file', disk), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    if 'kept-42' not in check.stdout:
        raise Failure('the file that the guest wrote is not on the disk: ' + check.stdout[:80])


LARGE = 200 << 30       # bytes; LBA28 ends at 137 GB
FAR = 150 << 30
INIT_LARGE = r'''#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for round in 1 2 3 4 5 6; do for module in /mod/*.ko; do insmod "$module" 2>/dev/null && rm "$module"; done; done
until [ -b /dev/sda ]; do sleep 0.1; done
echo SIZE-$(cat /sys/block/sda/size)
echo far-away | dd of=/dev/sda bs=512 seek=$((%d / 512)) conv=sync,fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
echo READ-$(dd if=/dev/sda bs=512 skip=$((%d / 512)) count=1 2>/dev/null | head -n 1)
dmesg | grep ata1
poweroff -f
''' % (FAR, FAR)


def case_large_disk():
    """Linux on a sparse disk beyond what LBA28 reaches; what it says of the drive; what it wrote is where it belongs."""
    kernel, busybox = guests('linux-686', 'busybox')
    disk, init, initrd = (os.path.join(disks.TMP, 'large.' + kind) for kind in ('img', 'sh', 'initrd'))
    with open(disk, 'wb') as f:
        f.truncate(LARGE)
    disks.write(init, INIT_LARGE)
    if subprocess.run([os.path.join(disks.TOP, 'tests/guests/disk-initramfs.sh'), initrd, busybox, kernel, init], check=False).returncode:
        raise LookupError('the modules for the disk are missing')
    with PC('large-disk', ['-m', '128M', '--kernel', kernel, '--initrd', initrd, '--append', 'console=ttyS0', '--disk', disk,
                           '--serial', 'stdio'], timeout=100) as pc:
        pc.wait_output('SIZE-%d\\b' % (LARGE // 512), 80)
        pc.wait_output('READ-far-away', 10)
        pc.status(20)
        text = pc.output()
    for line in 'ATA-7: RINGFENCE DISK', '%d sectors, multi 0: LBA48' % (LARGE // 512), 'max MWDMA2':
        if line not in text:
            raise Failure('Linux does not say "%s"' % line)
    with open(disk, 'rb') as f:
        f.seek(FAR)
        if f.read(8) != b'far-away':
            raise Failure('what was written is not at its place in the image')
    if os.stat(disk).st_blocks > 1 << 16:
        raise Failure('the image is no longer sparse')
    os.remove(disk)


if __name__ == '__main__':
    os.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    sys.exit(run([f for name, f in list(globals().items()) if name.startswith('case_')], sys.argv[1:]))
