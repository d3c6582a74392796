"""What a frame or a store means, as lines: those that tests/golden gives for its files."""

import sqlite3

import wire

CURSORS = (
    ("mark", "pair"), ("mark_delivered", "number"), ("mark_hash", "pair"),
    ("confirmed", "pair"), ("confirmed_delivered", "number"), ("confirmed_hash", "pair"),
    ("base", "number"), ("origin", "number"),
    ("parted", "pair"), ("former", "pair"), ("seen", "pair"),
    ("outbox.stream", "pair"), ("outbox.first", "number"), ("outbox.next", "number"),
    ("outbox.acknowledged", "number"), ("outbox.erased_hash", "pair"), ("outbox.last_hash", "pair"),
    ("inbox.stream", "pair"), ("inbox.first", "number"), ("inbox.next", "number"),
    ("inbox.start", "number"), ("inbox.offset", "number"),
    ("inbox.received_hash", "pair"), ("inbox.delivered_hash", "pair"),
)


def pair(value):
    return "%d/%d" % value


def text(data):
    """Printable bytes as they are, others as \\xx."""
    return "".join(chr(b) if 32 < b < 127 and b != 92 else "\\%02x" % b for b in data)


def claim(c):
    yield "mark %s" % pair(c.mark)
    yield "delivered %d hash %s" % (c.delivered, pair(c.delivered_hash))
    yield "confirmed %s" % pair(c.confirmed)
    yield "seen %s" % pair(c.seen)
    yield "received %d hash %s" % (c.received, pair(c.received_hash))
    yield "acknowledged %d" % c.acknowledged


def credit(c):
    yield "credit %d bytes received, up to message %d and byte %d" % (
        c.received_bytes, c.sequence, c.bytes)


def hello(h):
    yield "hello"
    yield "versions %d to %d" % (h.lowest, h.highest)
    yield "features %d required %d" % (h.understood, h.required)
    yield "nonce %d echo %d proven %d" % (h.nonce, h.echo, h.proven)
    yield from claim(h.claim)
    yield "base %d origin %d" % (h.base, h.origin)
    yield "stream %s first %d erased hash %s" % (pair(h.stream), h.first, pair(h.erased_hash))
    yield "follows %s" % pair(h.follows)
    yield from credit(h.credit)
    yield "maximum message %d" % h.maximum_message
    yield "from %s to %s" % (text(h.source), text(h.destination))


def data(d):
    yield "data from %d, hash before %s" % (d.first, pair(d.hash))
    for item in d.items:
        yield "message of %d bytes: %s" % (len(item.contents), text(item.contents[:32]))
        if item.salt:
            yield "salt %d" % item.salt
        if item.attributes:
            yield "attributes %s" % text(item.attributes)


def ack(a):
    yield "ack"
    yield from claim(a.claim)
    yield from credit(a.credit)
    yield "echo %d" % a.echo
    for first, last in a.ranges:
        yield "has %d to %d" % (first, last)


def of_frame(encoded):
    try:
        wire.require(wire.version_of(encoded) <= 1, "unsupported_version")
        frame = wire.decode(encoded)
    except wire.Rejected as e:
        return ["rejected: %s" % e]
    lines = ["version %d session %d number %d" % (frame.version, frame.session, frame.number)]
    records = {r.type: r for r in frame.records}
    if wire.CHALLENGE in records:
        lines.append("challenge %d" % records[wire.CHALLENGE].nonce)
    if wire.HELLO in records:
        lines.extend(hello(records[wire.HELLO]))
    if wire.VERSIONS in records:
        lines.append("versions %d to %d" % (
            records[wire.VERSIONS].lowest, records[wire.VERSIONS].highest))
    for record in frame.records:
        if record.type == wire.DATA:
            lines.extend(data(record))
    if wire.ACK in records:
        lines.extend(ack(records[wire.ACK]))
    lines.extend(name for kind, name in ((wire.PING, "ping"), (wire.BYE, "bye")) if kind in records)
    return lines


def of_cursors(encoded):
    reader = wire.Reader(encoded)
    for name, kind in CURSORS:
        yield "%s %s" % (
            name, pair(reader.pair()) if kind == "pair" else str(reader.number(8)))
    wire.require(not reader.left())


def of_store(file):
    """As include/ilm/backends/sqlite/store.hpp describes the tables."""
    unsigned = lambda n: n & wire.MASK
    database = sqlite3.connect("file:%s?mode=ro&immutable=1" % file, uri=True)
    try:
        (version, incarnation, local), = database.execute(
            "SELECT version, incarnation, local FROM ilm_store")
        lines = ["schema %d" % version, "incarnation %s" % (
            pair(wire.Reader(incarnation).pair()) if incarnation else "none"),
                 "local id %s" % (text(local) if local else "none")]
        peers = database.execute("SELECT id, name, cursors FROM ilm_peer ORDER BY id").fetchall()
        for id_, name, cursors in peers:
            lines.append("peer %s" % text(name))
            lines.extend(of_cursors(cursors))
            for queue in ("outbox", "inbox"):
                rows = database.execute(
                    "SELECT key, sequence, salt, hash, contents, attributes FROM ilm_%s"
                    " WHERE key >= ? AND key < ? ORDER BY key" % queue, (id_ << 40, id_ + 1 << 40))
                for key, sequence, salt, hash_, contents, attributes in rows:
                    lines.append("%s %d: sequence %d salt %d hash %s: %s %s" % (
                        queue, key & (1 << 40) - 1, unsigned(sequence), unsigned(salt),
                        pair(wire.Reader(hash_).pair()), text(contents), text(attributes or b"")))
        return lines
    finally:
        database.close()
