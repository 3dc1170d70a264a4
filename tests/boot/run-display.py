#!/usr/bin/env python3
"""run-display.py - the machine in a window (under Xvfb) and in a terminal (in tmux): SeaBIOS' text is there, keys reach its boot menu, a
guest's tone is heard.

usage: run-display.py

Prints a line for each case; what is missing for a case skips it.
"""
import array
import os
import shutil
import subprocess
import sys
import tempfile
import time

RINGFENCE = os.path.abspath(os.environ.get('RINGFENCE', './ringfence'))
PATIENCE = 30.0
NAME = 'screen-test'


class Failure(Exception):
    """One sentence: what was not seen."""


class Skip(Exception):
    """What is missing."""


def until(what, look):
    """The first true value of look()."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise Failure('no %s in %d s' % (what, PATIENCE))


def output(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=PATIENCE, **more).stdout


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Skip('%s is missing' % tool)


def built_with(kind, word):
    none = subprocess.DEVNULL
    told = subprocess.run([RINGFENCE, 'run', '--display', kind], stdin=none, stdout=none, stderr=subprocess.PIPE,
                          text=True, timeout=PATIENCE, env={'PATH': os.environ['PATH'], 'DISPLAY': ':none'}).stderr
    if word in told:
        raise Skip('built ' + word)


class Server:
    """An X server without a screen."""

    def __enter__(self):
        near, far = os.pipe()
        self.process = subprocess.Popen(['Xvfb', '-displayfd', str(far), '-screen', '0', '1280x960x24', '-nolisten', 'tcp'],
                                        pass_fds=[far], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(far)
        with os.fdopen(near) as f:
            number = f.readline().strip()
        if not number:
            raise Skip('Xvfb does not start')
        self.env = dict(os.environ, DISPLAY=':' + number, SDL_VIDEODRIVER='x11', SDL_AUDIODRIVER='dummy')
        return self

    def __exit__(self, *what):
        self.process.terminate()
        self.process.wait()


def window(folder):
    need('Xvfb', 'xdotool')
    built_with('sdl', 'without SDL')
    with Server() as x:
        command = [RINGFENCE, 'run', '--display', 'sdl', '--serial', 'none', '--name', NAME, '--boot', 'menu=on']
        with open(os.path.join(folder, 'says'), 'w+') as says, \
                subprocess.Popen(command, env=x.env, cwd=folder, stdin=subprocess.DEVNULL, stdout=says, stderr=says) as m:
            try:
                use_window(x, folder, m)
            finally:
                m.kill()


def use_window(x, folder, m):
    def tool(*words):
        return output('xdotool', *words, env=x.env).strip()

    def pictures():
        return [f for f in os.listdir(folder) if f.startswith(NAME) and f.endswith('.png') and os.path.getsize(os.path.join(folder, f))]

    def text():
        return output(RINGFENCE, 'ctl', NAME, 'screen-text')

    found = until('window', lambda: tool('search', '--name', '^%s - Ringfence' % NAME)).split()[0]
    tool('windowfocus', found)
    if output(RINGFENCE, 'ctl', '--help'):
        def menu():
            tool('key', 'Escape')
            return 'Select boot device' in text()
        until('boot menu', menu)
    tool('key', 'ctrl+alt+s')
    name = until('screenshot', pictures)[0]
    with open(os.path.join(folder, name), 'rb') as f:
        if f.read(8) != b'\x89PNG\r\n\x1a\n':
            raise Failure('the screenshot is no PNG file')
    tool('mousemove', '--window', found, '100', '100', 'click', '1')
    until('hint at the grabbed mouse', lambda: 'releases the mouse' in tool('getwindowname', found))
    tool('key', 'ctrl+alt+g')
    until('free mouse', lambda: 'releases the mouse' not in tool('getwindowname', found))
    m.terminate()
    m.wait(PATIENCE)


# The timer's channel 2 to 1193182 / 1193 Hz, the speaker on, and that is all: a boot sector.
BEEP = bytes.fromhex('b0b6e643' 'b0a9e642' 'b004e642' 'e4610c03e661' 'fbf4ebfd')


def sound(folder):
    need('Xvfb')
    built_with('sdl', 'without SDL')
    image, samples = os.path.join(folder, 'beep.img'), os.path.join(folder, 'samples')
    with open(image, 'wb') as f:
        f.write(BEEP.ljust(510, b'\0') + b'\x55\xaa')
        f.truncate(1474560)

    def tone():
        """The samples from one rise through zero to the next, as most of them are."""
        heard = array.array('h')
        if os.path.exists(samples):
            with open(samples, 'rb') as f:
                data = f.read(200000)
            heard.frombytes(data[:len(data) & ~1])
        rises = [i for i in range(1, len(heard)) if heard[i - 1] < 0 <= heard[i]]
        apart = sorted(b - a for a, b in zip(rises, rises[1:]))
        return apart[len(apart) // 2] if len(apart) > 500 else 0

    with Server() as x:
        env = dict(x.env, SDL_AUDIODRIVER='disk', SDL_DISKAUDIOFILE=samples)
        with subprocess.Popen([RINGFENCE, 'run', image, '--display', 'sdl', '--serial', 'none', '--name', NAME], env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as m:
            try:
                apart = until('tone', tone)
            finally:
                m.kill()
    if not 47 <= apart <= 49:
        raise Failure('the tone of 1000 Hz has %d samples a period at 48000 a second' % apart)


def terminal(folder):
    need('tmux')
    built_with('text', 'without ncurses')
    tmux = ['tmux', '-S', os.path.join(folder, 'tmux'), '-f', '/dev/null']

    def shows(word):
        return lambda: word in output(*tmux, 'capture-pane', '-p')

    line = "'%s' run --display text --name %s --boot menu=on; echo END=$?; sleep 100" % (RINGFENCE, NAME)
    output(*tmux, 'new-session', '-d', '-x', '80', '-y', '25', line)
    try:
        until("SeaBIOS' first line", shows('SeaBIOS (version'))

        def menu():
            output(*tmux, 'send-keys', 'Escape')
            return shows('Select boot device')()
        until('boot menu', menu)
        time.sleep(0.3)         # or the next key is one with Alt
        output(*tmux, 'send-keys', 'C-a', 'h')
        until('help', shows('Ctrl-A X leaves'))
        output(*tmux, 'resize-window', '-x', '60', '-y', '10')
        output(*tmux, 'send-keys', 'C-a', 'x')
        until('end with status 0', shows('END=0'))
    finally:
        output(*tmux, 'kill-server')


def main():
    failed = 0
    for name, case in (('window', window), ('sound', sound), ('terminal', terminal)):
        with tempfile.TemporaryDirectory() as folder:
            try:
                case(folder)
                print('ok ' + name, flush=True)
            except Skip as e:
                print('ok %s # skip %s' % (name, e), flush=True)
            except (Failure, subprocess.SubprocessError) as e:
                print('not ok %s - %s' % (name, e), flush=True)
                failed += 1
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
