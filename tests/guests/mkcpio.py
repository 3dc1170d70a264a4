#!/usr/bin/env python3
"""mkcpio.py - writes an initramfs (cpio "newc" format, gzip) without being root.

usage: mkcpio.py OUT ENTRY...
    PATH=FILE     the file FILE as PATH, executable if FILE is
    PATH/         an empty directory
    PATH=c:M:N    a character device (mode 600)
    PATH@TARGET   a symbolic link

Directories that lead to an entry are made. The same input gives the same bytes: times and owners are zero. The file
appears under its name when it is whole. Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""
import gzip
import os
import stat
import sys


class Archive:
    def __init__(self, out):
        self.out = out
        self.seen = set()

    def add(self, path, mode, data=b'', device=(0, 0)):
        name = path.encode() + b'\0'
        nlink = 2 if stat.S_ISDIR(mode) else 1
        fields = (len(self.seen) + 1, mode, 0, 0, nlink, 0, len(data), 0, 0, *device, len(name), 0)
        self.out.write(b'070701' + b''.join(b'%08x' % f for f in fields))
        self.write_padded(name, 110)
        self.write_padded(data, 0)
        self.seen.add(path)

    def write_padded(self, data, before):
        self.out.write(data + b'\0' * (-(before + len(data)) % 4))

    def add_parents(self, path):
        parts = path.split('/')[:-1]
        for n in range(1, len(parts) + 1):
            self.add_directory('/'.join(parts[:n]))

    def add_directory(self, path):
        if path not in self.seen:
            self.add(path, stat.S_IFDIR | 0o755)

    def add_entry(self, entry):
        path, mark, source = entry.partition('=')
        if mark:
            self.add_parents(path)
            if source.startswith('c:'):
                major, minor = (int(n) for n in source.split(':')[1:])
                self.add(path, stat.S_IFCHR | 0o600, device=(major, minor))
            else:
                with open(source, 'rb') as f:
                    executable = os.fstat(f.fileno()).st_mode & 0o100
                    self.add(path, stat.S_IFREG | (0o755 if executable else 0o644), f.read())
        elif '@' in entry:
            path, _, target = entry.partition('@')
            self.add_parents(path)
            self.add(path, stat.S_IFLNK | 0o777, target.encode())
        elif entry.endswith('/'):
            self.add_parents(entry)
            self.add_directory(entry.rstrip('/'))
        else:
            raise ValueError("'%s' is neither PATH=FILE, PATH/, PATH=c:M:N nor PATH@TARGET" % entry)


def main():
    if len(sys.argv) < 3:
        print('usage: mkcpio.py OUT ENTRY...', file=sys.stderr)
        return 2
    out = sys.argv[1]
    new = '%s.%d.new' % (out, os.getpid())
    try:
        with open(new, 'wb') as raw, gzip.GzipFile('', 'wb', 6, raw, mtime=0) as packed:
            archive = Archive(packed)
            for entry in sys.argv[2:]:
                archive.add_entry(entry)
            archive.add('TRAILER!!!', 0)
        os.replace(new, out)
    except (OSError, ValueError) as error:
        print('mkcpio.py: %s' % error, file=sys.stderr)
        if os.path.exists(new):
            os.unlink(new)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
