#!/usr/bin/env python3
"""check-guests.py - boots the images of a folder as its list says ('make check-guests DIR=FOLDER').

The list is FOLDER/guests.list, or else tests/boot/guests.list of this tree; its format is in tests/boot/README.md. Images that are
not in the folder are skipped. Every image is copied first, so the folder's files stay as they are.
"""
import configparser
import os
import shutil
import sys

from machine import Failure
from pc import PC, TMP, run

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = {'wait', 'type', 'keys', 'gone'}


def steps_of(section, where):
    for line in section.get('steps', '').strip().splitlines():
        verb, _, rest = line.strip().partition(' ')
        if verb not in STEPS or not rest:
            raise Failure('%s: "%s" is no step: one of %s with something behind it' % (where, line.strip(), ', '.join(sorted(STEPS))))
        yield verb, rest


def take(pc, verb, rest, seconds):
    if verb == 'wait':
        pc.wait(rest, seconds)
    elif verb == 'type':
        pc.type(rest.replace('\\n', '\n'))
    elif verb == 'keys':
        pc.keys(*rest.split())
    elif verb == 'gone' and rest in pc.screen():
        raise Failure('%r is still on the screen' % rest)


def make_case(name, section, folder):
    def case():
        image = os.path.join(folder, section['file'])
        if not os.path.exists(image):
            raise LookupError('%s is not there' % image)
        copy = os.path.join(TMP, os.path.basename(image))
        shutil.copy(image, copy)
        os.chmod(copy, 0o644)
        words = ['-m', section.get('memory', '64M'), *section.get('options', '').split(), '--' + section['kind'], copy]
        seconds = section.getint('seconds', 60)
        with PC(name, words, timeout=seconds * 4) as pc:
            for verb, rest in steps_of(section, name):
                take(pc, verb, rest, seconds)
    case.__name__ = 'case_' + name
    return case


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        print('usage: make check-guests DIR=FOLDER; %s' % (sys.argv[1] + ': no folder' if len(sys.argv) > 1 else ''), file=sys.stderr)
        return 2
    folder = os.path.abspath(sys.argv[1])
    own = os.path.join(folder, 'guests.list')
    table = configparser.ConfigParser(interpolation=None)
    table.read(own if os.path.exists(own) else os.path.join(HERE, 'guests.list'))
    return run([make_case(name, table[name], folder) for name in table.sections()], sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
