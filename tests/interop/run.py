"""Drives the peer of peer.py against ILM's own messenger, in a process of its own.

    python3 run.py MESSENGER [TEST...]

MESSENGER is the program built from messenger.cpp. Without names all tests run.
"""

import os
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import golden
import nginx
import tcp
import websocket
import wire
from peer import Peer

PATIENCE = 200  # seconds: of no meaning but that a test ends
HERE = pathlib.Path(__file__).parent
PAGE = HERE / "../../include/ilm/protocol/README.md"
GOLDEN = HERE / "../golden/v1"


class Failure(Exception):
    pass


class NotRun(Exception):
    """Something that a test needs is not on this machine."""


def require(condition, text):
    if not condition:
        raise Failure(text)


def equal(got, expected, what):
    require(got == expected, "%s: %r, not %r" % (what, got, expected))


class Messenger:
    """The process. Its lines are read into `lines`."""

    def __init__(self, program, words):
        self.process = subprocess.Popen(
            [program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.lines, self.input = [], b""

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def waits_for(self):
        return [self.process.stdout] if self.process.returncode is None else []

    def step(self):
        while self.process.returncode is None:
            try:
                part = os.read(self.process.stdout.fileno(), 1 << 16)
            except BlockingIOError:
                return
            self.input += part
            *lines, self.input = self.input.split(b"\n")
            self.lines += [line.decode().split() for line in lines]
            if not part:
                self.process.wait()

    def kill(self):
        self.process.kill()
        while self.process.returncode is None:
            select.select([self.process.stdout], [], [], 1)
            self.step()

    def said(self, *words):
        """The lines that begin so, without these words."""
        return [line[len(words):] for line in self.lines if line[: len(words)] == list(words)]

    def events(self, kind):
        return [" ".join(line) for line in self.said("event", kind)]

    def messages(self):
        """(index, sequence, contents, attributes)"""
        unhex = lambda text: b"" if text == "-" else bytes.fromhex(text)
        return [(int(i), int(s), unhex(c), unhex(a)) for i, s, c, a in self.said("message")]


class World:
    """One messenger and one peer. Both may end, and begin again on what they stored."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.file = str(self.folder / "peer.json")
        self.store = str(self.folder / "messenger.db")
        self.name, self.other = "python", "ilm"
        self.messenger = self.peer = self.proxy = None
        self.former = []  # earlier messengers
        self.transport, self.words = None, ()  # of the peer, and of the messenger for the same

    def start_messenger(self, *words):
        if self.messenger:
            self.former.append(self.messenger)
        words = (self.store, self.other, self.name, *self.words, *words)
        self.messenger = Messenger(self.program, words)
        self.until(lambda: self.messenger.said("listening"), "it listens")

    def port(self):
        return int(self.messenger.said("listening")[0][0])

    def start_peer(self, dials=True, **options):
        self.peer = Peer(self.name, self.other, self.file, transport=self.transport, **options)
        if dials:
            self.peer.network.dial(self.proxy.port if self.proxy else self.port())

    def crash_peer(self):
        """What it had not stored is gone."""
        self.peer.crash()
        self.peer = None

    def step(self):
        parts = [part for part in (self.messenger, self.peer) if part]
        waiting = [held for part in parts for held in part.waits_for()]
        select.select(waiting, [], [], 0.01)
        for part in parts:
            part.step()

    def until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            require(time.monotonic() < end, "not reached: " + what)
            process = self.messenger.process
            require(process.returncode is None, "the messenger ended: %s" % process.returncode)
            self.step()

    def connect(self):
        self.until(lambda: self.peer.is_open() and self.messenger.events("peer_connected"),
                   "both are connected")

    def start(self, *words, **options):
        self.start_messenger(*words)
        self.start_peer(**options)
        self.connect()

    def exchange(self, count=1):
        """Another few messages each way, until both sides know that they were consumed."""
        state = self.peer.state
        last = state.next() - 1 + count
        for number in range(state.next(), last + 1):
            self.peer.send(contents_of(number))
        self.until(lambda: state.first > last, "the messenger has consumed the peer's messages")
        expected = len(state.inbox) + count
        known = len(self.messenger.said("sent"))
        sent = [int(line[0]) for m in (*self.former, self.messenger) for line in m.said("sent")]
        last = max(sent, default=0) + count
        self.messenger.command("fill %d" % last)
        self.until(lambda: len(state.inbox) >= expected, "the peer has the messages")
        self.until(lambda: len(self.messenger.said("sent")) == known + count, "they were sent")
        self.messenger.command("delivered %d" % last)
        self.until(lambda: self.messenger.said("delivered", str(last)), "the messenger knows it")

    def close(self):
        if self.peer:
            self.peer.crash()
        if self.messenger:
            self.messenger.kill()
        if self.proxy:
            self.proxy.close()

    # What a test demands of it all at the end.

    def consumed(self):
        """The messages of all processes, by index. A killed one may leave its last to the next."""
        by_index = {}
        last = 0
        for messenger in (*self.former, self.messenger):
            previous = None
            for index, sequence, contents, attributes in messenger.messages():
                require(previous in (None, index - 1), "index %d is out of order" % index)
                previous = index
                message = (sequence, contents, attributes)
                equal(by_index.setdefault(index, message), message, "message %d again" % index)
                require(index <= last + 1, "a gap before index %d" % index)
                last = max(last, index)
        return [by_index[index] for index in sorted(by_index)]

    def check_consumed(self, last):
        equal([contents for _, contents, _ in self.consumed()],
              [contents_of(n) for n in range(1, last + 1)], "what the messenger consumed")

    def check_received(self, last):
        equal([contents for contents, _ in self.peer.state.inbox],
              [b"%d " % n + b"c" * (n % 97) for n in range(1, last + 1)], "what the peer received")

    def no_complaints(self):
        for kind in ("frame_rejected", "out_of_order", "gap", "peer_reset", "store_lost",
                     "rolled_back", "peer_rolled_back", "peer_incompatible"):
            equal(self.peer.of_kind(kind), [], "the peer's " + kind)
            for messenger in (*self.former, self.messenger):
                equal(messenger.events(kind), [], "the messenger's " + kind)


def contents_of(number):
    return b"%d " % number + b"p" * (number % 89)


def send_all(world, last):
    """Everything up to message `last`, from both."""
    world.messenger.command("fill %d" % last)
    while world.peer.state.next() <= last:
        world.peer.send(contents_of(world.peer.state.next()))


def all_arrived(world, last):
    state = world.peer.state
    return len(state.inbox) >= last and state.first > last


def finish_traffic(world, last):
    send_all(world, last)
    world.until(lambda: all_arrived(world, last), "all messages arrived")
    world.messenger.command("delivered %d" % last)
    world.until(lambda: world.messenger.said("delivered"), "the messenger knows it")
    world.check_consumed(last)
    world.check_received(last)


# --- traffic --------------------------------------------------------------------------------------


def test_traffic_peer_dials(world):
    world.start()
    finish_traffic(world, 1000)
    equal(world.peer.count("peer_connected"), 1, "sessions")
    world.no_complaints()


def test_traffic_peer_listens(world):
    # Its name is the smaller one, so that it leads.
    world.name = "ada"
    world.start_peer(dials=False)
    world.start_messenger("--dial", str(world.peer.network.listen()))
    world.connect()
    finish_traffic(world, 1000)
    world.no_complaints()


def test_traffic_with_little_credit(world):
    world.start("--credit", "7", credit=(11, 500))
    finish_traffic(world, 1000)
    world.no_complaints()


def test_traffic_peer_listens_with_little_credit(world):
    world.start_peer(dials=False, credit=(11, 500))
    world.start_messenger("--credit", "7", "--dial", str(world.peer.network.listen()))
    world.connect()
    finish_traffic(world, 1000)
    world.no_complaints()


def test_traffic_without_checksums_and_echoes(world):
    """Which a reliable network makes needless."""
    world.start_messenger()
    world.start_peer(checked=False)
    world.peer.echoes = False
    finish_traffic(world, 1000)
    world.no_complaints()


def disturbed_traffic(world, last, times, disturb):
    world.start("--credit", "50", credit=(50, 4000))
    disturb_traffic(world, last, times, disturb)


def disturb_traffic(world, last, times, disturb):
    """Up to message `last`, both ways, with as many disturbances in between."""
    for time_ in range(1, times + 1):
        send_all(world, last)
        least = last * time_ // (times + 1)
        world.until(lambda: len(world.peer.state.inbox) >= least, "some messages before")
        disturb()
    finish_traffic(world, last)
    world.no_complaints()


def test_traffic_with_cuts(world):
    def cut():
        sessions = world.peer.count("peer_connected")
        world.peer.network.cut()
        world.until(lambda: world.peer.count("peer_connected") > sessions, "another session")

    disturbed_traffic(world, 1000, 7, cut)


def test_traffic_with_kills(world):
    def kill():
        world.messenger.kill()
        world.start_messenger("--credit", "50")
        world.peer.network.dial(world.port())

    disturbed_traffic(world, 1000, 5, kill)


def test_traffic_with_restarts(world):
    """Of the peer, which goes on from its file."""
    def restart():
        world.crash_peer()
        world.start_peer(credit=(50, 4000))

    disturbed_traffic(world, 1000, 7, restart)


def test_traffic_with_restarts_of_both(world):
    def restart():
        world.crash_peer()
        world.messenger.kill()
        world.start_messenger("--credit", "50")
        world.start_peer(credit=(50, 4000))

    disturbed_traffic(world, 400, 4, restart)


def test_bye(world):
    world.start()
    world.exchange(3)
    world.peer.close()
    world.until(lambda: world.messenger.events("peer_disconnected"), "the messenger heard the bye")
    world.peer.network.cut()
    world.until(world.peer.is_open, "another session")
    world.exchange(3)
    world.messenger.command("shutdown")
    world.until(lambda: not world.peer.is_open(), "the peer heard the bye")
    world.until(lambda: world.messenger.said("shutdown"), "it is shut down")
    equal(world.messenger.said("shutdown")[0][1], "0", "what is left")
    world.check_consumed(6)
    world.check_received(6)
    world.no_complaints()


# --- stores that are lost or put back -------------------------------------------------------------


def numbers(inbox):
    return [int(contents.split()[0]) for contents, _ in inbox]


def test_peer_lost_its_store(world):
    world.start()
    world.exchange(20)
    world.crash_peer()
    os.remove(world.file)
    world.start_peer()
    world.until(lambda: world.messenger.events("peer_reset"), "the messenger reports it")
    world.until(world.peer.is_open, "a session")
    equal(world.peer.count("store_lost"), 1, "so does the peer, once")
    world.exchange(20)
    # Both streams go on, the peer's under new numbers.
    consumed = world.consumed()
    equal([contents for _, contents, _ in consumed], [contents_of(n) for n in range(1, 21)] * 2,
          "what the messenger consumed")
    equal([sequence for sequence, _, _ in consumed], list(range(1, 21)) * 2, "its sequences")
    equal(numbers(world.peer.state.inbox), list(range(21, 41)), "what came")


def test_messenger_lost_its_store(world):
    world.start()
    world.exchange(20)
    world.messenger.kill()
    for file in world.folder.glob("messenger.db*"):
        file.unlink()
    world.start_messenger()
    world.peer.network.dial(world.port())
    world.until(lambda: world.messenger.events("store_lost"), "the messenger reports it")
    world.until(lambda: world.peer.count("peer_reset") and world.peer.is_open(), "so does the peer")
    for number in range(21, 41):
        world.peer.send(contents_of(number))
    world.messenger.command("fill 20")
    state = world.peer.state
    world.until(lambda: state.first > 40 and len(state.inbox) == 40, "all came")
    equal([contents for _, _, contents, _ in world.messenger.messages()],
          [contents_of(n) for n in range(21, 41)], "what the messenger consumed")
    equal(numbers(state.inbox), list(range(1, 21)) * 2, "what came")


def test_peer_put_back(world):
    """An old copy of its file."""
    world.start()
    world.exchange(10)
    world.crash_peer()
    shutil.copy(world.file, world.file + ".copy")
    world.start_peer()
    world.connect()
    world.exchange(10)
    world.crash_peer()
    os.replace(world.file + ".copy", world.file)
    world.start_peer()
    world.peer.send(b"another message 11")
    world.until(lambda: world.messenger.events("peer_rolled_back"), "the messenger reports it")
    world.until(lambda: world.peer.is_open() and world.peer.state.first == 12, "it goes on")
    equal(world.peer.count("rolled_back"), 1, "so does the peer, once")
    contents = [contents for _, contents, _ in world.consumed()]
    require(contents[:20] == [contents_of(n) for n in range(1, 21)], "the messages before")
    equal(contents[-1], b"another message 11", "the last message")
    world.messenger.command("fill 30")
    world.until(lambda: world.peer.state.inbox[-1][0].startswith(b"30 "), "the messenger's go on")


def test_messenger_put_back(world):
    world.start()
    world.exchange(10)
    world.messenger.kill()
    copies = [(str(f), str(f) + ".copy") for f in world.folder.glob("messenger.db*")]
    for file, copy in copies:
        shutil.copy(file, copy)
    world.start_messenger()
    world.peer.network.dial(world.port())
    world.connect()
    world.exchange(10)
    world.messenger.kill()
    for file in world.folder.glob("messenger.db*"):
        if not str(file).endswith(".copy"):
            file.unlink()
    for file, copy in copies:
        os.replace(copy, file)
    world.start_messenger()
    world.peer.network.dial(world.port())
    world.until(lambda: world.messenger.events("rolled_back"), "the messenger reports it")
    world.until(lambda: world.peer.count("peer_rolled_back"), "so does the peer")
    world.until(world.peer.is_open, "a session")
    world.peer.send(contents_of(21))
    world.messenger.command("fill 15")
    world.until(lambda: world.peer.state.first == 22, "the peer's go on")
    world.until(lambda: world.peer.state.inbox[-1][0].startswith(b"15 "), "the messenger's go on")
    equal(world.messenger.messages()[-1][2], contents_of(21), "the last message")


# --- claims in error ------------------------------------------------------------------------------


def comes_together(world, claimed, change):
    """The peer's next two hellos are changed; then it claims what is so."""
    world.start()
    world.exchange(3)
    honest, left = world.peer.hello, [2]

    def hello(*words):
        told = honest(*words)
        if left[0]:
            left[0] -= 1
            change(told)
        return told

    world.peer.hello = hello
    world.peer.network.cut()
    world.until(lambda: not left[0], "it claimed " + claimed)
    world.exchange(2)
    world.crash_peer()
    world.messenger.kill()
    world.start_messenger()
    world.start_peer()
    world.exchange(2)
    require(world.peer.state.mark[0] < wire.PLAUSIBLE_COUNT + 100, "there is room for stamps")
    require(world.peer.state.seen[0] < wire.PLAUSIBLE_COUNT + 100, "there is room for ours")


def test_claimed_stamps_of_the_messenger(world):
    def change(hello):
        hello.claim.seen = (wire.COUNT_LIMIT, 5)

    comes_together(world, "a stamp of the messenger that it cannot have made", change)


def test_claimed_stamps_close_to_plausible(world):
    def change(hello):
        hello.claim.seen = (wire.PLAUSIBLE_COUNT - 1, 5)

    comes_together(world, "a stamp of another history", change)


def test_claimed_stamps_of_its_own(world):
    def change(hello):
        hello.claim.mark = (wire.COUNT_LIMIT, 5)

    comes_together(world, "the last stamp that there can be", change)


def test_claimed_history_of_its_own(world):
    def change(hello):
        hello.claim.mark = hello.stream = (wire.COUNT_LIMIT, 5)
        hello.base, hello.origin = wire.COUNT_LIMIT, 1

    comes_together(world, "a history that begins at the last stamp", change)


def test_claimed_messages_to_the_end(world):
    def change(hello):
        hello.first = wire.SEQUENCE_LIMIT

    comes_together(world, "to have erased nearly all numbers", change)


def test_claimed_receipt_to_the_end(world):
    def change(hello):
        hello.claim.received = hello.claim.acknowledged = wire.SEQUENCE_LIMIT

    comes_together(world, "to have received nearly all numbers", change)


def test_claimed_stamp_in_an_ack(world):
    world.start()
    world.exchange(3)
    ack = world.peer.ack()
    ack.claim.mark = (wire.COUNT_LIMIT, 5)
    world.peer.send_frame([ack])
    world.exchange(2)
    world.peer.network.cut()
    world.exchange(2)
    require(world.peer.state.mark[0] < 100, "the peer's stamps are as they were")


def test_claimed_bytes_beyond_the_credit(world):
    world.start()
    world.exchange(3)
    opened = world.peer.count("peer_connected")
    ack = world.peer.ack()
    ack.credit.received_bytes, ack.credit.bytes = 1 << 63, (1 << 63) + 1
    world.peer.send_frame([ack])
    world.until(lambda: world.peer.count("peer_connected") > opened, "another session")
    require(rejected(world, "credit"), "the messenger says why")
    world.exchange(2)


def test_stranger_begins_at_the_last_numbers(world):
    """Whatever a stranger's stream begins with, the others' go on, in the next life as well."""
    world.start()
    world.exchange(3)
    stranger = Peer("mallory", world.other, str(world.folder / "mallory.json"))
    state = stranger.state
    state.first, state.first_hash = (1 << 64) - (1 << 40) + 5, (1, 2)
    state.hashes = [state.first_hash]
    state.commit()
    stranger.network.dial(world.port())
    stranger.send(b"one")

    def heard():
        stranger.step()
        return state.first == state.next()

    world.until(heard, "the stranger's message is consumed")
    world.exchange(2)
    stranger.crash()
    world.messenger.kill()
    world.start_messenger()
    world.peer.network.dial(world.port())
    world.exchange(2)


# --- old frames -----------------------------------------------------------------------------------


def test_old_handshakes_change_nothing(world):
    world.start()
    world.exchange(3)
    old = [wire.encode(f) for f in world.peer.sent if f.version == 0]
    world.peer.network.cut()
    world.until(lambda: world.peer.count("peer_connected") == 2, "another session")
    world.exchange(3)
    present = [wire.encode(f) for f in world.peer.sent if f.version == 0]
    require(len(present) > len(old) >= 2, "there are frames of two handshakes")
    tag = world.peer.session.tag
    disconnected = len(world.messenger.events("peer_disconnected"))
    heard = len(world.peer.heard)
    for frame in (*present, *reversed(old)):
        world.peer.network.send(frame)
        world.exchange(1)
    answers = [r for f in world.peer.heard[heard:] for r in f.records if r.type == wire.HELLO]
    require(any(not r.proven for r in answers), "an old challenge is answered")
    equal(world.peer.session.tag, tag, "the session")
    equal(len(world.messenger.events("peer_disconnected")), disconnected, "sessions that ended")
    equal(world.peer.count("peer_connected"), 2, "the peer's sessions")
    equal(len(world.messenger.events("peer_connected")), 2, "the messenger's sessions")
    world.check_consumed(6 + len(present) + len(old))
    world.no_complaints()


# --- keys -----------------------------------------------------------------------------------------

KEY = "a key for these tests"


def start_keyed(world, key, peer_key):
    world.start_messenger("--key", key)
    world.start_peer(key=peer_key.encode() if peer_key else None)


def test_keys(world):
    start_keyed(world, KEY, KEY)
    world.connect()
    world.exchange(10)
    world.no_complaints()


def test_keys_peer_listens(world):
    world.start_peer(dials=False, key=KEY.encode())
    world.start_messenger("--key", KEY, "--dial", str(world.peer.network.listen()))
    world.connect()
    world.exchange(10)
    world.no_complaints()


def test_wrong_key(world):
    start_keyed(world, KEY, "another key for them")
    world.until(lambda: world.peer.network.refusals, "the peer refuses")
    equal(world.peer.network.refusals, ["wrong_key"], "refusals")
    world.until(lambda: world.messenger.events("network_problem"), "the messenger reports it")
    require("a proof of the pre-shared key failed" in world.messenger.events("network_problem")[0],
            "with the reason")


def test_missing_key(world):
    start_keyed(world, KEY, None)
    world.until(lambda: world.peer.network.refusals, "the messenger refuses")
    equal(world.peer.network.refusals, ["key_required"], "refusals")
    world.until(lambda: world.messenger.events("network_problem"), "the messenger reports it")


# --- WebSocket ------------------------------------------------------------------------------------


def over_websocket(world, **options):
    world.transport, world.words = websocket.Transport(**options), ("--websocket",)


def all_pings_are_answered(world):
    stream, = world.transport.streams
    world.until(lambda: stream.pings == stream.pongs, "all pings are answered")
    require(stream.pings > 10, "there were pings")


def test_websocket_traffic_peer_dials(world):
    over_websocket(world)
    test_traffic_peer_dials(world)


def test_websocket_traffic_peer_listens(world):
    over_websocket(world)
    test_traffic_peer_listens(world)


def test_websocket_traffic_in_fragments(world):
    """With pings between the fragments."""
    over_websocket(world, fragmented=True)
    test_traffic_with_little_credit(world)
    all_pings_are_answered(world)


def test_websocket_traffic_in_fragments_peer_listens(world):
    over_websocket(world, fragmented=True)
    test_traffic_peer_listens_with_little_credit(world)
    all_pings_are_answered(world)


def test_websocket_pings_in_an_idle_session(world):
    """Each is answered, though nothing else happens, and also a thousand at once."""
    over_websocket(world)
    world.start_messenger("--keepalive", "0")
    world.start_peer()
    world.peer.network.keepalive = world.peer.keepalive = float("inf")
    world.connect()
    world.exchange(3)
    stream = world.transport.streams[0]
    for count in (1, 1000):
        for _ in range(count):
            stream.put_ping()
        world.until(lambda: stream.pings == stream.pongs, "all pings are answered")
    equal(len(world.transport.streams), 1, "the WebSockets")
    world.exchange(3)
    world.no_complaints()


def test_websocket_traffic_with_cuts(world):
    over_websocket(world, fragmented=True)
    test_traffic_with_cuts(world)


def test_websocket_traffic_with_kills(world):
    over_websocket(world)
    test_traffic_with_kills(world)


def test_websocket_traffic_with_restarts(world):
    over_websocket(world)
    test_traffic_with_restarts(world)


def test_websocket_traffic_with_key_and_kills_peer_listens(world):
    over_websocket(world, fragmented=True)
    world.start_peer(dials=False, key=KEY.encode(), credit=(50, 4000))
    words = ("--credit", "50", "--key", KEY, "--dial", str(world.peer.network.listen()))
    world.start_messenger(*words)
    world.connect()

    def kill():
        world.messenger.kill()
        world.start_messenger(*words)

    disturb_traffic(world, 1000, 5, kill)


def test_websocket_keys(world):
    over_websocket(world)
    test_keys(world)


def test_websocket_bye(world):
    over_websocket(world)
    test_bye(world)


def test_websocket_wrong_key(world):
    over_websocket(world)
    test_wrong_key(world)


def test_websocket_missing_key(world):
    over_websocket(world)
    test_missing_key(world)
    equal(world.transport.streams[0].code, websocket.code_of("key_required"), "the close code")


def raw_stream(world):
    connection = socket.create_connection(("127.0.0.1", world.port()))
    connection.settimeout(PATIENCE)
    return world.transport.open(connection, True)


def test_websocket_close_codes(world):
    over_websocket(world)
    world.start_messenger()
    mask = bytes(4)
    large = (1 << 20) + (1 << 10) + 37  # a frame of ILM's with its size and tags, and a byte more
    for sent, code in (
        (websocket.frame(websocket.FIN | websocket.TEXT, b"text", mask), 1003),
        (websocket.frame(websocket.FIN | websocket.BINARY, b"not masked"), 1002),
        (websocket.frame(websocket.FIN | websocket.CONTINUATION, b"of nothing", mask), 1002),
        (websocket.frame(websocket.FIN | websocket.BINARY, bytes(large), mask)[:100], 1009),
        (websocket.frame(websocket.FIN | websocket.BINARY, b"GET / HT", mask), 4002),
        (websocket.frame(websocket.FIN | websocket.CLOSE, b"\x03\xe8", mask), 1000),
    ):
        stream = raw_stream(world)
        stream.connection.sendall(sent)
        while stream.recv(1 << 16):
            pass  # a refusal
        equal(stream.code, code, "the close code")
        stream.close()


def test_websocket_http_answers(world):
    over_websocket(world)
    world.start_messenger()

    def status(**changes):
        with socket.create_connection(("127.0.0.1", world.port())) as connection:
            connection.settimeout(PATIENCE)
            host = "ilm.example"
            return websocket.ask(connection, **{"host": host, "path": "/ilm", **changes})

    equal(status(), 101, "the answer")
    equal(status(origin="https://ilm.example"), 101, "to a page of the host")
    equal(status(origin="https://another.example"), 403, "to a page of another one")
    equal(status(path="/another"), 404, "where nothing is")
    equal(status(path="/ilm?query"), 101, "with a query")
    equal(status(subprotocol="another"), 400, "to another subprotocol")
    equal(status(subprotocol="another, ilm.v1"), 101, "to a choice")


def test_websocket_examples_of_the_rfc(world):
    """Of RFC 6455: 1.3 and 5.7."""
    del world
    equal(websocket.accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
          "the value of Sec-WebSocket-Accept")
    ours, theirs = socket.socketpair()
    for first, payload, mask, whole in (
        (0x81, b"Hello", None, "810548656c6c6f"),
        (0x81, b"Hello", bytes.fromhex("37fa213d"), "818537fa213d7f9f4d5158"),
        (0x01, b"Hel", None, "010348656c"),
        (0x80, b"lo", None, "80026c6f"),
        (0x89, b"Hello", None, "890548656c6c6f"),
        (0x82, bytes(256), None, "827e0100" + bytes(256).hex()),
        (0x82, bytes(1 << 16), None, "827f0000000000010000" + bytes(1 << 16).hex()),
    ):
        require(websocket.frame(first, payload, mask).hex() == whole, "not " + whole[:20])
    # The fragments as binary ones, with the ping between them.
    theirs.sendall(bytes.fromhex("020348656c" + "890548656c6c6f" + "80026c6f"))
    stream = websocket.Stream(ours, client=True)
    equal(stream.recv(10) + stream.recv(10), b"Hello", "a message in fragments")
    pong = theirs.recv(100)
    equal(pong[:2].hex(), "8a85", "the head of the answer to the ping")
    equal(websocket.masked(pong[6:], pong[2:6]), b"Hello", "the answer")
    ours.close()
    theirs.close()


# --- WebSocket through nginx with TLS -------------------------------------------------------------


def start_nginx(world, port, **options):
    missing = nginx.missing_programs()
    if missing:
        raise NotRun("there is no %s (Debian: nginx-light, openssl)" % " and no ".join(missing))
    world.proxy = nginx.Nginx(world.folder / "nginx", port, **options)


def through_nginx(world, *words, **options):
    """The messenger runs then, with these words, and the peer will dial nginx with TLS."""
    over_websocket(world)
    world.start_messenger(*words)
    start_nginx(world, world.port(), **options)
    world.transport.tls = world.proxy.tls


def test_websocket_nginx_traffic(world):
    """nginx is killed, then the messenger too, which nginx does not know for a while."""
    through_nginx(world, "--credit", "50")
    world.transport.fragmented = True
    world.start_peer(credit=(50, 4000))
    world.connect()

    def kill_nginx():
        world.proxy.kill()
        world.until(lambda: not world.peer.present, "the session ended")
        world.proxy.start(world.port())

    def kill_messenger():
        refused = world.transport.unavailable
        world.messenger.kill()
        world.start_messenger("--credit", "50")
        world.until(lambda: world.transport.unavailable > refused, "nginx answers with 502")
        world.proxy.kill()
        world.proxy.start(world.port())

    disturb_traffic(world, 600, 3, kill_nginx)
    equal(len(world.transport.streams), 4, "the WebSockets")
    disturb_traffic(world, 1000, 2, kill_messenger)


def test_websocket_nginx_traffic_messenger_dials(world):
    """Through a location that adds TLS, and one that takes it away."""
    over_websocket(world)
    world.start_peer(dials=False, credit=(50, 4000))
    port = world.peer.network.listen()
    start_nginx(world, port)
    world.start_messenger("--credit", "50", "--dial", str(world.proxy.outwards_port))
    world.connect()

    def kill_nginx():
        world.proxy.kill()
        world.until(lambda: not world.peer.present, "the session ended")
        world.proxy.start(port)

    disturb_traffic(world, 600, 3, kill_nginx)


def test_websocket_nginx_key(world):
    through_nginx(world, "--key", KEY)
    world.start_peer(key=KEY.encode())
    world.connect()
    world.exchange(10)
    world.no_complaints()


def test_websocket_nginx_origins(world):
    """A page that comes from where nginx is gets in, and others do not."""
    through_nginx(world)
    world.transport.origin = "https://another.example"
    world.start_peer()
    world.until(lambda: world.peer.network.refusals, "the page is refused")
    equal(world.peer.network.refusals, ["403"], "refusals")
    world.until(lambda: world.messenger.events("network_problem"), "the messenger reports it")
    require("a page of another origin" in world.messenger.events("network_problem")[0], "and why")
    world.transport.origin = "https://%s:%d" % (nginx.HOST, world.proxy.port)
    world.peer.network.dial(world.proxy.port)
    world.connect()
    world.exchange(10)
    world.no_complaints()


READ_TIMEOUT = 4  # seconds: four intervals of the messenger


def start_idle(world, keepalive):
    """Only the messenger may keep the connection open, with an empty frame every so often."""
    through_nginx(world, "--keepalive", str(keepalive), read_timeout=READ_TIMEOUT)
    world.start_peer()
    world.peer.network.keepalive = world.peer.keepalive = float("inf")
    world.connect()
    world.exchange(3)


def test_websocket_nginx_idle(world):
    start_idle(world, 1000)
    heard = world.peer.network.empty_frames
    world.until(lambda: world.peer.network.empty_frames > heard + 2 * READ_TIMEOUT,
                "twice the timeout is over")
    equal(len(world.transport.streams), 1, "the WebSockets")
    world.exchange(3)
    world.no_complaints()


def test_websocket_nginx_idle_without_keepalive(world):
    """Which nginx ends, and nothing is lost."""
    start_idle(world, 0)
    world.until(lambda: len(world.transport.streams) > 1, "another WebSocket")
    world.until(world.peer.is_open, "another session")
    world.exchange(3)
    world.check_consumed(6)
    world.check_received(6)
    world.no_complaints()


# --- things of other versions ---------------------------------------------------------------------


def test_unknown_records_are_skipped(world):
    world.start_messenger()
    world.start_peer()
    strange = wire.Strange(0xB3, b"of another version")
    kinds = (wire.CHALLENGE, wire.HELLO, wire.DATA, wire.ACK, wire.PING, wire.BYE)
    world.peer.strange_records = {kind: strange for kind in kinds}
    world.connect()
    world.exchange(10)
    heard = len(world.messenger.events("peer_disconnected"))
    world.peer.ping_due = True
    world.exchange(10)
    world.peer.close()
    world.until(lambda: len(world.messenger.events("peer_disconnected")) > heard, "the bye")
    sent = {r.type for f in world.peer.sent if strange in f.records for r in f.records}
    equal(sent - {strange.type}, set(kinds), "the frames that had one")
    world.no_complaints()


def test_unknown_extensions_are_skipped(world):
    world.start_messenger()
    world.start_peer()
    ours = wire.extension(0x91, b"of another version") + wire.extension(0xFF, b"")
    kinds = (wire.CHALLENGE, wire.HELLO, wire.DATA, wire.ACK, wire.PING)
    world.peer.extensions = {kind: ours for kind in kinds}
    world.connect()
    world.peer.ping_due = True
    world.exchange(10)
    world.no_complaints()


def test_unknown_attributes_are_kept(world):
    """In the store, through a crash; by the application; and on their way back."""
    attributes = wire.attribute(0x9E, b"of another version") + wire.attribute(0xFE, b"")
    attributes += wire.attribute(wire.HEADER_ATTRIBUTE, b"\x05k\x00\xffeyvalue")
    world.start("--hold")
    world.peer.send(b"contents", attributes)
    world.until(lambda: world.peer.state.acknowledged == 1, "the messenger has stored it")
    world.messenger.kill()
    world.start_messenger("--return")
    world.peer.network.dial(world.port())
    world.until(lambda: world.peer.state.inbox, "it is back")
    equal(world.messenger.messages(), [(1, 1, b"contents", attributes)], "what was consumed")
    equal(world.peer.state.inbox, [(b"contents", attributes)], "the message that came back")
    world.no_complaints()


def rejected(world, error):
    return [event for event in world.messenger.events("frame_rejected") if error in event]


def test_unknown_attribute_to_be_understood(world):
    world.start()
    world.exchange(3)
    world.peer.send(b"contents", wire.attribute(0x11, b"of another version"))
    error = "an attribute that this version does not know"
    world.until(lambda: rejected(world, error), "rejected")
    world.check_consumed(3)
    equal(world.peer.state.first, 4, "the message stays in the peer's outbox")


def test_unknown_record_to_be_understood(world):
    world.start()
    world.exchange(3)
    world.peer.strange_records = {wire.PING: wire.Strange(0x33, b"of another version")}
    world.peer.ping_due = True
    error = "a record that this version does not know"
    world.until(lambda: rejected(world, error), "the frame is rejected")
    world.peer.strange_records = {}
    # The frame, and nothing else.
    world.exchange(10)
    world.check_consumed(13)
    equal(len(world.messenger.events("peer_connected")), 1, "sessions")
    # Where it stands in a hello, there is no session.
    world.peer.strange_records = {wire.HELLO: wire.Strange(0x33, b"of another version")}
    world.peer.network.cut()
    world.until(lambda: len(rejected(world, error)) >= 2, "the hello is rejected")
    equal(len(world.messenger.events("peer_connected")), 1, "sessions")
    world.peer.strange_records = {}
    world.until(lambda: len(world.messenger.events("peer_connected")) == 2, "it goes on")
    world.exchange(10)
    world.check_consumed(23)


def test_unknown_extension_to_be_understood(world):
    world.start_messenger()
    world.start_peer()
    world.peer.extensions = {wire.HELLO: wire.extension(0x21, b"of another version")}
    world.until(lambda: rejected(world, "a record that this version does not know"), "rejected")
    world.peer.extensions = {}
    world.connect()
    world.exchange(10)


def test_unknown_feature_is_ignored(world):
    world.start(understood=1 << 5 | 1 << 63)
    world.exchange(10)
    equal(world.peer.session.features, 0, "the features of the session")
    world.no_complaints()


def check_nothing_flows(world):
    """And that all goes on with a peer that can."""
    world.peer.send(contents_of(1))
    world.messenger.command("fill 1")
    world.until(lambda: world.messenger.said("sent"), "the message is stored")
    for _ in range(20):
        world.step()
    equal((world.messenger.messages(), world.peer.state.inbox), ([], []), "what flowed")
    equal(world.messenger.events("peer_connected"), [], "the messenger's sessions")
    equal(len(world.messenger.events("peer_incompatible")), 1, "the messenger's reports")
    equal(world.peer.count("peer_incompatible"), 1, "the peer's reports")
    world.crash_peer()
    world.start_peer(versions=(1, 3))
    finish_traffic(world, 10)


def test_required_feature_is_named(world):
    world.start_messenger()
    world.start_peer(required=1 << 7)
    world.until(lambda: world.messenger.events("peer_incompatible"), "the messenger reports it")
    world.until(lambda: world.peer.count("peer_incompatible"), "the peer reports it")
    require("features 7" in world.messenger.events("peer_incompatible")[0], "it names it")
    equal(world.peer.of_kind("peer_incompatible")[0]["features"], 1 << 7, "the peer names it")
    check_nothing_flows(world)


def test_versions_1_and_2_agree_on_1(world):
    world.start(versions=(1, 2))
    world.exchange(10)
    equal(world.peer.session.version, 1, "the version of the session")
    equal({f.version for f in world.peer.heard}, {0, 1}, "the versions of the frames")
    world.no_complaints()


def test_versions_2_and_3_are_answered(world):
    world.start_messenger()
    world.start_peer(versions=(2, 3))
    world.until(lambda: world.messenger.events("peer_incompatible"), "the messenger reports it")
    require("peer_versions 2..3" in world.messenger.events("peer_incompatible")[0], "names them")
    world.until(lambda: world.peer.count("peer_incompatible"), "the peer reports it")
    equal(world.peer.of_kind("peer_incompatible")[0]["versions"], (1, 1), "its versions")
    # A frame of theirs, whatever is in it.
    frame = wire.Frame([wire.Strange(0x33, b"of another version")], version=2, session=99)
    world.peer.network.send(wire.encode(frame))
    world.until(lambda: world.peer.count("versions"), "it is answered")
    equal(world.peer.of_kind("versions")[0]["versions"], (1, 1), "the versions in the answer")
    world.until(lambda: rejected(world, "of a version of the protocol"), "it is reported")
    check_nothing_flows(world)


# --- the page -------------------------------------------------------------------------------------


def test_examples_of_the_page(world):
    """Its numbers are this implementation's, hence the messenger's: that checks every message."""
    del world
    page = PAGE.read_text(encoding="utf-8")
    first = wire.Item(b"hello, bob", b"", 0x0123456789ABCDEF)
    second = wire.Item(b"a message of 23 bytes, ", wire.attribute(0x81, b"\x01kv"))
    one = wire.hash_after((1, 2), 1, first)
    two = wire.hash_after(one, 2, second)
    hashes = ["%016x %016x" % one, "%016x %016x" % two]
    tag = "%016x" % wire.session_tag(1, 2)
    frame = wire.encode(wire.Frame([wire.Challenge(0x1122334455667788)])).hex()
    for number in (*hashes, tag, frame):
        require(number in page, "the page lacks " + number)
    require(first.encode().hex() in page.replace(" ", ""), "the page lacks the item")


def test_golden_frames(world):
    del world
    files = sorted(GOLDEN.glob("*.frame"))
    require(len(files) >= 26, "frames are missing")
    for file in files:
        head, meaning = file.read_text(encoding="ascii").split("\n\n")
        frame = bytes.fromhex("".join(line.partition("#")[0] for line in head.splitlines()))
        equal(golden.of_frame(frame), meaning.splitlines(), file.name)


def test_golden_stores(world):
    del world
    files = sorted(GOLDEN.glob("*.db"))
    require(len(files) >= 4, "stores are missing")
    for file in files:
        _, meaning = (GOLDEN / (file.name + ".txt")).read_text(encoding="ascii").split("\n\n")
        equal(golden.of_store(file), meaning.splitlines(), file.name)


# --- the runner -----------------------------------------------------------------------------------


def run(program, name, test):
    with tempfile.TemporaryDirectory(prefix="ilm-interop-") as folder:
        world = World(program, folder)
        try:
            test(world)
            return print("passed: " + name) or True
        except NotRun as e:
            return print("Not run: %s: %s" % (name, e)) or True
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc(file=sys.stdout)
            if world.peer:
                print("the peer's events:", *world.peer.events, sep="\n  ")
            for messenger in (*world.former, world.messenger):
                if messenger:
                    lines = [" ".join(line) for line in messenger.lines if line[0] != "sent"]
                    print("the messenger's last lines:", *lines[-20:], sep="\n  ")
            return print("failed: " + name) or False
        finally:
            world.close()


def main(program, *names):
    tests = {name[5:]: test for name, test in globals().items() if name.startswith("test_")}
    return 0 if all([run(program, name, tests[name]) for name in names or tests]) else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
