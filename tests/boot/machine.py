"""machine.py - drives a machine from the tests: starts it, waits for text, types, reads the exit status."""
import os
import re
import select
import signal
import subprocess
import tempfile
import time


class Failure(Exception):
    """One sentence: what the machine did not do."""


class Skip(Exception):
    """Why a case cannot be tried here."""


def run_cases(what, cases, words, prepare=lambda folder: None):
    """Runs the cases whose names have one of the words in them (none: all), each in a folder of its own that prepare() has seen first;
    prints a line for each. Returns the exit status."""
    failed = False
    for function in cases:
        if words and not any(word in function.__name__ for word in words):
            continue
        name = what + ' ' + function.__name__.replace('_', ' ')
        with tempfile.TemporaryDirectory(prefix='rf.') as folder:       # short: sockets lie there
            prepare(folder)
            try:
                function(folder)
                print('ok ' + name, flush=True)
            except Skip as why:
                print('skip %s - %s' % (name, why), flush=True)
            except Exception as why:            # a bug here must not hide the other cases
                kind = '' if isinstance(why, Failure) else type(why).__name__ + ': '
                print('not ok %s - %s%s' % (name, kind, ' / '.join(str(why).split('\n'))), flush=True)
                failed = True
    return 1 if failed else 0


class Machine:
    """A running program whose console is a pair of pipes, or `master`, the near end of a pseudo-terminal."""

    def __init__(self, command, timeout, pty=None, stdin=None):
        self.deadline = time.monotonic() + timeout
        self.text = ''
        self.mark = 0           # what was looked at before
        near, far = pty or (None, None)
        self.process = subprocess.Popen(command, stdin=far if pty else stdin or subprocess.PIPE, stdout=far if pty else subprocess.PIPE,
                                        stderr=subprocess.STDOUT if not pty else far, start_new_session=True)
        self.out = near if pty else self.process.stdout.fileno()
        self.typing = near if pty else self.process.stdin.fileno() if self.process.stdin else None

    def __enter__(self):
        return self

    def __exit__(self, *what):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass

    def left(self):
        return max(0.0, self.deadline - time.monotonic())

    def pump(self, seconds):
        """Reads what there is; False when the other end is closed."""
        if not select.select([self.out], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.out, 65536)
        except OSError:
            data = b''
        self.text += data.decode('latin-1').replace('\r', '')
        return bool(data)

    def tail(self):
        return ' / '.join(self.text.rstrip().splitlines()[-3:])[-200:]

    def expect(self, pattern, what=None, seconds=None):
        """Waits for the pattern in what came since the last match; returns the match."""
        limit = min(self.deadline, time.monotonic() + seconds) if seconds else self.deadline
        while True:
            found = re.search(pattern, self.text[self.mark:])
            if found:
                self.mark += found.end()
                return found
            if time.monotonic() >= limit:
                raise Failure('no %s in time; last lines: %s' % (what or repr(pattern), self.tail()))
            if not self.pump(min(1.0, max(0.01, limit - time.monotonic()))):
                raise Failure('it ended (%s) before %s; last lines: %s' % (self.status(5), what or repr(pattern), self.tail()))

    def type(self, text):
        os.write(self.typing, text.encode('latin-1'))

    def command(self, line):
        """Types a shell command; returns (output, exit status). The marks are written so that their echo does not match."""
        self.type("echo BE''GIN; " + line + "; echo EN''D=$?\n")
        self.expect(r'BEGIN\n', 'answer to ' + line)
        found = self.expect(r'(?s)(.*?)END=(\d+)\n', 'end of ' + line)
        return found.group(1), int(found.group(2))

    def status(self, seconds=None):
        """The exit status; what is still printed is kept."""
        limit = time.monotonic() + (seconds or self.left())
        open_ = True
        while self.process.poll() is None and time.monotonic() < limit:
            if open_:
                open_ = self.pump(0.1)
            else:
                time.sleep(0.02)
        while open_ and select.select([self.out], [], [], 0)[0]:
            open_ = self.pump(0)
        if self.process.poll() is None:
            raise Failure('it does not end; last lines: ' + self.tail())
        return self.process.returncode
