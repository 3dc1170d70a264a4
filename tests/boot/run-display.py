#!/usr/bin/env python3
"""run-display.py - the machine in a window (under Xvfb) and in a terminal (in tmux): SeaBIOS' text is there, keys reach its boot menu, a
guest's tone is heard.

usage: run-display.py

Prints a line for each case; what is missing for a case skips it.
"""
import array
import os
import re
import shutil
import signal
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


class Window:
    """A machine in a window, and what a user does to it."""

    def __init__(self, folder, *words, manager=False):
        need('Xvfb', 'xdotool', *['openbox'] * manager)
        built_with('sdl', 'without SDL')
        self.folder, self.words, self.manager = folder, words, manager

    def __enter__(self):
        self.server = Server()
        self.env = self.server.__enter__().env
        self.others = []
        if self.manager:
            self.others.append(subprocess.Popen(['openbox'], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            until('window manager', lambda: self.tool('get_num_desktops'))
            time.sleep(1.5)     # a window that comes while it starts may never be shown
        self.says = open(os.path.join(self.folder, 'says'), 'w+')
        self.machine = subprocess.Popen([RINGFENCE, 'run', *self.words, '--display', 'sdl', '--serial', 'none', '--name', NAME],
                                        env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.says, stderr=self.says)
        try:
            self.found = until('window', lambda: self.tool('search', '--name', '^%s - Ringfence' % NAME)).split()[0]
            until('focus', self.focus)
        except BaseException as e:
            if isinstance(e, Failure) and self.said():
                e.args = ('%s; it said: %s' % (e, self.said()[-200:]),)
            self.__exit__()
            raise
        return self

    def __exit__(self, *what):
        for process in [self.machine] + self.others:
            process.kill()
            process.wait()
        self.says.close()
        self.server.__exit__()

    def focus(self):
        self.tool('windowfocus', self.found)
        return self.tool('getwindowfocus') == self.found

    def tool(self, *words):
        return output('xdotool', *words, env=self.env).strip()

    def key(self, *keys):
        self.tool('key', *keys)

    def drop(self, path):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'xdrop.py')
        done = subprocess.run([sys.executable, program, self.found, os.path.abspath(path)], env=self.env, capture_output=True, text=True,
                              timeout=PATIENCE)
        if done.returncode:
            raise Failure('%s cannot be dropped: %s' % (path, done.stderr.strip()[-200:]))

    def title(self):
        return self.tool('getwindowname', self.found)

    def said(self):
        self.says.seek(0)
        return self.says.read()

    def pictures(self):
        return [f for f in os.listdir(self.folder) if f.endswith('.png') and os.path.getsize(os.path.join(self.folder, f))]


def ctl(*words):
    return output(RINGFENCE, 'ctl', NAME, *words)


def need_control():
    if not output(RINGFENCE, 'ctl', '--help'):
        raise Skip('built without libjansson')


def text():
    return ctl('screen-text')


def window(folder):
    with Window(folder, '--boot', 'menu=on') as w:
        if output(RINGFENCE, 'ctl', '--help'):
            def menu():
                w.key('Escape')
                return 'Select boot device' in text()
            until('boot menu', menu)
        w.key('ctrl+alt+s')
        name = until('screenshot', w.pictures)[0]
        with open(os.path.join(folder, name), 'rb') as f:
            if f.read(8) != b'\x89PNG\r\n\x1a\n':
                raise Failure('the screenshot is no PNG file')
        w.tool('mousemove', '--window', w.found, '100', '100', 'click', '1')
        until('hint at the grabbed mouse', lambda: 'releases the mouse' in w.title())
        w.key('ctrl+alt+g')
        until('free mouse', lambda: 'releases the mouse' not in w.title())
        w.machine.terminate()
        w.machine.wait(PATIENCE)


# Reads keys from the BIOS and writes them to the screen.
ECHO = bytes.fromhex('30e4cd16' 'b40ebb0700cd10' 'ebf3')


def boot_floppy(folder, code, name='floppy.img'):
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        f.write(code.ljust(510, b'\0') + b'\x55\xaa')
        f.truncate(1474560)
    return path


def commands(folder):
    """The keys that are the window's own, and what the title says."""
    need('xclip')
    need_control()
    with Window(folder, boot_floppy(folder, ECHO), manager=True) as w:
        until('the guest', lambda: 'Booting from Floppy' in text())
        until('echo', lambda: w.key('q') or 'q' in text().splitlines()[-1])
        with subprocess.Popen(['xclip', '-selection', 'clipboard', '-loops', '1'], stdin=subprocess.PIPE, env=w.env) as clip:
            clip.communicate(b'Hello, {World}; 1+1=2')
            w.key('ctrl+alt+v')
            until('pasted text', lambda: 'Hello, {World}; 1+1=2' in text())
        ctl('stop')
        until('pause in the title', lambda: 'paused: stopped by the user' in w.title())
        ctl('cont')
        until('title as before', lambda: 'paused' not in w.title())

        def pressed():
            return int(re.search(r'pm1_status = (\w+)', ctl('dev', 'piix4_pm')).group(1), 0) & 0x100
        if pressed():
            raise Failure('the power button is pressed from the beginning')
        w.key('ctrl+alt+p')
        until('pressed power button', pressed)
        w.key('ctrl+alt+r')
        until('reset', lambda: 'World' not in text())
        until('the guest again', lambda: 'Booting from Floppy' in text())
        w.key('ctrl+alt+e')
        until('empty drive', lambda: 'inserted: true' not in ctl('query-block'))
        w.drop(boot_floppy(folder, ECHO, 'a, b.img'))
        until('dropped floppy in the drive', lambda: 'inserted: true' in ctl('query-block'))
        w.drop(__file__)
        until('word of a file that is no medium', lambda: "is neither a CD's nor a floppy's image" in w.said())
        w.key('ctrl+alt+e')
        until('drive empty again', lambda: 'inserted: true' not in ctl('query-block'))
        w.key('ctrl+alt+e')
        until('word of the empty drive', lambda: 'no medium to eject' in w.said())
        w.key('alt+F4')
        until('question in the title', lambda: 'close again' in w.title())
        w.key('alt+F4')
        if w.machine.wait(PATIENCE) != 0:
            raise Failure('closed twice it ends with status %d' % w.machine.returncode)


def sizes(folder):
    with Window(folder, manager=True) as w:
        def size():
            return re.search(r'Geometry: (\d+x\d+)', w.tool('getwindowgeometry', w.found)).group(1)

        until('window as large as the picture', lambda: size() == '720x400')
        w.key('ctrl+alt+f')
        until('full screen', lambda: size() == '1280x960')
        w.key('ctrl+alt+f')
        until('window again', lambda: size() == '720x400')
        w.tool('windowsize', w.found, '300', '200')
        until('small window', lambda: size() == '300x200')
        w.key('ctrl+alt+s')
        until('screenshot', w.pictures)
        w.machine.terminate()
        w.machine.wait(PATIENCE)


def server_dies(folder):
    need_control()
    with Window(folder) as w:
        until("SeaBIOS' first line", lambda: 'SeaBIOS' in text())
        w.server.process.kill()
        until('sentence on the lost window', lambda: 'the X server is gone' in w.said())
        if 'status: running' not in ctl('query-status') or 'SeaBIOS' not in text():
            raise Failure('without its window the machine does not answer')
        ctl('quit')
        if w.machine.wait(PATIENCE) != 0:
            raise Failure('without its window it ends with status %d' % w.machine.returncode)


# The timer's channel 2 to 1193182 / 1193 Hz, the speaker on, and that is all: a boot sector.
BEEP = bytes.fromhex('b0b6e643' 'b0a9e642' 'b004e642' 'e4610c03e661' 'fbf4ebfd')


def sound(folder):
    need('Xvfb')
    built_with('sdl', 'without SDL')
    image, samples = boot_floppy(folder, BEEP), os.path.join(folder, 'samples')

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


class Terminal:
    """A shell in tmux."""

    def __init__(self, folder):
        need('tmux')
        built_with('text', 'without ncurses')
        self.tmux = ['tmux', '-S', os.path.join(folder, 'tmux'), '-f', '/dev/null']
        self.folder = folder

    def __enter__(self):
        env = {k: v for k, v in os.environ.items() if k not in ('DISPLAY', 'WAYLAND_DISPLAY')}
        output(*self.tmux, 'new-session', '-d', '-x', '80', '-y', '25', '-c', self.folder, 'bash --norc', env=env)
        self.keys('stty -g >before; clear', 'Enter')
        return self

    def __exit__(self, *what):
        output(*self.tmux, 'kill-server')

    def keys(self, *keys):
        output(*self.tmux, 'send-keys', *keys)

    def screen(self):
        return output(*self.tmux, 'capture-pane', '-p')

    def see(self, word, what=None):
        until(what or "'%s' in the terminal" % word, lambda: word in self.screen())

    def resize(self, columns, rows):
        output(*self.tmux, 'resize-window', '-x', str(columns), '-y', str(rows))

    def run(self, *words):
        """A machine in the shell's foreground; its process."""
        self.keys("'%s' run --name %s %s & echo $! >pid; fg >/dev/null" % (RINGFENCE, NAME, ' '.join(words)), 'Enter')
        self.see('SeaBIOS (version', "SeaBIOS' first line")
        with open(os.path.join(self.folder, 'pid')) as f:
            return int(f.read())

    def same(self, mark, ended=None):
        """The shell has its terminal again, as it was, now that the process has ended or stopped."""
        if ended:
            until('end (%s)' % mark, lambda: not os.path.exists('/proc/%d' % ended))
        self.keys("stty -g | cmp - before && echo SA''ME-%s" % mark, 'Enter')
        self.see('SAME-' + mark, 'terminal as before (%s)' % mark)


def terminal(folder):
    need_control()
    with Terminal(folder) as t:
        pid = t.run('--display', 'text', '--boot', 'menu=on')

        def menu():
            t.keys('Escape')
            return 'Select boot device' in t.screen()
        until('boot menu', menu)
        time.sleep(0.3)         # or the next key is one with Alt
        t.keys('C-a', 'h')
        t.see('Ctrl-A X leaves', 'help')
        t.keys('C-a', 'c')
        t.see('(ringfence)', 'prompt')
        t.keys('stop', 'Enter', 'C-a', 'c')
        t.see('paused: stopped by the user')
        t.see('Select boot device', 'screen again')
        ctl('cont')
        until('end of the pause on the screen', lambda: 'paused: ' not in t.screen())
        t.resize(60, 10)
        t.keys('C-a', 'x')
        t.same('left', pid)


def signals(folder):
    """Whatever ends or stops it: the terminal is the shell's again, as it was."""
    need_control()
    with Terminal(folder) as t:
        pid = t.run()           # the text display is the default here
        os.kill(pid, signal.SIGTSTP)
        t.see('Stopped', "the shell's word")
        t.same('stopped')
        t.keys('fg', 'Enter')
        until('screen again', lambda: 'SeaBIOS (version' in t.screen() and 'SAME' not in t.screen())
        for number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT):
            os.kill(pid, number)
            t.same(number.name, pid)
            t.keys('clear', 'Enter')
            pid = t.run('--display', 'text')
        t.keys('C-a', 'c')
        t.see('(ringfence)', 'prompt')
        t.keys('quit', 'Enter')
        t.same('quit', pid)


def main():
    failed = 0
    for name, case in (('window', window), ('commands', commands), ('sizes', sizes), ('server-dies', server_dies),
                       ('sound', sound), ('terminal', terminal), ('signals', signals)):
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
