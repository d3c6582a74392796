"""ILM's network over WebSocket, from include/ilm/networks/websocket/README.md and RFC 6455.

A Transport for tcp.Network, whose handshake and frames are in binary messages here.
"""

import base64
import hashlib
import os
import random
import ssl

import tcp

SUBPROTOCOL = "ilm.v1"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, MASK = 0x80, 0x80
NORMAL, REFUSED = 1000, 4000  # the latter is to be added to
ALTERED = 4024
MAXIMUM_UNANSWERED = 16  # pings
LARGEST_MESSAGE = 16 << 10  # that is sent here; the page allows a whole frame of ILM's
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

HOST = "localhost"

draw = random.SystemRandom()


class Violation(Exception):
    """The other side breaks RFC 6455, or the page."""


def require(condition, text):
    if not condition:
        raise Violation(text)


# --- HTTP -----------------------------------------------------------------------------------------


def accept_value(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def read_head(connection):
    """The words of the first line, and the fields by their names in lower case."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += tcp.read_exactly(connection, 1)  # for what follows is no part of it
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    fields = {}
    for name, _, value in (line.partition(":") for line in lines):
        name, value = name.lower(), value.strip()
        fields[name] = fields[name] + ", " + value if name in fields else value
    return first.split(" ", 2), fields


def lists(fields, name, token):
    return token in (part.strip().lower() for part in fields.get(name, "").split(","))


def ask(connection, host, path, origin=None, subprotocol=SUBPROTOCOL):
    """Returns the status, which is 101 if there is a WebSocket now."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET %s HTTP/1.1" % path, "Host: " + host, "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key,
        "Sec-WebSocket-Protocol: " + subprotocol,
    ]
    if origin:
        lines.append("Origin: " + origin)
    connection.sendall("\r\n".join((*lines, "", "")).encode())
    (version, status, _), fields = read_head(connection)
    require(version == "HTTP/1.1", "the answer is of " + version)
    if status == "101":
        require(lists(fields, "upgrade", "websocket"), "no Upgrade")
        require(lists(fields, "connection", "upgrade"), "no Connection")
        require(fields.get("sec-websocket-accept") == accept_value(key), "a wrong Accept")
        require("sec-websocket-extensions" not in fields, "an extension that was not offered")
        require(fields.get("sec-websocket-protocol") == SUBPROTOCOL, "another subprotocol")
    return int(status)


def answer(connection, path):
    (method, target, version), fields = read_head(connection)
    require((method, target, version) == ("GET", path, "HTTP/1.1"), "no request for " + path)
    require(fields.get("host"), "no Host")
    require(lists(fields, "upgrade", "websocket"), "no Upgrade")
    require(lists(fields, "connection", "upgrade"), "no Connection")
    require(fields.get("sec-websocket-version") == "13", "another version")
    require(lists(fields, "sec-websocket-protocol", SUBPROTOCOL), "no subprotocol")
    key = fields.get("sec-websocket-key", "")
    require(len(base64.b64decode(key, validate=True)) == 16, "a malformed key")
    connection.sendall("\r\n".join((
        "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Protocol: " + SUBPROTOCOL, "Sec-WebSocket-Accept: " + accept_value(key),
        "", "")).encode())


# --- messages -------------------------------------------------------------------------------------


def masked(data, mask):
    """Masks, and unmasks."""
    stretched = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stretched, "big")).to_bytes(
        len(data), "big")


def frame(first, payload=b"", mask=None):
    size, bit = len(payload), MASK if mask else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 1 << 16:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + mask + masked(payload, mask) if mask else head + payload


class Stream:
    """The contents of binary messages, over a connection; used as a socket is."""

    def __init__(self, connection, client, fragmented=False):
        self.connection, self.client = connection, client
        self.fragmented = fragmented  # each message, with pings between
        self.input, self.output = b"", b""
        self.contents = b""
        self.message_begun = False
        self.code = None  # of the close frame that came
        self.pings, self.pongs = 0, 0  # those that were sent, and their answers

    # As of a socket.

    def fileno(self):
        return self.connection.fileno()

    def setblocking(self, blocks):
        self.connection.setblocking(blocks)

    def shutdown(self, how):
        self.connection.shutdown(how)

    def close(self):
        self.connection.close()

    def recv(self, size):
        """Nothing after a close frame."""
        self.flush()
        while not self.contents:
            while self.code is None and not self.contents and self.take_frame():
                pass
            if self.contents:
                break
            if self.code is not None:
                return b""
            try:
                part = self.connection.recv(1 << 16)
            except WOULD_BLOCK as e:
                raise BlockingIOError() from e
            if not part:
                return b""
            self.input += part
        taken, self.contents = self.contents[:size], self.contents[size:]
        return taken

    def send(self, data):
        self.flush()
        if self.output:
            raise BlockingIOError()
        data = data[:LARGEST_MESSAGE]
        self.put_message(data)
        self.flush()
        return len(data)

    def sendall(self, data):
        self.put_message(data)
        self.flush()

    # Frames.

    def put(self, first, payload=b""):
        self.output += frame(first, payload, os.urandom(4) if self.client else None)

    def put_message(self, data):
        opcode = BINARY
        for _ in range(draw.randrange(4) if self.fragmented else 0):
            size = draw.randrange(len(data) + 1)
            self.put(opcode, data[:size])
            opcode, data = CONTINUATION, data[size:]
            if self.pings - self.pongs < MAXIMUM_UNANSWERED:
                self.put_ping()
        self.put(FIN | opcode, data)

    def put_ping(self):
        self.put(FIN | PING, b"ping %d" % self.pings)
        self.pings += 1

    def put_close(self, code):
        self.put(FIN | CLOSE, code.to_bytes(2, "big"))

    def flush(self):
        try:
            while self.output:
                sent = self.connection.send(self.output)
                self.output = self.output[sent:]
        except WOULD_BLOCK:
            pass
        except OSError:
            self.output = b""  # the next read tells

    def take_frame(self):
        """False if it is not all there."""
        data = self.input
        if len(data) < 2:
            return False
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        mask = data[at : at + 4] if data[1] & MASK else None
        at += 4 if mask is not None else 0
        if len(data) < at + size:
            return False
        require((mask is None) == self.client, "a client masks its frames, and a server does not")
        payload = data[at : at + size]
        self.input = data[at + size :]
        self.handle_frame(data[0], masked(payload, mask) if mask else payload)
        return True

    def handle_frame(self, first, payload):
        require(not first & 0x70, "a reserved bit")
        opcode, final = first & 0x0F, bool(first & FIN)
        if opcode < CLOSE:
            require(opcode == (CONTINUATION if self.message_begun else BINARY), "a wrong opcode")
            self.message_begun = not final
            self.contents += payload
            return
        require(final and len(payload) < 126, "a control frame that is none")
        if opcode == PING:
            self.put(FIN | PONG, payload)
            self.flush()
        elif opcode == PONG:
            require(payload == b"ping %d" % self.pongs, "a pong to another ping")
            self.pongs += 1
        else:
            require(opcode == CLOSE and len(payload) >= 2, "neither a ping, a pong, nor a close")
            self.code = int.from_bytes(payload[:2], "big")
            self.put_close(self.code)
            self.flush()


# --- the transport --------------------------------------------------------------------------------


def code_of(reason):
    """Of a close frame, for a reason of TCP's."""
    if reason == "frame_altered":
        return ALTERED
    return REFUSED + tcp.REASONS.index(reason) if reason else NORMAL


class Transport:
    """Of one peer: see tcp.Transport."""

    def __init__(self, path="/ilm", tls=None, origin=None, fragmented=False):
        self.path, self.tls, self.origin = path, tls, origin
        self.fragmented = fragmented
        self.streams, self.unavailable = [], 0  # all that there were, for tests

    def open(self, connection, dialed):
        try:
            if dialed and self.tls:
                connection = self.tls.wrap_socket(connection, server_hostname=HOST)
            if dialed:
                self.ask(connection)
            else:
                answer(connection, self.path)
        except BaseException as e:
            connection.close()
            raise tcp.Cut() if isinstance(e, OSError) else e
        self.streams.append(Stream(connection, dialed, self.fragmented))
        return self.streams[-1]

    def ask(self, connection):
        host = "%s:%d" % (HOST, connection.getpeername()[1])
        status = ask(connection, host, self.path, self.origin)
        if status >= 500:  # of a proxy, say, that is there before those behind it
            self.unavailable += 1
            raise tcp.Cut()
        if status != 101:
            raise tcp.Refused(str(status))

    def end(self, stream, reason=""):
        """With a close frame each way, if the other side is still there."""
        if isinstance(stream, Stream) and stream.code is None:
            stream.connection.settimeout(tcp.PATIENCE)
            stream.put_close(code_of(reason))
            try:
                while stream.recv(1 << 16):
                    pass
            except OSError:
                pass  # cut
        stream.close()
