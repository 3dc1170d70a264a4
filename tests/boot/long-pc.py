#!/usr/bin/env python3
"""long-pc.py - guests that take minutes: Debian's installer by keyboard and screen and by serial line, a whole pass of memtest86+.

usage: long-pc.py [CASE...]
"""
import os
import sys
import time

import disks
from machine import Failure, Machine
from pc import PC, RINGFENCE, guests, run
from picture import Picture


def case_memtest_pass():
    """One full pass over 64 MiB; the count of passes and errors stands in the status lines."""
    kernel, = guests('memtest86')
    with PC('memtest-pass', ['-m', '64M', kernel], timeout=1500) as pc:
        pc.wait(r'Memtest86\+ v6', 30)
        pc.wait(r'Pass: +[1-9].*Errors: 0', 1400)


def case_installer():
    """Language, location, keymap: three menus answered by keys."""
    kernel, initrd = guests('installer', 'installer-rd')
    with PC('installer', ['-m', '512M', '--initrd', initrd, '--append', 'vga=normal fb=false nomodeset', kernel], timeout=280) as pc:
        pc.wait('Select a language', 200)
        pc.keys('ret')
        pc.wait('Select your location', 60)
        pc.keys('ret')
        pc.wait('Configure the keyboard|Keymap to use', 60)
        pc.keys('ret')
        pc.wait('Detecting|Loading additional components|network', 60)


def case_installer_serial():
    kernel, initrd = guests('installer', 'installer-rd')
    words = [RINGFENCE, 'run', '--kernel', kernel, '--initrd', initrd, '-m', '512M', '--display', 'none',
             '--append', 'console=ttyS0 TERM=vt102']
    with Machine(words, 280) as m:
        m.expect('Select a language')
        m.type('\r')
        m.expect('Select your location')
        m.type('\r')
        m.expect('Configure the keyboard|Keymap to use|Configure locales')


def white_share(picture, left, top, right, bottom):
    """How many of 1000 dots in the rectangle are not black."""
    dots = [picture.dot(x, y) for y in range(top, bottom) for x in range(left, right)]
    return 1000 * sum(max(dot) > 60 for dot in dots) // len(dots)


def case_framebuffer():
    """Linux's console on the linear frame buffer that vga=791 asks the BIOS for: 128 x 48 characters of 8 x 16 dots."""
    disk = disks.syslinux_disk(*guests('linux-686', 'busybox', 'memtest86'))
    with PC('framebuffer', ['-m', '128M', '--disk', disk], timeout=120) as pc:
        pc.wait('boot:', 30)
        pc.type('debian vga=791 logo.nologo bar=160\n')
        shot = os.path.join(disks.TMP, 'framebuffer.png')
        limit = time.monotonic() + 90
        while time.monotonic() < limit:
            time.sleep(0.5)
            pc.picture(shot)
            p = Picture(shot)
            # 160 reversed blanks fill the first row and a quarter of the second; the cursor follows, and nothing else.
            if (p.width, p.height) == (1024, 768) and white_share(p, 0, 0, 1024, 16) > 950 and white_share(p, 0, 16, 256, 32) > 950 and \
                    white_share(p, 272, 16, 1024, 32) < 5 and white_share(p, 0, 32, 1024, 768) < 5:
                return
        raise Failure('160 reversed blanks do not show')


def case_disk_pae():
    kernel, busybox = guests('linux-686-pae', 'busybox')
    disk = disks.grub_disk('686-pae', kernel, busybox)
    with PC('disk-686-pae', ['-m', '512M', '--disk', disk], timeout=150) as pc:
        pc.wait('GNU GRUB', 30)
        pc.keys('ret')
        pc.wait('DISK-READY.*pae', 90)


if __name__ == '__main__':
    os.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    sys.exit(run([f for name, f in list(globals().items()) if name.startswith('case_')], sys.argv[1:]))
