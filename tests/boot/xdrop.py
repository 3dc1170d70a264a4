"""xdrop.py - drops a file on another program's window, as a file manager would: XDND 5, by way of libX11 itself.

usage: xdrop.py WINDOW FILE

Status 1 if the window does not want it.
"""
import ctypes
import sys
import time
from urllib.parse import quote

CLIENT_MESSAGE, SELECTION_REQUEST, SELECTION_NOTIFY = 33, 30, 31
PATIENCE = 20


class Source:
    """Events are arrays of longs: Xlib.h's structures on a 64-bit host."""

    def __init__(self):
        self.x = ctypes.CDLL('libX11.so.6')
        self.x.XOpenDisplay.restype = ctypes.c_void_p
        for name in ('XInternAtom', 'XDefaultRootWindow', 'XCreateSimpleWindow'):
            getattr(self.x, name).restype = ctypes.c_ulong
        self.display = ctypes.c_void_p(self.x.XOpenDisplay(None))
        root = ctypes.c_ulong(self.x.XDefaultRootWindow(self.display))
        self.window = self.x.XCreateSimpleWindow(self.display, root, 0, 0, 1, 1, 0, ctypes.c_ulong(0), ctypes.c_ulong(0))
        self.x.XSetSelectionOwner(self.display, ctypes.c_ulong(self.atom('XdndSelection')), ctypes.c_ulong(self.window), ctypes.c_ulong(0))

    def atom(self, name):
        return self.x.XInternAtom(self.display, name.encode(), 0)

    def send(self, to, *words):
        event = (ctypes.c_long * 24)(*words)
        self.x.XSendEvent(self.display, ctypes.c_ulong(to), 0, ctypes.c_long(0), event)
        self.x.XFlush(self.display)

    def tell(self, to, message, *data):
        self.send(to, CLIENT_MESSAGE, 0, 1, 0, to, self.atom(message), 32, self.window, *data)

    def answer(self, request, data):
        requestor, selection, target, prop, when = request[5:10]
        self.x.XChangeProperty(self.display, ctypes.c_ulong(requestor), ctypes.c_ulong(prop), ctypes.c_ulong(target), 8, 0, data, len(data))
        self.send(requestor, SELECTION_NOTIFY, 0, 1, 0, requestor, selection, target, prop, when)

    def wait(self, message, data):
        """The data of that message to us; requests for the selection are answered meanwhile."""
        event, end = (ctypes.c_long * 24)(), time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not self.x.XPending(self.display):
                time.sleep(0.01)
                continue
            self.x.XNextEvent(self.display, event)
            kind = event[0] & 0xff
            if kind == SELECTION_REQUEST:
                self.answer(list(event), data)
            elif kind == CLIENT_MESSAGE and event[5] == self.atom(message):
                return event[7:12]
        sys.exit('no %s in %d s' % (message, PATIENCE))


def main():
    target, uri = int(sys.argv[1]), b'file://' + quote(sys.argv[2]).encode() + b'\r\n'
    source = Source()
    source.tell(target, 'XdndEnter', 5 << 24, source.atom('text/uri-list'), 0, 0)
    source.tell(target, 'XdndPosition', 0, 300 << 16 | 300, 0, source.atom('XdndActionCopy'))
    if not source.wait('XdndStatus', uri)[1] & 1:
        sys.exit('the window does not want it')
    source.tell(target, 'XdndDrop', 0, 0, 0)
    source.wait('XdndFinished', uri)


if __name__ == '__main__':
    main()
