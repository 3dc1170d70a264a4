"""disks.py - makes the disks and CDs that the boot tests start from, without root, with Debian's own tools.

Everything is made in the test's own folder. Raises LookupError with the reason when a tool is missing.
"""
import os
import shutil
import struct
import subprocess

from pc import TMP, TOP, have

SECTOR = 512
GRUB = '/usr/lib/grub/i386-pc'
FIRST = 2048            # the partition's first sector
ROOT_MIB = 64


def need(*tools, files=()):
    missing = have(*tools) or next((f for f in files if not os.path.exists(f)), None)
    if missing:
        raise LookupError('%s is missing (configure --install-deps)' % missing)


def tool(*words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode:
        raise OSError('%s failed: %s' % (words[0], done.stdout.strip()[-200:]))
    return done.stdout


def folder(name):
    path = os.path.join(TMP, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def write(path, text):
    with open(path, 'w', encoding='ascii') as f:
        f.write(text)


LABELS = """label debian
  menu label Debian
  kernel /vmlinuz
  append initrd=/initrd quiet
label memory
  menu label Memory test
  kernel /memtest
label other
  kernel /nothing
"""
# bar=N: N blanks in reverse and nothing else
SAYS = r'''#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
line=$(/bin/busybox cat /proc/cmdline)
case $line in
*bar=*) /bin/busybox clear; /bin/busybox printf '\033[7m%*s\033[0m' "${line##*bar=}" '' ;;
*) echo MENU-LINUX $(/bin/busybox uname -r) $line ;;
esac
exec /bin/busybox sleep 1000
'''


def labelled(top, kernel, busybox, memtest):
    """What LABELS name, in the folder: a kernel with an initramfs that says what it is, and memtest86+."""
    shutil.copy(kernel, os.path.join(top, 'vmlinuz'))
    shutil.copy(memtest, os.path.join(top, 'memtest'))
    init = os.path.join(TMP, 'init-menu.sh')
    write(init, SAYS)
    tool(os.path.join(TOP, 'tests/guests/mkinitramfs.sh'), os.path.join(top, 'initrd'), busybox, init)


def isolinux_cd(kernel, busybox, memtest):
    """An ISO 9660 file system with El Torito and isolinux, which shows a menu."""
    modules = '/usr/lib/syslinux/modules/bios/'
    files = ['/usr/lib/ISOLINUX/isolinux.bin'] + [modules + f for f in ('ldlinux.c32', 'menu.c32', 'libutil.c32')]
    need('xorriso', files=files)
    top, iso = folder('iso'), os.path.join(TMP, 'isolinux.iso')
    os.makedirs(os.path.join(top, 'isolinux'))
    for f in files:
        shutil.copy(f, os.path.join(top, 'isolinux'))
    labelled(top, kernel, busybox, memtest)
    write(os.path.join(top, 'isolinux', 'isolinux.cfg'), 'ui menu.c32\nmenu title Chosen by keys\ntimeout 0\n' + LABELS)
    tool('xorriso', '-as', 'mkisofs', '-R', '-o', iso, '-b', 'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat', '-no-emul-boot',
         '-boot-load-size', '4', '-boot-info-table', top)
    return iso


def partitioned(path, file_system, kind, boot_code=b''):
    """A disk with one active partition from sector FIRST on, which holds the file system."""
    size = os.path.getsize(file_system) // SECTOR
    entry = struct.pack('<B3sB3sII', 0x80, b'\xfe\xff\xff', kind, b'\xfe\xff\xff', FIRST, size)
    with open(path, 'wb') as disk:
        disk.write(boot_code[:440].ljust(446, b'\0') + entry.ljust(64, b'\0') + b'\x55\xaa')
        disk.truncate((FIRST + size) * SECTOR)
    tool('dd', 'if=' + file_system, 'of=' + path, 'bs=1M', 'seek=%d' % (FIRST * SECTOR >> 20), 'conv=notrunc,sparse', 'status=none')


def syslinux_disk(kernel, busybox, memtest):
    """A FAT disk with syslinux behind its own master boot record, which shows its prompt."""
    mbr = '/usr/lib/syslinux/mbr/mbr.bin'
    need('syslinux', 'mkfs.vfat', 'mcopy', files=(mbr,))
    top = folder('syslinux')
    fat, disk = os.path.join(TMP, 'fat.img'), os.path.join(TMP, 'syslinux.img')
    with open(fat, 'wb') as f:
        f.truncate(32 << 20)
    tool('mkfs.vfat', '-h', str(FIRST), fat)
    labelled(top, kernel, busybox, memtest)
    write(os.path.join(top, 'syslinux.cfg'), 'say Labels: debian, memory\nprompt 1\ntimeout 0\n' + LABELS)
    tool('syslinux', '--install', fat)
    tool('mcopy', '-i', fat, *[os.path.join(top, f) for f in sorted(os.listdir(top))], '::/')
    with open(mbr, 'rb') as f:
        partitioned(disk, fat, 0x0c, f.read())
    return disk


def grub_install(disk, config):
    """GRUB's first stage into the master boot record, its core behind it, in the gap before the partition."""
    core = os.path.join(TMP, 'core.img')
    early = os.path.join(TMP, 'early.cfg')
    write(early, config)
    tool('grub-mkimage', '-O', 'i386-pc', '-d', GRUB, '-o', core, '-c', early, '-p', '(hd0,msdos1)/boot/grub', 'biosdisk', 'part_msdos',
         'ext2', 'linux', 'normal', 'echo', 'configfile', 'sleep', 'ls', 'cat')
    with open(os.path.join(GRUB, 'boot.img'), 'rb') as f:
        boot = bytearray(f.read())
    with open(core, 'rb') as f:
        image = bytearray(f.read())
    # boot.img: where the core begins; its first sector: which sectors follow, and the segment that they go to.
    struct.pack_into('<Q', boot, 0x5c, 1)
    boot[0x66:0x68] = b'\x90\x90'       # take the drive from the BIOS, without a check of its number
    struct.pack_into('<QHH', image, 0x1f4, 2, (len(image) + SECTOR - 1) // SECTOR - 1, 0x820)
    if len(image) > (FIRST - 1) * SECTOR:
        raise OSError('GRUB is too large for the gap')
    with open(disk, 'r+b') as f:
        table = f.read(SECTOR)[440:512]
        f.seek(0)
        f.write(boot[:440] + table + image)


def grub_disk(name, kernel, busybox):
    """GRUB with a menu, an ext4 root with busybox, a Debian kernel whose modules for the disk come from its package."""
    need('grub-mkimage', 'mke2fs', files=(GRUB + '/boot.img',))
    root, ext, disk = folder('root-' + name), os.path.join(TMP, 'ext-%s.img' % name), os.path.join(TMP, 'disk-%s.img' % name)
    for d in 'boot/grub', 'bin', 'dev', 'proc', 'sys', 'tmp':
        os.makedirs(os.path.join(root, d))
    shutil.copy(kernel, os.path.join(root, 'boot/vmlinuz'))
    initrd = subprocess.run([os.path.join(TOP, 'tests/guests/disk-initramfs.sh'), os.path.join(root, 'boot/initrd'), busybox, kernel],
                            stderr=subprocess.PIPE, text=True, check=False)
    if initrd.returncode == 77:
        raise LookupError(initrd.stderr.strip().splitlines()[-1])
    if initrd.returncode:
        raise OSError('disk-initramfs.sh: ' + initrd.stderr[-200:])
    shutil.copy(busybox, os.path.join(root, 'bin/busybox'))
    os.chmod(os.path.join(root, 'bin/busybox'), 0o755)
    write(os.path.join(root, 'init'), '#!/bin/busybox sh\n/bin/busybox --install -s /bin\nmount -t proc proc /proc\n'
          'mount -t devtmpfs dev /dev\ndmesg -n 1\nclear\necho DISK-READY $(uname -r)\nexec setsid cttyhack sh\n')
    os.chmod(os.path.join(root, 'init'), 0o755)
    write(os.path.join(root, 'boot/grub/grub.cfg'), 'set timeout=20\nset default=0\nmenuentry "Debian %s" {\n'
          '  linux /boot/vmlinuz root=/dev/sda1 rw init=/init quiet\n  initrd /boot/initrd\n}\n' % name)
    with open(ext, 'wb') as f:
        f.truncate(ROOT_MIB << 20)
    tool('mke2fs', '-q', '-t', 'ext4', '-O', '^metadata_csum_seed,^orphan_file', '-d', root, ext)
    partitioned(disk, ext, 0x83)
    grub_install(disk, 'set root=(hd0,msdos1)\nset prefix=(hd0,msdos1)/boot/grub\nnormal\n')
    return disk


def debugfs(command, disk):
    return ['debugfs', '-R', command, '%s?offset=%d' % (disk, FIRST * SECTOR)]
