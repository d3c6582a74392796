"""ILM's network over TCP, from include/ilm/networks/README.md: one peer, dialed or awaited."""

import hashlib
import hmac
import os
import select
import socket
import time

MAGIC = b"ILMT"
VERSION = 1
HELLO, PROOF, GO, REFUSAL = 1, 2, 3, 4
REASONS = (
    "", "refused", "not_ilm", "unsupported_version", "malformed_handshake", "wrong_destination",
    "own_id", "frame_size_mismatch", "key_required", "key_not_expected", "no_key_for_peer",
    "wrong_key", "too_many_connections", "already_connected", "peer_not_accepted", "name_in_use",
)
PING = 0xFFFFFFFF
MAXIMUM_FRAME_SIZE = (1 << 20) + (1 << 10)
PATIENCE = 120  # seconds: of no meaning but that a test ends


class Refused(Exception):
    """This side refuses the connection."""


class RefusedByPeer(Refused):
    pass


class Altered(Exception):
    """A frame has not the tag that it needs."""


class Cut(Exception):
    """The connection ended."""


def message(type_, body=b""):
    return MAGIC + bytes((VERSION, type_)) + len(body).to_bytes(2, "big") + body


def read_exactly(connection, size):
    data = b""
    while len(data) < size:
        try:
            part = connection.recv(size - len(data))
        except OSError as e:
            raise Cut() from e
        if not part:
            raise Cut()
        data += part
    return data


def read_message(connection, expected):
    """Returns the whole message and its body."""
    head = read_exactly(connection, 8)
    if head[:4] != MAGIC:
        raise Refused("not_ilm")
    body = read_exactly(connection, int.from_bytes(head[6:], "big"))
    if head[5] == REFUSAL:
        reason = body[0] if body else 1
        raise RefusedByPeer(REASONS[reason] if 1 <= reason < len(REASONS) else "refused")
    if head[4] != VERSION:
        raise Refused("unsupported_version")
    if head[5] != expected:
        raise Refused("malformed_handshake")
    return head + body, body


class Tags:
    """Of one direction of a session."""

    def __init__(self, key=None):
        self.key, self.counter = key, 0

    def tag(self, data):
        if self.key is None:
            return b""
        return hmac.new(self.key, self.counter.to_bytes(8, "big") + data, hashlib.sha256).digest()[:16]

    def frame(self, size, data=b""):
        """The bytes of a frame; an empty one if it has no data."""
        size = size.to_bytes(4, "big")
        frame = size + self.tag(size) + (self.tag(size + data) + data if data else b"")
        self.counter += 1
        return frame

    def check(self, data, tag):
        if not hmac.compare_digest(self.tag(data), tag):
            raise Altered("frame_altered")


def tags_of(key, hellos):
    """Of the dialer and of the acceptor."""
    if key is None:
        return Tags(), Tags()
    session = hmac.new(key, b"ilm tcp session " + hellos, hashlib.sha256).digest()
    return tuple(
        Tags(hmac.new(session, b"ilm tcp frames of the " + side + b"\1", hashlib.sha256).digest())
        for side in (b"dialer", b"acceptor")
    )


class Handshake:
    """Both sides of it, up to the go; blocks."""

    def __init__(self, own, peer, instance, key=None, frame_size=MAXIMUM_FRAME_SIZE):
        self.own, self.peer, self.instance, self.key = own, peer, instance, key
        self.frame_size = frame_size

    def hello(self):
        body = bytes([self.key is not None]) + self.frame_size.to_bytes(4, "big")
        body += self.instance + os.urandom(32)
        for name in (self.own, self.peer):
            body += bytes([len(name)]) + name
        return message(HELLO, body)

    def check_hello(self, body):
        names, at = [], 53
        for _ in range(2):
            names.append(body[at + 1 : at + 1 + body[at]])
            at += 1 + body[at]
        if names != [self.peer, self.own]:
            raise Refused("wrong_destination")
        if int.from_bytes(body[1:5], "big") != self.frame_size:
            raise Refused("frame_size_mismatch")
        if (body[0] == 1) != (self.key is not None):
            raise Refused("key_required" if self.key else "key_not_expected")

    def proof(self, label, hellos):
        if self.key is None:
            return b""
        return hmac.new(self.key, label + hellos, hashlib.sha256).digest()

    def check_proof(self, body, label, hellos):
        if not hmac.compare_digest(body, self.proof(label, hellos)):
            raise Refused("wrong_key")

    def run(self, connection, dialed):
        """Returns the tags of this side and of the peer."""
        try:
            return self.exchange(connection, dialed)
        except RefusedByPeer:
            raise
        except Refused as e:
            connection.sendall(message(REFUSAL, bytes([REASONS.index(str(e))])))
            raise
        except OSError as e:
            raise Cut() from e

    def exchange(self, connection, dialed):
        dialer, acceptor = b"ilm tcp dialer  ", b"ilm tcp acceptor"
        if dialed:
            mine = self.hello()
            connection.sendall(mine)
            theirs, body = read_message(connection, HELLO)
            self.check_hello(body)
            _, proof = read_message(connection, PROOF)
            self.check_proof(proof, acceptor, mine + theirs)
            connection.sendall(message(PROOF, self.proof(dialer, mine + theirs)))
            own, peers = tags_of(self.key, mine + theirs)
        else:
            theirs, body = read_message(connection, HELLO)
            self.check_hello(body)
            mine = self.hello()
            connection.sendall(mine + message(PROOF, self.proof(acceptor, theirs + mine)))
            _, proof = read_message(connection, PROOF)
            self.check_proof(proof, dialer, theirs + mine)
            peers, own = tags_of(self.key, theirs + mine)
        leads = self.own < self.peer  # the smaller id does
        tags = own if leads else peers
        header = message(GO, bytes(16 if self.key else 0))[:8]
        if leads:
            connection.sendall(header + tags.tag(header))
        else:
            _, tag = read_message(connection, GO)
            tags.check(header, tag)
        tags.counter += 1
        return own, peers


class Transport:
    """Makes a stream of a connection, and ends one: here the connection itself."""

    def open(self, connection, dialed):
        """Blocks. Throws Cut, or Refused where another attempt would fare no better."""
        del dialed
        return connection

    def end(self, stream, reason=""):
        """`reason` is that of this side, if it has any."""
        del reason
        stream.close()


class Network:
    """Hands over ("up", None), ("frame", bytes) and ("down", None) from `poll`."""

    def __init__(self, own, peer, key=None, transport=None):
        self.handshake = Handshake(own, peer, os.urandom(16), key)
        self.transport = transport or Transport()
        self.keepalive = 2  # seconds
        self.empty_frames = 0  # that were heard
        self.listener = None
        self.address = None
        self.connection = None
        self.refusals = []
        self.close_all()

    def close_all(self):
        for held in (self.listener, self.connection):
            if held:
                held.close()
        self.listener = self.connection = None
        self.input, self.output = b"", b""

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        return self.listener.getsockname()[1]

    def dial(self, port):
        """Whenever there is no connection."""
        self.address = ("127.0.0.1", port)

    def waits_for(self):
        return [held for held in (self.listener, self.connection) if held]

    def cut(self):
        """The connection breaks; unsent and unread bytes are lost."""
        if self.connection:
            self.connection.shutdown(socket.SHUT_RDWR)

    def send(self, frame):
        if self.connection:
            self.output += self.own_tags.frame(len(frame), frame)

    def poll(self):
        events = []
        if self.listener and select.select([self.listener], [], [], 0)[0]:
            self.begin(self.listener.accept()[0], False, events)
        if not self.connection and self.address:
            try:
                self.begin(socket.create_connection(self.address, PATIENCE), True, events)
            except OSError:
                time.sleep(0.01)
        self.read(events)
        return events

    def begin(self, connection, dialed, events):
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection = self.transport.open(connection, dialed)
            tags = self.handshake.run(connection, dialed)
        except (Altered, Cut, Refused) as e:
            own = "" if isinstance(e, RefusedByPeer) else str(e)
            self.transport.end(connection, own)
            if isinstance(e, Refused):
                self.refusals.append(str(e))
                self.address = None  # for there is nothing that another attempt would find
            return
        self.end(events)
        connection.setblocking(False)
        self.connection = connection
        self.own_tags, self.peers_tags = tags
        self.last_output = time.monotonic()
        events.append(("up", None))

    def end(self, events, reason=""):
        if self.connection:
            self.transport.end(self.connection, reason)
            self.connection = None
            events.append(("down", None))
        self.input, self.output = b"", b""

    def read(self, events):
        while self.connection:
            try:
                part = self.connection.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            self.input += part
            try:
                while self.read_frame(events):
                    pass
            except Altered as e:
                self.end(events, str(e))
                return
            if not part:
                self.end(events)

    def read_frame(self, events):
        """False if it is not all there."""
        tag_size = len(self.peers_tags.tag(b""))
        at = 4 + tag_size
        if len(self.input) < at:
            return False
        size = self.input[:4]
        self.peers_tags.check(size, self.input[4:at])
        length = int.from_bytes(size, "big")
        if length == PING:
            self.output += self.own_tags.frame(0)
        elif not length:  # it only keeps the connection alive
            self.empty_frames += 1
        else:
            end = at + tag_size + length
            if len(self.input) < end:
                return False
            frame = self.input[at + tag_size : end]
            self.peers_tags.check(size + frame, self.input[at : at + tag_size])
            events.append(("frame", frame))
            at = end
        self.peers_tags.counter += 1
        self.input = self.input[at:]
        return True

    def write(self):
        if not self.connection:
            self.output = b""
            return
        if not self.output and time.monotonic() - self.last_output > self.keepalive:
            self.output = self.own_tags.frame(0)
        if not self.output:
            return
        self.last_output = time.monotonic()
        try:
            sent = self.connection.send(self.output)
            self.output = self.output[sent:]
        except BlockingIOError:
            pass
        except OSError:
            pass  # the next read tells
