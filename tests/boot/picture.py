"""picture.py - reads the screenshots that tests compare dot by dot."""
import zlib

from machine import Failure


class Picture:
    """An RGB PNG file."""

    def __init__(self, path):
        with open(path, 'rb') as f:
            data = f.read()
        packed, at = b'', 8
        while at < len(data):
            size, kind = int.from_bytes(data[at:at + 4], 'big'), data[at + 4:at + 8]
            if kind == b'IHDR':
                self.width, self.height = (int.from_bytes(data[at + i:at + i + 4], 'big') for i in (8, 12))
                if data[at + 16:at + 21] != b'\x08\x02\0\0\0':
                    raise Failure('the screenshot is no RGB picture')
            if kind == b'IDAT':
                packed += data[at + 8:at + 8 + size]
            at += 12 + size
        self.lines = self.unfilter(zlib.decompress(packed))

    def unfilter(self, raw):
        row, lines, above = 3 * self.width, [], bytes(3 * self.width)
        for y in range(self.height):
            kind, line = raw[y * (row + 1)], bytearray(raw[y * (row + 1) + 1:(y + 1) * (row + 1)])
            for i in range(row) if kind else ():
                a, b, c = line[i - 3] if i >= 3 else 0, above[i], above[i - 3] if i >= 3 else 0
                line[i] = line[i] + (0, a, b, (a + b) // 2, paeth(a, b, c))[kind] & 255
            lines.append(bytes(line))
            above = line
        return lines

    def dot(self, x, y):
        return tuple(self.lines[y][3 * x:3 * x + 3])

    def size_is(self, width, height):
        if (self.width, self.height) != (width, height):
            raise Failure('the picture has %d x %d dots, not %d x %d' % (self.width, self.height, width, height))

    def dot_is(self, x, y, colour):
        if self.dot(x, y) != tuple(colour):
            raise Failure('the dot at %d, %d is %s, not %s' % (x, y, self.dot(x, y), tuple(colour)))


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
