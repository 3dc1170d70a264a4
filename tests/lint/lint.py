#!/usr/bin/env python3
"""lint.py - what a compiler does not see: layers, mutable globals, self-sufficient headers, tested rules, plain text.

usage: tests/lint/lint.py [CHECK...]

Prints what is wrong as FILE:LINE: sentence, then 'ok CHECK' or 'not ok CHECK - N findings' for each check. Looks at the
files that git knows (or, outside a git tree, at all of them). Environment: OBJDIR (objects for the check of globals), CC.
"""
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OBJ = os.environ.get('OBJDIR', os.path.join(os.getcwd(), 'build', 'rel'))
CODE_DIRS = ('translator', 'monitor/lib', 'monitor', 'devices/emulated', 'devices/pv', 'devices', 'images', 'ui')

# Which folder's headers a file may include, besides its own folder's: the drawing in docs/README.md, 'Layers'.
MAY_INCLUDE = {
    'monitor/lib': (),
    'translator': ('monitor/lib',),
    'monitor': ('translator', 'monitor/lib'),
    'devices': ('monitor', 'monitor/lib', 'images'),
    'devices/emulated': ('devices', 'monitor', 'monitor/lib'),
    'devices/pv': ('devices', 'monitor', 'monitor/lib'),
    'images': ('monitor/lib',),
    'ui': ('devices', 'monitor', 'translator', 'monitor/lib', 'images'),
}
# The board file knows the wiring, so it sees every chip.
BOARD_FILE = re.compile(r'devices/board_\w+\.[ch]')
BOARD_SEES = ('devices/emulated', 'devices/pv')

# One foreign library, one file: its header may be included by one file of the program.
FOREIGN = ('Zydis/', 'capstone/', 'zlib.h', 'slirp/', 'SDL', 'png', 'jansson.h', 'curses.h')

# A library with two halves that have nothing in common.
SHARED = {'SDL': {'ui/sdl.c', 'ui/sdl_audio.c'}}

LONGEST_LINE = 140
LONGEST_FILE = 1000
TEXT_SUFFIXES = ('.c', '.h', '.S', '.asm', '.inc', '.def', '.py', '.sh', '.md', '.in', '.mk', '.json', '.1', '.allow', '.lds', '.ld')


def read(path):
    with open(os.path.join(SRC, path), encoding='utf-8', errors='replace') as f:
        return f.read()


def project_files():
    """Paths from the top: what git knows and what is new and not ignored."""
    try:
        out = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=SRC,
                             check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        names = out.decode().split('\0')
    except (OSError, subprocess.CalledProcessError):
        names = [os.path.relpath(os.path.join(top, f), SRC) for top, dirs, files in os.walk(SRC) for f in files]
        names = [n for n in names if not n.startswith(('.git/', 'build/')) and n != 'ringfence' and '__pycache__/' not in n]
    return sorted(n for n in set(names) if n and os.path.isfile(os.path.join(SRC, n)))


def code_dir(path):
    folder = os.path.dirname(path)
    return folder if folder in CODE_DIRS else None


def includes(path):
    for number, line in enumerate(read(path).splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if m:
            yield number, m.group(1) == '"', m.group(2)


def check_layers(files):
    """Includes follow the arrows; a foreign library's header is included by one file."""
    users = {}
    for path in files:
        folder = code_dir(path)
        if not folder or not path.endswith(('.c', '.h', '.S', '.def')):
            continue
        allowed = {folder, *MAY_INCLUDE[folder]}
        if BOARD_FILE.fullmatch(path):
            allowed.update(BOARD_SEES)
        for number, quoted, name in includes(path):
            if not quoted:
                for library in FOREIGN:
                    if name.startswith(library):
                        users.setdefault(library, {}).setdefault(path, number)
                continue
            beside = os.path.normpath(os.path.join(folder, name))
            target = beside if os.path.exists(os.path.join(SRC, beside)) else name
            target_dir = os.path.dirname(target)
            if target_dir.split('/')[0] == 'tests':
                yield path, number, 'the program includes a file of the tests: %s' % name
            elif target_dir in CODE_DIRS and target_dir not in allowed:
                yield path, number, '%s may not include %s: no arrow from %s to %s' % (folder, name, folder, target_dir)
    for library, by in users.items():
        if len(by) > 1 and set(by) != SHARED.get(library):
            for path, number in by.items():
                yield path, number, '%s is included by %d files: one foreign library, one file' % (library, len(by))


def load_allow_list():
    """globals.allow: 'OBJECT SYMBOL reason' a line."""
    allowed = {}
    for line in read('tests/lint/globals.allow').splitlines():
        words = line.split('#')[0].split(None, 2)
        if len(words) == 3:
            allowed[(words[0], words[1])] = words[2]
    return allowed


def check_globals(files):
    """No mutable file-scope data: nothing of ours is in .data, .bss or thread-local sections."""
    if os.path.basename(OBJ) not in ('rel', 'dbg'):
        return
    allowed = load_allow_list()
    for path in files:
        if not code_dir(path) or not path.endswith('.c'):
            continue
        obj = os.path.join(OBJ, path[:-2] + '.o')
        if not os.path.exists(obj):
            yield path, 0, 'is not built (%s is missing), so its globals are not known' % os.path.relpath(obj)
            continue
        out = subprocess.run(['objdump', '-t', obj], check=True, stdout=subprocess.PIPE, text=True).stdout
        for line in out.splitlines():
            m = re.match(r'[0-9a-f]+ .{7} (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$', line)
            if not m or int(m.group(2), 16) == 0:
                continue
            section, symbol = m.group(1), re.sub(r'\.\d+$', '', m.group(3))
            constant = section.startswith('.data.rel.ro')       # pointers in const tables, relocated at start
            mutable = section == '*COM*' or re.match(r'\.(t?data|t?bss)(\.|$)', section) and not constant
            if mutable and not symbol.startswith('.') and (path, symbol) not in allowed:
                yield path, 0, "'%s' is mutable file-scope data (%s): hang it from struct vm, or make it const" % (symbol, section)


def check_headers(files):
    """Every header compiles alone."""
    headers = [f for f in files if code_dir(f) and f.endswith('.h')]
    compiler = shlex.split(os.environ.get('CC', 'gcc'))

    def compile_one(path):
        command = compiler + ['-std=gnu11', '-fsyntax-only', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-unused-function',
                              '-I' + SRC, '-I' + os.path.dirname(OBJ), '-include', os.path.join(SRC, path), '-x', 'c', '/dev/null']
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return path, done.returncode or 'warning:' in done.stdout, done.stdout

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for path, bad, text in pool.map(compile_one, headers):
            if bad:
                first = next((line for line in text.splitlines() if 'error:' in line or 'warning:' in line), text[:200])
                yield path, 0, 'does not compile alone: ' + first.strip()


def rule_rows(text):
    """(line number, name, mnemonics) of each row; a row may go over several lines."""
    starts = [m.start() for m in re.finditer(r'^\s*RULE\(', text, re.MULTILINE)]
    for start, end in zip(starts, starts[1:] + [len(text)]):
        row = text[start:end]
        yield text.count('\n', 0, start) + 1, re.match(r'\s*RULE\(\s*(\w+)', row).group(1), re.findall(r'\bM\((\w+)\)', row)


def check_rules(files):
    """Every row of translator/rules.def has a test: its name, or the name of one of its instructions, is in tests/."""
    rules = 'translator/rules.def'
    if rules not in files:
        return
    words = set()
    for path in files:
        if path.startswith(('tests/unit/', 'tests/asm/', 'tests/fuzz/')):
            words.update(re.findall(r'\w+', re.sub(r'_MNEMONIC_(\w+)', r' \1 ', read(path))))
    for number, name, mnemonics in rule_rows(read(rules)):
        if name not in words and not any(m in words or m.lower() in words for m in mnemonics):
            yield rules, number, 'rule %s has no test: neither it nor an instruction of it is named in tests/' % name


def code_lines_with_space_indent(text):
    """Line numbers, outside of block comments, that are indented by four or more blanks."""
    in_comment = False
    for number, line in enumerate(text.splitlines(), 1):
        if not in_comment and re.match(r' {4}', line):
            yield number
        for mark in re.findall(r'/\*|\*/', line):
            in_comment = mark == '/*'


def check_format(files):
    """Tabs, line length, trailing blanks, final newline."""
    for path in files:
        if not path.endswith(TEXT_SUFFIXES) and os.path.basename(path) not in ('configure', 'run', 'init'):
            continue
        text = read(path)
        if text and not text.endswith('\n'):
            yield path, text.count('\n') + 1, 'no newline at the end of the file'
        if text.endswith('\n\n'):
            yield path, text.count('\n'), 'blank lines at the end of the file'
        for number, line in enumerate(text.split('\n'), 1):
            if line != line.rstrip():
                yield path, number, 'blanks at the end of the line'
            if len(line) > LONGEST_LINE and not path.endswith(('.md', '.def', '.1')):
                yield path, number, '%d characters, more than %d' % (len(line), LONGEST_LINE)
        if path.endswith(('.c', '.h')):
            for number in code_lines_with_space_indent(text):
                yield path, number, 'indented by blanks, not by tabs'
        if path.endswith('.c') and code_dir(path) and not text.startswith('/*'):
            yield path, 1, 'begins without a comment that says what the file owns'


def check_size(files):
    """No file is longer than a person reads; tables (.def) may be."""
    for path in files:
        if path.endswith(('.c', '.h', '.S', '.py', '.sh', '.asm')):
            lines = read(path).count('\n')
            if lines > LONGEST_FILE:
                yield path, lines, '%d lines, more than %d: split it' % (lines, LONGEST_FILE)


def check_binaries(files):
    """Nothing but text is in the tree, and the pages' pictures."""
    for path in files:
        if re.fullmatch(r'docs/\w+\.png', path):
            continue
        with open(os.path.join(SRC, path), 'rb') as f:
            if b'\0' in f.read(65536):
                yield path, 0, 'is a binary file'


# Written so that no pattern matches its own line.
FOREIGN_TEXT = (
    (r'(?<![\w.~}])/(?:work|root|home)/[a-z]\w*', 'names a path of one machine'),
    (r'/tmp/(?:brief)', 'names a path of one machine'),
    (r'(?i)\b(?:deb|ftp|security|archive|snapshot)[.](?:debian|ubuntu)[.]', 'names a package host'),
    (r'(?i)\b(?:pypi|pythonhosted|npmjs|crates)[.](?:org|io)\b|\bproxy[.]golang[.]', 'names a package host'),
)


def check_text(files):
    """The project's text names no package hosts and no paths of one machine."""
    patterns = [(re.compile(p), why) for p, why in FOREIGN_TEXT]
    for path in files:
        for number, line in enumerate(read(path).splitlines(), 1):
            for pattern, why in patterns:
                m = pattern.search(line)
                if m:
                    yield path, number, "%s: '%s'" % (why, m.group(0))


CHECKS = {name[6:]: function for name, function in list(globals().items()) if name.startswith('check_')}


def main():
    wanted = sys.argv[1:] or list(CHECKS)
    unknown = [name for name in wanted if name not in CHECKS]
    if unknown:
        print('lint: no check is called %s; there are: %s' % (' '.join(unknown), ' '.join(CHECKS)), file=sys.stderr)
        return 2
    files = project_files()
    bad = 0
    for name in wanted:
        findings = list(CHECKS[name](files))
        for path, number, what in findings:
            print('%s:%s %s' % (path, '%d:' % number if number else '', what))
        print('not ok %s - %d findings' % (name, len(findings)) if findings else 'ok ' + name)
        bad += len(findings)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
