"""pc.py - drives a machine with a screen from the tests: keys in, screen text out, over its control socket."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from machine import Failure

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGFENCE = os.environ.get('RINGFENCE', './ringfence')
TMP = os.environ.get('TEST_TMP', '/tmp')
# Pictures of failed cases are kept beside the tests' logs.
KEEP = os.path.join(os.environ.get('OBJDIR', TMP), 'log')


def have(*tools):
    """The first of the tools that is not installed, or None."""
    for tool in tools:
        if not shutil.which(tool):
            return tool
    return None


def guests(*names):
    """Paths of unmodified guests, by tests/guests/fetch.sh; raises LookupError with the reason when they cannot be had."""
    done = subprocess.run([os.path.join(TOP, 'tests/guests/fetch.sh'), *names], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise LookupError((done.stderr.strip().splitlines() or ['fetch.sh failed'])[-1])
    found = dict(line.split(' ', 1) for line in done.stdout.splitlines())
    return [found[name] for name in names]


class PC:
    """A running machine without a window; `words` are what follows 'ringfence run'."""

    def __init__(self, name, words, timeout=60):
        self.name = name
        self.deadline = time.monotonic() + timeout
        self.sockets = tempfile.TemporaryDirectory(prefix='ringfence-')      # TMP may be too long for a socket's name
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.sockets.name)
        self.log = open(os.path.join(TMP, 'pc-%s.log' % name), 'w+b')
        self.process = subprocess.Popen([RINGFENCE, 'run', *words, '--display', 'none', '--name', name], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=self.env, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *what):
        if kind and self.process.poll() is None:
            self.keep_picture()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        self.sockets.cleanup()

    def output(self):
        """What the program and the serial ports on standard output printed."""
        self.log.flush()
        with open(self.log.name, 'rb') as f:
            return f.read().decode('latin-1').replace('\r', '')

    def ctl(self, *words, check=True):
        done = subprocess.run([RINGFENCE, 'ctl', self.name, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env,
                              timeout=30)
        text = done.stdout.decode('utf-8', 'replace')
        if check and done.returncode:
            raise Failure('ctl %s: %s' % (' '.join(words), text.strip() or done.returncode))
        return text

    def ended(self):
        return self.process.poll() is not None

    def screen(self):
        try:
            return self.ctl('screen-text')
        except Failure:         # the machine is not there yet, or shows no text
            return ''

    def _wait(self, read, pattern, seconds):
        limit = min(self.deadline, time.monotonic() + (seconds or 1e9))
        while True:
            text = read()
            found = re.search(pattern, text)
            if found:
                return found
            if self.ended():
                raise Failure('it ended (%d) before %r: %s' % (self.process.returncode, pattern, self.output()[-200:]))
            if time.monotonic() >= limit:
                last = ' / '.join(line.strip() for line in text.splitlines() if line.strip())
                raise Failure('no %r in time; there is: %s' % (pattern, last[-300:]))
            time.sleep(0.1)

    def wait(self, pattern, seconds=None):
        """Until the screen shows the pattern."""
        return self._wait(self.screen, pattern, seconds)

    def wait_output(self, pattern, seconds=None):
        return self._wait(self.output, pattern, seconds)

    def keys(self, *names):
        for name in names:
            self.ctl('send-key', name)

    def type(self, text):
        """Types text; a line end is the Enter key."""
        self.ctl('type', text)

    def picture(self, path):
        self.ctl('screendump', path)

    def keep_picture(self):
        try:
            os.makedirs(KEEP, exist_ok=True)
            self.picture(os.path.join(KEEP, 'boot-%s.png' % self.name))
        except (Failure, OSError, subprocess.SubprocessError):
            pass

    def status(self, seconds=20):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure('it does not end') from None


def run(cases, chosen):
    """Runs functions that take nothing; each is a case of the name behind 'case_'. Returns the exit status."""
    failed = 0
    for case in cases:
        name = case.__name__[len('case_'):]
        if chosen and name not in chosen:
            continue
        start = time.monotonic()
        try:
            case()
            print('ok %s (%.1f s)' % (name, time.monotonic() - start))
        except LookupError as why:
            print('skip %s - %s' % (name, why))
        except (Failure, OSError, subprocess.SubprocessError) as why:
            failed += 1
            print('not ok %s - %s' % (name, str(why).replace('\n', ' ')))
        sys.stdout.flush()
    return 1 if failed else 0
