# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent protocol a second time: what guest-agent/protocol.h says, by itself, in Python.

Tests talk with it to an agent through QEMU's socket, without the keeper, so that what one side
believes of the protocol is not all there is.

    link = AgentLink("/path/of/agent.sock")
    state = link.hello()
    link.setup(["hostname x", ...])
    done = link.exec(["true"])              # Exit(how, value, message, out, err)
"""
import collections
import os
import select
import socket
import struct
import time

VERSION, MAGIC = 1, 0x314D5644
MAX_PAYLOAD, HEADER, WINDOW, NONCE = 32 * 1024, 20, 128 * 1024, 16
PAD = bytes(HEADER + MAX_PAYLOAD)
(HELLO, HELLO_ACK, OPEN, STDIN, STDOUT, STDERR, CREDIT, SIGNAL, WINSIZE, EXIT,
 CANCEL) = range(1, 12)
EXITED, SIGNALED, FAILED = 0, 1, 2
(SETUP, EXEC, PUT, GET, RMMOD, USERS, CLOCK, POWER, SYMLINK, KLOG, PING) = range(1, 12)
TTY, FRESH, WANT_STDIN = 1, 2, 4
EARLY, READY = 0, 1

Exit = collections.namedtuple("Exit", "how value message out err")


class LinkError(Exception):
    """The agent said nothing in time, or something wrong."""


def u32(v):
    return struct.pack("<I", v & 0xFFFFFFFF)


def data(b):
    return u32(len(b)) + b


def text(s):
    return data(s.encode() + b"\0")


class Stream:
    def __init__(self, link, number):
        self.link, self.number = link, number
        self.out, self.err, self.exit = bytearray(), bytearray(), None
        self.window, self.auto_credit, self.owed = WINDOW, True, 0

    def send(self, kind, payload=b""):
        self.link.send_frame(self.number, kind, payload)

    def write(self, payload):
        """Input, as the window allows."""
        while payload:
            self.link.pump_until(lambda: self.window > 0 or self.exit)
            if self.exit:
                return
            piece = payload[:min(self.window, MAX_PAYLOAD)]
            self.send(STDIN, piece)
            self.window -= len(piece)
            payload = payload[len(piece):]

    def eof(self):
        self.send(STDIN)

    def take(self, kind, payload):
        if self.exit:
            raise LinkError("a frame after the EXIT")
        if kind == EXIT:
            how, value, size = struct.unpack_from("<IiI", payload)
            if size != len(payload) - 12 or payload[-1:] != b"\0":
                raise LinkError("a malformed EXIT")
            self.exit = Exit(how, value, payload[12:-1].decode(), bytes(self.out), bytes(self.err))
        elif kind == CREDIT:
            self.window += struct.unpack("<I", payload)[0]
        elif kind in (STDOUT, STDERR):
            (self.out if kind == STDOUT else self.err).extend(payload)
            self.owed += len(payload)
            if self.owed > WINDOW:
                raise LinkError("more output than the window allows")
            if self.auto_credit and self.owed >= WINDOW // 4:
                self.give()

    def give(self):
        self.send(CREDIT, u32(self.owed))
        self.owed = 0

    def wait(self, timeout=30):
        self.link.pump_until(lambda: self.exit, timeout)
        self.link.streams.pop(self.number, None)
        return self.exit


class AgentLink:
    def __init__(self, path, timeout=10):
        self.streams, self.buffer, self.next, self.session = {}, bytearray(), 1, 0
        self.ack = None
        end = time.monotonic() + timeout
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.002)

    def close(self):
        self.socket.close()

    def send_frame(self, stream, kind, payload=b""):
        self.socket.sendall(struct.pack("<5I", MAGIC, self.session, stream, kind, len(payload))
                            + payload)

    def hello(self, timeout=30):
        nonce = os.urandom(NONCE)
        self.session = int.from_bytes(os.urandom(4), "little") | 1
        self.streams, self.ack = {}, None
        self.socket.sendall(PAD)
        self.send_frame(0, HELLO, u32(VERSION) + data(nonce) + text("agentlink"))
        self.pump_until(lambda: self.ack and self.ack[0] == nonce, timeout)
        return self.ack[1]

    def pump_until(self, done, timeout=30):
        end = time.monotonic() + timeout
        while not done():
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise LinkError("the agent says nothing for %d s" % timeout)
            got = self.socket.recv(1 << 20)
            if not got:
                raise LinkError("QEMU has closed the channel")
            self.buffer += got
            self.parse()

    def parse(self):
        while True:
            at = self.buffer.find(struct.pack("<I", MAGIC))
            if at < 0:
                del self.buffer[:-3]
                return
            del self.buffer[:at]
            if len(self.buffer) < HEADER:
                return
            _, session, stream, kind, length = struct.unpack_from("<5I", self.buffer)
            if length > MAX_PAYLOAD:
                del self.buffer[:1]
                continue
            if len(self.buffer) < HEADER + length:
                return
            payload = bytes(self.buffer[HEADER:HEADER + length])
            del self.buffer[:HEADER + length]
            if session == self.session:
                self.dispatch(stream, kind, payload)

    def dispatch(self, stream, kind, payload):
        if kind == HELLO_ACK:
            version, size = struct.unpack_from("<II", payload)
            if version != VERSION or size != NONCE:
                raise LinkError("a malformed HELLO_ACK")
            self.ack = payload[8:24], struct.unpack("<I", payload[-4:])[0]
        elif stream in self.streams:
            self.streams[stream].take(kind, payload)

    def open(self, op, arguments=b""):
        stream = Stream(self, self.next)
        self.streams[self.next] = stream
        self.next += 1
        stream.send(OPEN, u32(op) + arguments)
        return stream

    def do(self, op, arguments=b"", timeout=30):
        return self.open(op, arguments).wait(timeout)

    def setup(self, lines, timeout=30):
        return self.do(SETUP, data("\n".join(lines).encode()), timeout)

    def start(self, argv, flags=0, cwd="/", env=(), rows=24, columns=80):
        arguments = u32(flags) + text(cwd) + u32(len(argv)) + b"".join(map(text, argv))
        arguments += u32(len(env)) + b"".join(map(text, env)) + u32(rows) + u32(columns)
        return self.open(EXEC, arguments)

    def exec(self, argv, flags=0, cwd="/", env=(), stdin=None, timeout=30):
        stream = self.start(argv, flags | (WANT_STDIN if stdin is not None else 0), cwd, env)
        if stdin is not None:
            stream.write(stdin)
            stream.eof()
        return stream.wait(timeout)

    def put(self, path, content, mode=0o644):
        stream = self.open(PUT, text(path) + u32(mode) + struct.pack("<Q", len(content)))
        stream.write(content)
        stream.eof()
        return stream.wait()
