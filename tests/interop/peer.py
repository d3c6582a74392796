"""A small peer of ILM, from include/ilm/protocol/README.md alone.

It speaks with one other peer, over TCP or WebSocket, in one thread: `step` takes what arrived, stores
what that changes in one commit, and then answers. So all that it says is of the store. Messages are
consumed as they are stored, and the record of them (`state.inbox`) is in the same file.
"""

import json
import os
import random
import time

import tcp
import wire
from wire import NONE

draw = random.SystemRandom()

FRAME_FILL = 8 << 10
INITIAL_TIMEOUT, MAXIMUM_TIMEOUT = 0.25, 5.0
CANDIDATE_LIFE = 120.0
KEEPALIVE_INTERVAL = 5.0


def nonce():
    return draw.randrange(1, 1 << 64)


def new_stamp(count):
    return (count, draw.getrandbits(64))


class State:
    """Whatever has to survive this process."""

    FIELDS = (
        "mark", "mark_delivered", "confirmed", "confirmed_delivered", "base", "origin", "parted",
        "former", "seen", "out_stream", "first", "first_hash", "acknowledged", "outbox",
        "in_stream", "received", "received_hash", "inbox", "stamp_due",
    )

    def __init__(self, file):
        self.file = file
        if os.path.exists(file):
            with open(file, encoding="utf-8") as stored:
                for name, value in json.load(stored).items():
                    setattr(self, name, value)
            for name in ("mark", "confirmed", "parted", "former", "seen", "out_stream",
                         "first_hash", "in_stream", "received_hash"):
                setattr(self, name, tuple(getattr(self, name)))
            for name in ("mark_delivered", "confirmed_delivered"):
                sequence, hash_ = getattr(self, name)
                setattr(self, name, (sequence, tuple(hash_)))
            self.outbox = [
                wire.Item(bytes.fromhex(c), bytes.fromhex(a), s) for c, a, s in self.outbox
            ]
            self.inbox = [(bytes.fromhex(c), bytes.fromhex(a)) for c, a in self.inbox]
        else:
            self.begin()
        self.hashes = [self.first_hash]  # of our stream, from `first` - 1 on
        for item in self.outbox:
            self.append_hash(item)
        self.commit()

    def begin(self):
        """A new store."""
        # Our lineage: its newest stamp, with the `delivered` as of it and the hash there; the
        # newest that the peer has stored, with the same; where and why it began; where the one
        # before broke.
        self.mark = new_stamp(1)
        self.mark_delivered = self.confirmed_delivered = (0, NONE)
        self.confirmed = self.parted = self.former = NONE
        self.base, self.origin = self.mark[0], 0
        # The peer's lineage.
        self.seen = NONE
        # Our stream.
        self.out_stream = self.mark
        self.first, self.first_hash = 1, (draw.getrandbits(64), draw.getrandbits(64))
        self.acknowledged, self.outbox = 0, []
        # The peer's stream. All that is received is consumed.
        self.in_stream, self.received, self.received_hash, self.inbox = NONE, 0, NONE, []
        self.stamp_due = False

    def commit(self):
        values = {name: getattr(self, name) for name in self.FIELDS}
        values["outbox"] = [(i.contents.hex(), i.attributes.hex(), i.salt) for i in self.outbox]
        values["inbox"] = [(c.hex(), a.hex()) for c, a in self.inbox]
        with open(self.file + ".new", "w", encoding="utf-8") as new:
            json.dump(values, new)
        os.replace(self.file + ".new", self.file)

    def next(self):
        return self.first + len(self.outbox)

    def hash_at(self, sequence):
        """Of our stream; none below `first` - 1 and from the next on."""
        at = sequence - (self.first - 1)
        return self.hashes[at] if 0 <= at < len(self.hashes) else None

    def append_hash(self, item):
        sequence = self.first + len(self.hashes) - 1
        self.hashes.append(wire.hash_after(self.hashes[-1], sequence, item))

    def erase_to(self, delivered):
        count = delivered - (self.first - 1)
        if count <= 0:
            return
        del self.outbox[:count], self.hashes[:count]
        self.first, self.first_hash = self.first + count, self.hashes[0]


class Session:
    def __init__(self, mine, theirs):
        self.mine, self.theirs = mine, theirs
        self.tag = wire.session_tag(mine, theirs)
        self.version = 0
        self.open = False  # else incompatible
        self.heard = False
        self.send_next = 0  # of our stream
        self.sent_bytes = 0  # in flight
        self.their_received = 0
        self.credit = None
        self.features = 0
        self.frames_sent = 0
        self.answered = 0  # the highest number of a frame of the peer's


class Peer:
    def __init__(self, name, other, file, key=None, credit=(8192, 4 << 20), versions=(1, 1),
                 understood=0, required=0, checked=True, transport=None):
        self.name, self.other = name.encode(), other.encode()
        self.network = tcp.Network(self.name, self.other, key, transport)
        self.state = State(file)
        self.echoes = True  # which a reliable network makes needless
        self.credit, self.versions, self.checked = credit, versions, checked
        self.understood, self.required = understood, required
        self.events = []
        self.session = None
        self.present = False  # the network has a session
        self.candidate, self.candidate_drawn = 0, 0.0
        self.accepted_bytes = 0  # in this life
        self.told_credit = (0, 0)
        self.dirty = self.salt_due = True
        # What goes out after the commit.
        self.challenge_at, self.challenge_wait, self.challenged = None, INITIAL_TIMEOUT, 0.0
        self.proven_at, self.proven_wait = None, INITIAL_TIMEOUT
        self.handshake_due, self.ack_due, self.ping_due = [], False, False
        self.keepalive = KEEPALIVE_INTERVAL
        self.heard_at = time.monotonic()
        # Things of other versions, and frames that were sent and heard, for tests.
        self.strange_records = {}  # of a type of record: a record that goes with it
        self.extensions = {}
        self.sent, self.heard = [], []

    # --- the application --------------------------------------------------------------------------

    def send(self, contents, attributes=b""):
        item = wire.Item(contents, attributes, nonce() if self.salt_due else 0)
        self.state.outbox.append(item)
        self.state.append_hash(item)
        self.state.stamp_due = self.dirty = True
        self.salt_due = False
        return self.state.next() - 1

    def report(self, kind, **more):
        self.events.append((kind, more))

    def count(self, kind):
        return sum(1 for event, _ in self.events if event == kind)

    def of_kind(self, kind):
        return [more for event, more in self.events if event == kind]

    def is_open(self):
        return self.session is not None and self.session.open

    def close(self):
        """Says bye."""
        if self.session:
            self.send_frame([self.ack(), wire.Bye()])
        self.end_session()
        self.present = False
        self.network.write()

    def crash(self):
        self.network.close_all()

    # --- the loop ---------------------------------------------------------------------------------

    def waits_for(self):
        return self.network.waits_for()

    def step(self):
        for kind, frame in self.network.poll():
            if kind == "frame":
                self.handle_frame(frame)
            else:
                self.end_session()
                self.present = kind == "up"
                if self.present:
                    self.begin_handshake(at_once=True)
        self.handle_time()
        self.commit()
        self.speak()
        self.network.write()

    def commit(self):
        if not self.dirty:
            return
        s = self.state
        # Only with a commit that happens anyway, and only one that the peer has not confirmed.
        if s.stamp_due and s.confirmed == s.mark:
            s.mark = new_stamp(s.mark[0] + 1)
            s.mark_delivered = (s.received, s.received_hash)
            s.stamp_due = False
            self.ack_due = True
        s.commit()
        self.dirty, self.salt_due = False, True

    def handle_time(self):
        now = time.monotonic()
        if self.session and self.session.open and now - self.heard_at > self.keepalive:
            self.heard_at = now
            self.ping_due = True
        if self.proven_at is not None and now >= self.proven_at:
            if self.session is None or self.session.heard:
                self.proven_at = None
            else:
                self.answer(proven=True)
        if self.challenge_at is not None and now >= self.challenge_at and self.present:
            self.challenge()

    # --- the handshake ----------------------------------------------------------------------------

    def own_candidate(self):
        now = time.monotonic()
        if not self.candidate or now - self.candidate_drawn > CANDIDATE_LIFE:
            self.candidate, self.candidate_drawn = nonce(), now
        return self.candidate

    def begin_handshake(self, at_once=False):
        """After a disagreement not sooner than the initial timeout after the last one began."""
        self.end_session()
        self.candidate = 0
        now = time.monotonic()
        self.challenge_at = now if at_once else max(now, self.challenged + INITIAL_TIMEOUT)
        self.challenged, self.challenge_wait = self.challenge_at, INITIAL_TIMEOUT

    def challenge(self):
        self.handshake_due.append(wire.Challenge(self.own_candidate()))
        self.challenge_at = time.monotonic() + self.challenge_wait * draw.uniform(1, 1.25)
        self.challenge_wait = min(2 * self.challenge_wait, MAXIMUM_TIMEOUT)

    def answer(self, proven):
        """With the hello of the present session, or with the promise of a new one."""
        self.handshake_due.append((self.session.mine, self.session.theirs, proven))
        if proven:
            self.proven_at = time.monotonic() + self.proven_wait
            self.proven_wait = min(2 * self.proven_wait, MAXIMUM_TIMEOUT)

    def end_session(self):
        if self.session and self.session.open:
            self.report("peer_disconnected")
        self.session = None
        self.proven_at = None
        self.ack_due = self.ping_due = False

    def handle_challenge(self, challenge):
        if not self.present:  # the peer said bye, and is back
            self.present = True
            self.begin_handshake(at_once=True)
        if self.session and challenge.nonce == self.session.theirs:
            self.answer(proven=True)
        else:
            self.handshake_due.append((self.own_candidate(), challenge.nonce, False))

    def handle_hello(self, hello):
        wire.require(hello.destination == self.name, "wrong_destination")
        wire.require(hello.source == self.other, "mismatched_source")
        now = self.session
        lapsed = time.monotonic() - self.candidate_drawn > CANDIDATE_LIFE
        if now and hello.proven and (hello.nonce == now.theirs) != (hello.echo == now.mine):
            self.begin_handshake()
        elif now and hello.nonce == now.theirs:
            if hello.proven:
                self.ack_due = True
            else:
                self.answer(proven=True)
        elif hello.echo == self.candidate and not lapsed:
            self.handle_fresh(hello)

    def handle_fresh(self, hello):
        self.end_session()
        self.session = Session(self.candidate, hello.nonce)
        self.candidate, self.challenge_at = 0, None
        compatible = self.is_compatible(hello)
        if compatible and not self.judge(hello):
            self.begin_handshake()
            if self.is_behind(hello) or self.is_implausible(hello.claim):  # our hello shows it so
                self.handshake_due.append((self.own_candidate(), hello.nonce, False))
        elif hello.proven:
            self.ack_due = True
        else:
            self.proven_wait = INITIAL_TIMEOUT
            self.answer(proven=True)
            if not compatible:
                self.proven_at = None  # once, as the session will carry nothing

    def is_compatible(self, hello):
        version = min(hello.highest, self.versions[1])
        missing = hello.required & ~self.understood | self.required & ~hello.understood
        if version < max(hello.lowest, self.versions[0]) or missing:
            versions = (hello.lowest, hello.highest)
            self.report("peer_incompatible", versions=versions, features=missing)
            return False
        self.session.version = version
        self.session.features = hello.understood & self.understood
        return True

    # --- what a hello means -----------------------------------------------------------------------

    def went_back(self, theirs, follows, followed):
        """Whether the peer has something of ours that is not here.

        `follows`: the peer follows our stream; `followed`: we follow the peer's.
        """
        s = self.state
        knows = theirs.seen[0] >= s.base
        if knows:
            if theirs.seen[0] > s.mark[0]:
                return True
            for own in (s.mark, s.confirmed):
                if theirs.seen[0] == own[0] and theirs.seen != own:
                    return True
            if theirs.seen[0] >= s.out_stream[0] and not follows:
                return True
        elif (theirs.seen[0] > (s.confirmed if s.confirmed != NONE else s.parted)[0]
              and theirs.seen not in (s.parted, s.former)):
            return True
        if follows:
            known = s.hash_at(theirs.received)
            if theirs.received >= s.next() or known not in (None, theirs.received_hash):
                return True
        if knows:
            if followed and theirs.acknowledged > s.received:
                return True
            if s.seen == NONE and theirs.acknowledged > 0:
                return True
            if theirs.confirmed[0] > s.seen[0]:
                return True
            if theirs.confirmed[0] == s.seen[0] and theirs.confirmed != s.seen:
                return True
        return False

    def judge(self, hello):
        """Whether the session may open."""
        s, theirs = self.state, hello.claim
        follows = hello.follows == s.out_stream
        if self.is_implausible(theirs) and theirs.mark[0] < s.seen[0] >= wire.PLAUSIBLE_COUNT:
            theirs.seen = NONE
        if self.is_implausible(theirs):
            self.report("frame_rejected", error="cursor_out_of_range")
            return False
        self.dirty = True
        if self.went_back(theirs, follows, hello.stream == s.in_stream):
            self.report("store_lost" if s.seen == NONE else "rolled_back")
            self.begin_lineage(theirs, follows)
            return False
        if s.seen == NONE:
            self.adopt(hello)
        elif self.is_behind(hello):
            return False
        elif hello.base > s.seen[0] or theirs.mark[0] < s.seen[0]:
            self.report("peer_rolled_back" if hello.origin == 2 else "peer_reset")
            self.adopt(hello)
        if hello.stream == s.in_stream and hello.first > s.received + 1:
            self.report("gap", inbound=(s.received + 1, hello.first - 1))
            s.received, s.received_hash = hello.first - 1, hello.erased_hash
        session = self.session
        continues = follows and s.first <= theirs.received + 1 <= s.next()
        reached = theirs.received if continues else s.first - 1
        session.send_next = reached + 1
        session.their_received = reached
        session.credit = hello.credit
        session.credit.sequence += reached - theirs.received  # for it may not follow our stream yet
        session.open = True
        self.heard_at = time.monotonic()
        self.report("peer_connected")
        self.believe(theirs, follows)
        return True

    def is_behind(self, hello):
        """Whether the peer's store went back, which it does not know yet."""
        seen, mark = self.state.seen, hello.claim.mark
        older = mark[0] < seen[0] < wire.PLAUSIBLE_COUNT or (mark[0] == seen[0] and mark != seen)
        return hello.base <= seen[0] and older

    def is_implausible(self, theirs):
        """Whether the peer claims a stamp of ours to which no history comes."""
        return theirs.seen[0] >= wire.PLAUSIBLE_COUNT and theirs.seen[0] > self.state.mark[0]

    def begin_lineage(self, theirs, follows):
        s = self.state
        s.origin = 1 if s.seen == NONE else 2
        s.former, s.parted = s.mark, theirs.seen
        s.mark = new_stamp(max(s.mark[0], theirs.seen[0]) + 1)
        s.base = s.mark[0]
        s.mark_delivered = s.confirmed_delivered
        if not follows or s.hash_at(theirs.received) != theirs.received_hash:
            s.out_stream = s.mark
            s.acknowledged = 0

    def adopt(self, hello):
        s = self.state
        s.seen, s.confirmed, s.acknowledged = hello.claim.mark, NONE, 0
        if hello.stream != s.in_stream:
            s.in_stream = hello.stream
            s.received, s.received_hash = hello.first - 1, hello.erased_hash
            s.mark_delivered = s.confirmed_delivered = (s.received, s.received_hash)

    def believe(self, theirs, follows):
        """What the claim of a hello or an ack says, once it is judged."""
        s = self.state
        before = (s.confirmed, s.seen, s.acknowledged, s.first)
        if theirs.seen == s.mark:
            s.confirmed, s.confirmed_delivered = s.mark, s.mark_delivered
        if theirs.mark[0] > s.seen[0]:
            s.seen = theirs.mark
            self.ack_due = True
        if follows:
            s.acknowledged = max(s.acknowledged, theirs.received)
            if theirs.mark == s.seen:
                s.erase_to(theirs.delivered)
        if before != (s.confirmed, s.seen, s.acknowledged, s.first):
            self.dirty = True

    # --- frames -----------------------------------------------------------------------------------

    def handle_frame(self, data):
        try:
            version = wire.version_of(data)
            if version and not self.versions[0] <= version <= self.versions[1]:
                self.handshake_due.append(wire.Versions(*self.versions))
                raise wire.Rejected("unsupported_version")
            frame = wire.decode(data)
            self.heard.append(frame)
            self.handle_records(frame)
        except wire.Rejected as e:
            self.report("frame_rejected", error=str(e))

    def handle_records(self, frame):
        if frame.version == 0:
            for record in frame.records:
                if record.type == wire.CHALLENGE:
                    self.handle_challenge(record)
                elif record.type == wire.HELLO:
                    self.handle_hello(record)
                else:
                    self.report("versions", versions=(record.lowest, record.highest))
            return
        session = self.session
        if not session or frame.session != session.tag:
            return  # stale
        session.heard = True
        self.heard_at = time.monotonic()
        session.answered = max(session.answered, frame.number)
        for record in frame.records:
            if record.type == wire.BYE:
                self.end_session()
                self.present = False
                return
            if not session.open:
                continue
            if record.type == wire.DATA:
                self.handle_data(record)
            elif record.type == wire.ACK:
                self.handle_ack(record)
            elif record.type == wire.PING:
                self.ack_due = True
            if self.session is not session:
                return

    def handle_data(self, data):
        s = self.state
        hash_ = data.hash
        for sequence, item in enumerate(data.items, data.first):
            if sequence == s.received + 1:
                if hash_ != s.received_hash:
                    self.ack_due = True
                    raise wire.Rejected("stream_diverged")
                size = self.accepted_bytes + item.size()
                wire.require(sequence <= self.told_credit[0] and size <= self.told_credit[1],
                             "credit_exceeded")
                self.accepted_bytes = size
                s.received, s.received_hash = sequence, wire.hash_after(hash_, sequence, item)
                s.inbox.append((item.contents, item.attributes))
                s.stamp_due = self.dirty = True
            elif sequence > s.received:
                self.report("out_of_order", sequence=sequence)  # TCP does not
            self.ack_due = True
            hash_ = wire.hash_after(hash_, sequence, item)

    def handle_ack(self, ack):
        s, session, theirs = self.state, self.session, ack.claim
        if ack.echo > session.frames_sent or any(last >= s.next() for _, last in ack.ranges):
            self.begin_handshake()  # another life of this side sent that
            raise wire.Rejected("acknowledged_unsent")
        if ack.credit.received_bytes > session.credit.bytes:
            self.begin_handshake()
            raise wire.Rejected("credit_out_of_range")
        unknown = s.hash_at(theirs.received) is None and theirs.received >= s.first - 1
        older = theirs.mark == s.seen and theirs.received < s.first - 1
        if unknown or older or self.went_back(theirs, True, True):
            self.begin_handshake()
            return
        credit = session.credit
        credit.sequence = max(credit.sequence, ack.credit.sequence)
        credit.bytes = max(credit.bytes, ack.credit.bytes)
        if theirs.received > session.their_received:
            for sequence in range(session.their_received + 1, theirs.received + 1):
                session.sent_bytes -= s.outbox[sequence - s.first].size()
            session.their_received = theirs.received
        credit.received_bytes = max(credit.received_bytes, ack.credit.received_bytes)
        self.believe(theirs, True)

    # --- speaking ---------------------------------------------------------------------------------

    def claim(self):
        s = self.state
        return wire.Claim(s.mark, *s.mark_delivered, s.confirmed, s.seen, s.received,
                          s.received_hash, s.acknowledged)

    def own_credit(self):
        messages, size = self.credit
        self.told_credit = (self.state.received + messages, self.accepted_bytes + size)
        return wire.Credit(self.accepted_bytes, *self.told_credit)

    def ack(self):
        echo = self.session.answered if self.echoes else 0
        return wire.Ack(self.claim(), self.own_credit(), echo, [])

    def hello(self, mine, theirs, proven):
        s = self.state
        return wire.Hello(
            *self.versions, self.understood | self.required, self.required, mine, theirs, proven,
            self.claim(), s.base, s.origin, s.out_stream, s.first, s.first_hash, s.in_stream,
            self.own_credit(), tcp.MAXIMUM_FRAME_SIZE - 69, self.name, self.other,
        )

    def speak(self):
        for due in self.handshake_due:
            self.send_frame([self.hello(*due) if isinstance(due, tuple) else due], handshake=True)
        self.handshake_due.clear()
        if not self.is_open():
            return
        while data := self.next_data():
            self.send_frame([self.ack(), data] if self.ack_due else [data])
            self.ack_due = False
        records = []
        if self.ack_due:
            records.append(self.ack())
        if self.ping_due:
            records.append(wire.Ping())
        if records:
            self.send_frame(records)
        self.ack_due = self.ping_due = False

    def next_data(self):
        s, session = self.state, self.session
        first, size, items = session.send_next, 0, []
        while session.send_next < s.next() and size < FRAME_FILL:
            item = s.outbox[session.send_next - s.first]
            flying = session.sent_bytes + item.size()
            if session.send_next > session.credit.sequence:
                break
            if session.credit.received_bytes + flying > session.credit.bytes:
                break
            items.append(item)
            size += item.size()
            session.sent_bytes = flying
            session.send_next += 1
        return wire.Data(first, s.hash_at(first - 1), items) if items else None

    def send_frame(self, records, handshake=False):
        frame = wire.Frame(list(records), extensions=self.extensions)
        for record in records:
            if record.type in self.strange_records:
                frame.records.append(self.strange_records[record.type])
        if not handshake:
            frame.version, frame.session = self.session.version, self.session.tag
            if any(r.type == wire.DATA for r in records):
                self.session.frames_sent += 1
                frame.number = self.session.frames_sent
        self.sent.append(frame)
        self.network.send(wire.encode(frame, self.checked))
