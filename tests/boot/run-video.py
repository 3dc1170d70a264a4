#!/usr/bin/env python3
"""run-video.py - pictures that programs make through SeaBIOS's VGA BIOS: tests/guest/video.asm draws, a screenshot is compared dot by dot.

usage: run-video.py [CASE...]

Prints a line for each case; the picture of a failed one is kept.
"""
import os
import shutil
import subprocess
import sys

from machine import Failure, Machine
from picture import Picture

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
OUT = os.environ.get('TEST_TMP', '/tmp')
KINDS = ('scroll', 'text', 'text40', 'mode13', 'modex', 'mode12', 'cga', 'banked', 'fill', 'store', 'text132', 'planes', 'split', 'smooth')
EGA = [(170 * (i >> 2 & 1) + 85 * (i >> 3), 170 * (i >> 1 & 1) + 85 * (i >> 3), 170 * (i & 1) + 85 * (i >> 3)) for i in range(16)]
EGA[6] = (170, 85, 0)
CGA = [EGA[0], EGA[11], EGA[13], EGA[15]]
SKIPPED = 77


def draws(kind, count=1):
    """The picture, and in text modes the text that is on the screen."""
    disk, shot = os.path.join(OUT, 'video-%s.img' % kind), os.path.join(OUT, 'video-%s.png' % kind)
    image = bytearray(open(os.path.join(OUT, 'video.img'), 'rb').read())
    image[3] = KINDS.index(kind)
    image[4:6] = count.to_bytes(2, 'little')
    with open(disk, 'wb') as f:
        f.write(image)
    name = 'video-%d' % os.getpid()
    with Machine([RINGFENCE, 'run', '--disk', disk + ',format=raw', '--name', name, '--debugcon', 'stdio', '--serial', 'none',
                  '--display', 'none'], 60) as m:
        if m.expect(r'Booting from 0000:7c00\n(?:[^DF\n].*\n)*([DF])', 'picture').group(1) != 'D':
            raise Failure('the guest could not draw')
        ctl(name, 'screendump', shot)
        text = ctl(name, 'screen-text') if kind in ('scroll', 'text', 'text40', 'text132') else ''
        ctl(name, 'quit')
    return Picture(shot), text


def ctl(*words):
    done = subprocess.run([RINGFENCE, 'ctl', *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    if done.returncode:
        raise Failure('ctl %s: %s' % (' '.join(words), done.stderr.decode().strip()))
    return done.stdout.decode()


# --- cases ---

def case_text():
    p, text = draws('text')
    p.size_is(720, 400)
    first = text.split('\n')[0]
    if not first.startswith(' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼ !"#$%&') or len(first) != 80:
        raise Failure('the first row of text is: ' + first)
    for n in range(0x20, 0x7f):             # the ninth dot is background, of three bits: the fourth blinks
        p.dot_is(n % 80 * 9 + 8, n // 80 * 16, EGA[n >> 4 & 7])
    p.dot_is(0xdb % 80 * 9 + 4, 0xdb // 80 * 16 + 8, EGA[0xb])
    p.dot_is(0xdb % 80 * 9 + 8, 0xdb // 80 * 16 + 8, EGA[0xb])


def case_text40():
    p, text = draws('text40')
    p.size_is(720, 400)
    if len(text.split('\n')[1]) != 40:
        raise Failure('the second row of text is: ' + text.split('\n')[1])
    p.dot_is((0xdb % 40) * 18 + 17, 0xdb // 40 * 16 + 8, EGA[0xb])


def case_scroll():
    _, text = draws('scroll', 100)
    rows = text.rstrip('\n').split('\n')
    if len(rows) != 24 or any(len(row) != 60 for row in rows):
        raise Failure('%d rows of text, lengths %s' % (len(rows), sorted({len(row) for row in rows})))


def gradient(kind):
    p, _ = draws(kind)
    p.size_is(640, 400)
    palette = {}
    for y in range(0, 400, 5):
        for x in range(640):
            index = x // 2 + y // 2 & 255
            if palette.setdefault(index, p.dot(x, y)) != p.dot(x, y):
                raise Failure('the dots of colour %d differ; one is at %d, %d' % (index, x, y))
    for i in range(16):
        if palette[i] != EGA[i]:
            raise Failure('colour %d is %s' % (i, palette[i]))


def case_mode13():
    gradient('mode13')


def case_modex():
    gradient('modex')


def case_mode12():
    p, _ = draws('mode12')
    p.size_is(640, 480)
    for y in range(0, 480, 3):
        for x in range(0, 640, 3):
            p.dot_is(x, y, EGA[x + y >> 3 & 15])
            if x + 1 < 640:
                p.dot_is(x + 1, y, EGA[0])


def case_cga():
    p, _ = draws('cga')
    p.size_is(640, 400)
    for y in range(400):
        for x in range(0, 640, 7):
            p.dot_is(x, y, CGA[x // 2 + y // 2 >> 4 & 3])


def case_banked():
    p, _ = draws('banked')
    p.size_is(1024, 768)
    for y in range(768):
        for x in (0, 511, 1023):
            p.dot_is(x, y, EGA[y // 64 + 1])


def case_fill():
    p, _ = draws('fill', 50)
    p.size_is(1024, 768)
    for y in range(768):
        for x in (0, 511, 1023):
            p.dot_is(x, y, (1, 2, 3))


def case_store():
    p, _ = draws('store', 5)
    for y in range(0, 768, 3):
        for x in range(0, 1024, 11):
            p.dot_is(x, y, (1 + (y * 1024 + x) * 0x010203 & 0xffffff).to_bytes(3, 'big'))


def every_dot(p, colour, step=1):
    """Compares each dot of every `step`th line with the colour that the function gives for it."""
    for y in range(0, p.height, step):
        want = b''.join(bytes(EGA[colour(x, y)]) for x in range(p.width))
        if p.lines[y] != want:
            x = next(x for x in range(p.width) if p.lines[y][3 * x:3 * x + 3] != want[3 * x:3 * x + 3])
            p.dot_is(x, y, want[3 * x:3 * x + 3])


def case_text132():
    p, text = draws('text132')
    p.size_is(1056, 400)
    if len(text.split('\n')[0]) != 132:
        raise Failure('the first row of text is: ' + text.split('\n')[0])
    every_dot(p, lambda x, y: (y // 16 * 132 + x // 8) % 15 + 1)


def case_smooth():
    p, _ = draws('smooth')
    p.size_is(720, 400)
    every_dot(p, lambda x, y: (82 + (y + 5) // 16 * 80 + (x + 4) // 9) % 15 + 1)


def planes(x, y):
    """The colour of a dot by the VGA's rules for writing; see video.asm for each band."""
    column, bit = x // 8 % 80 & 15, x % 8
    return (lambda: 0 if bit & 1 else column, lambda: column if bit < 4 else 0, lambda: 15 if bit in (2, 3) else 0,
            lambda: 6 if 2 <= bit <= 5 else 5, lambda: 6 if bit >= 4 else 14, lambda: 9 if bit < 4 else 1,
            lambda: column if bit < 4 else 0, lambda: column if bit in (1, 2, 5, 6) else 0, lambda: 12 if 2 <= bit <= 5 else 2,
            lambda: 12 if bit < 4 else 2, lambda: 15 if bit < 4 and column == 9 else 0,
            lambda: 15 if bit < 4 and column & 7 == 1 else 0, *[lambda: 0] * 18)[y // 16]()


def case_planes():
    p, _ = draws('planes')
    p.size_is(640, 480)
    every_dot(p, planes)


def case_split():
    """The upper 300 lines from address 1234h on, the others from 0; 100 bytes a line; the lower part's panning is the mode's choice."""
    for count in 1, 2:
        p, _ = draws('split', count)
        p.size_is(640, 480)

        def colour(x, y, below=5 if count == 2 else 0):
            x, at = (x + 5, 0x1234 + y * 100) if y < 300 else (x + below, (y - 300) * 100)
            at = at + x // 8 & 0xffff
            return at >> (x % 8 & 4) & 15
        every_dot(p, colour, 3)


def main():
    if not shutil.which('nasm'):
        print('nasm is missing')
        return SKIPPED
    subprocess.run(['nasm', '-f', 'bin', '-o', os.path.join(OUT, 'video.img'), os.path.join(TOP, 'tests/guest/video.asm')], check=True)
    failed = 0
    for kind in sys.argv[1:] or KINDS:
        try:
            globals()['case_' + kind]()
            print('ok ' + kind, flush=True)
        except Failure as e:
            print('not ok %s - %s' % (kind, e), flush=True)
            failed += 1
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
