"""The frames of ILM's protocol and its hash, from include/ilm/protocol/README.md."""

from dataclasses import dataclass, field

MAGIC = 0x494C
CHECKED = 0xA5
MASK = (1 << 64) - 1
SEQUENCE_LIMIT = (1 << 64) - (1 << 32) - 1
COUNT_LIMIT = 1 << 62
PLAUSIBLE_COUNT = 1 << 61
NONE = (0, 0)  # no stamp

HELLO, DATA, ACK, PING, BYE, VERSIONS, CHALLENGE = 1, 2, 3, 4, 5, 6, 7
HEADER_ATTRIBUTE, SENT_AT_ATTRIBUTE = 0x81, 0x82
SKIPPABLE = 0x80


class Rejected(Exception):
    """A frame that breaks a rule of the page. It is dropped as a whole."""


# --- numbers --------------------------------------------------------------------------------------


def number(value, size):
    return value.to_bytes(size, "big")


def pair(value):
    """A stamp (count, bits) or a hash (upper, lower half)."""
    return number(value[0], 8) + number(value[1], 8)


def varint(value):
    for form, size in enumerate((1, 2, 4, 8)):
        if value < 1 << (8 * size - 2):
            return number(value | form << (8 * size - 2), size)
    raise ValueError("no varint holds %d" % value)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def raw(self, size):
        if size > self.left():
            raise Rejected("malformed_frame")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size):
        return int.from_bytes(self.raw(size), "big")

    def pair(self):
        return (self.number(8), self.number(8))

    def varint(self):
        first = self.number(1)
        size = 1 << (first >> 6)
        return (first & 63) << (8 * (size - 1)) | self.number(size - 1)


def require(condition, why="malformed_frame"):
    if not condition:
        raise Rejected(why)


# --- checksum and hash ----------------------------------------------------------------------------


def crc32c_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


CRC_TABLE = tuple(crc32c_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def fold(a, b):
    product = a * b
    return product >> 64 ^ product & MASK


def mix(hash_, a, b):
    high, low = hash_
    product = fold(high ^ a ^ 0x9E3779B97F4A7C15, low ^ b ^ 0xD1B54A32D192ED03)
    rotated = (low << 29 | low >> 35) & MASK
    return product, ((rotated + b) & MASK) ^ (a * 0x8CB92BA72F3D8DD7 & MASK)


def mix_bytes(hash_, data):
    for at in range(0, len(data), 16):
        block = data[at : at + 16].ljust(16, b"\0")
        hash_ = mix(hash_, int.from_bytes(block[:8], "little"), int.from_bytes(block[8:], "little"))
    return hash_


def hash_after(hash_, sequence, item):
    """The hash of a stream with one more message."""
    hash_ = mix(hash_, sequence, item.salt)
    hash_ = mix(hash_, len(item.contents), len(item.attributes))
    hash_ = mix_bytes(hash_, item.attributes)
    hash_ = mix_bytes(hash_, item.contents)
    high, low = mix(hash_, hash_[1], hash_[0])
    return high ^ low, fold(low ^ 0xD1B54A32D192ED03, high | 1)


def session_tag(a, b):
    return ((a ^ b) * 0x9E3779B97F4A7C15 & MASK) or 1


# --- records --------------------------------------------------------------------------------------


@dataclass
class Item:
    contents: bytes
    attributes: bytes = b""
    salt: int = 0

    def size(self):
        return len(self.contents) + len(self.attributes)

    def encode(self):
        head = varint(4 * len(self.contents) + 2 * (self.salt != 0) + (self.attributes != b""))
        if self.salt:
            head += number(self.salt, 8)
        if self.attributes:
            head += varint(len(self.attributes)) + self.attributes
        return head + self.contents

    @staticmethod
    def decode(reader):
        head = reader.varint()
        salt, attributes = 0, b""
        if head & 2:
            salt = reader.number(8)
            require(salt != 0)
        if head & 1:
            attributes = reader.raw(reader.varint())
            require(attributes != b"")
            check_attributes(attributes)
        return Item(reader.raw(head >> 2), attributes, salt)


def attribute(type_, value):
    return number(type_, 1) + varint(len(value)) + value


def check_attributes(encoded):
    require(len(encoded) <= 4096)
    reader = Reader(encoded)
    count, keys, times = 0, set(), 0
    while reader.left():
        type_ = reader.number(1)
        value = reader.raw(reader.varint())
        count += 1
        require(count <= 32)
        require(type_ >= SKIPPABLE, "unknown_attribute")
        if type_ == HEADER_ATTRIBUTE:
            require(value and 1 <= value[0] <= 64 and value[0] < len(value))
            key = value[1 : 1 + value[0]]
            require(key not in keys)
            keys.add(key)
        if type_ == SENT_AT_ATTRIBUTE:
            times += 1
            require(len(value) == 8 and times == 1)


@dataclass
class Claim:
    mark: tuple
    delivered: int
    delivered_hash: tuple
    confirmed: tuple
    seen: tuple
    received: int
    received_hash: tuple
    acknowledged: int

    def encode(self):
        return (
            pair(self.mark) + number(self.delivered, 8) + pair(self.delivered_hash)
            + pair(self.confirmed) + pair(self.seen)
            + number(self.received, 8) + pair(self.received_hash) + number(self.acknowledged, 8)
        )

    @staticmethod
    def decode(reader):
        claim = Claim(
            reader.pair(), reader.number(8), reader.pair(), reader.pair(), reader.pair(),
            reader.number(8), reader.pair(), reader.number(8),
        )
        require(claim.mark[0] >= 1 and claim.confirmed[0] <= claim.mark[0])
        require(max(claim.mark[0], claim.seen[0]) <= COUNT_LIMIT)
        require(claim.acknowledged <= SEQUENCE_LIMIT)
        require(claim.delivered <= claim.received <= SEQUENCE_LIMIT)
        return claim


@dataclass
class Credit:
    received_bytes: int
    sequence: int
    bytes: int

    def encode(self):
        return number(self.received_bytes, 8) + number(self.sequence, 8) + number(self.bytes, 8)

    @staticmethod
    def decode(reader, claim):
        credit = Credit(reader.number(8), reader.number(8), reader.number(8))
        require(credit.sequence <= claim.received + (1 << 30), "credit_out_of_range")
        require(0 <= credit.bytes - credit.received_bytes <= 1 << 46, "credit_out_of_range")
        return credit


@dataclass
class Challenge:
    nonce: int
    type = CHALLENGE

    def encode(self):
        return number(self.nonce, 8)

    @staticmethod
    def decode(reader):
        return Challenge(reader.number(8))


@dataclass
class Hello:
    lowest: int
    highest: int
    understood: int
    required: int
    nonce: int
    echo: int
    proven: bool
    claim: Claim
    base: int
    origin: int
    stream: tuple
    first: int
    erased_hash: tuple
    follows: tuple
    credit: Credit
    maximum_message: int
    source: bytes
    destination: bytes
    type = HELLO

    def encode(self):
        return (
            number(self.lowest, 1) + number(self.highest, 1)
            + number(self.understood, 8) + number(self.required, 8)
            + number(self.nonce, 8) + number(self.echo, 8) + number(self.proven, 1)
            + self.claim.encode() + number(self.base, 8) + number(self.origin, 1)
            + pair(self.stream) + number(self.first, 8) + pair(self.erased_hash)
            + pair(self.follows) + self.credit.encode() + number(self.maximum_message, 8)
            + number(len(self.source), 1) + self.source
            + number(len(self.destination), 1) + self.destination
        )

    @staticmethod
    def decode(reader):
        lowest, highest = reader.number(1), reader.number(1)
        understood, required = reader.number(8), reader.number(8)
        nonce, echo, proven = reader.number(8), reader.number(8), reader.number(1)
        claim = Claim.decode(reader)
        base, origin = reader.number(8), reader.number(1)
        stream, first, erased_hash = reader.pair(), reader.number(8), reader.pair()
        follows = reader.pair()
        credit = Credit.decode(reader, claim)
        maximum_message = reader.number(8)
        source = reader.raw(reader.number(1))
        destination = reader.raw(reader.number(1))
        require(1 <= lowest <= highest and not required & ~understood)
        require(nonce and echo and proven <= 1 and origin <= 2)
        require(1 <= base <= claim.mark[0] and 1 <= first <= SEQUENCE_LIMIT)
        require(source and destination)
        return Hello(
            lowest, highest, understood, required, nonce, echo, bool(proven), claim, base, origin,
            stream, first, erased_hash, follows, credit, maximum_message, source, destination,
        )


@dataclass
class Data:
    first: int
    hash: tuple
    items: list
    type = DATA

    def encode(self):
        return (
            number(self.first, 8) + pair(self.hash) + number(len(self.items), 4)
            + b"".join(item.encode() for item in self.items)
        )

    @staticmethod
    def decode(reader):
        first, hash_, count = reader.number(8), reader.pair(), reader.number(4)
        require(1 <= first <= SEQUENCE_LIMIT and count >= 1)
        return Data(first, hash_, [Item.decode(reader) for _ in range(count)])


@dataclass
class Ack:
    claim: Claim
    credit: Credit
    echo: int
    ranges: list
    type = ACK

    def encode(self):
        return (
            self.claim.encode() + self.credit.encode() + number(self.echo, 8)
            + number(len(self.ranges), 2) + b"".join(pair(r) for r in self.ranges)
        )

    @staticmethod
    def decode(reader):
        claim = Claim.decode(reader)
        credit = Credit.decode(reader, claim)
        echo, count = reader.number(8), reader.number(2)
        require(count <= 32)
        return Ack(claim, credit, echo, [reader.pair() for _ in range(count)])


@dataclass
class Ping:
    type = PING

    def encode(self):
        return b""

    @staticmethod
    def decode(_reader):
        return Ping()


@dataclass
class Bye:
    type = BYE

    def encode(self):
        return b""

    @staticmethod
    def decode(_reader):
        return Bye()


@dataclass
class Versions:
    lowest: int
    highest: int
    type = VERSIONS

    def encode(self):
        return number(self.lowest, 1) + number(self.highest, 1)

    @staticmethod
    def decode(reader):
        return Versions(reader.number(1), reader.number(1))


@dataclass
class Strange:
    """A record that no version knows."""

    type: int
    value: bytes

    def encode(self):
        return self.value


KNOWN = {kind.type: kind for kind in (Challenge, Hello, Data, Ack, Ping, Bye, Versions)}
OF_THE_HANDSHAKE = (CHALLENGE, HELLO, VERSIONS)


# --- frames ---------------------------------------------------------------------------------------


@dataclass
class Frame:
    records: list
    version: int = 0
    session: int = 0
    number: int = 0
    extensions: dict = field(default_factory=dict)  # of a type of record: bytes behind its fields


def extension(type_, value):
    return number(type_, 1) + varint(len(value)) + value


def encode(frame, checked=True):
    out = number(MAGIC, 2) + number(frame.version, 1) + number(CHECKED if checked else 0, 1)
    out += number(frame.session, 8)
    if frame.version:
        out += number(frame.number, 8)
    for record in frame.records:
        body = record.encode() + frame.extensions.get(record.type, b"")
        out += number(record.type, 1) + varint(len(body)) + body
    return out + number(crc32c(out), 4) if checked else out


def version_of(data):
    """Of a frame with a good header and checksum: the same in every version."""
    require(len(data) >= 4 and int.from_bytes(data[:2], "big") == MAGIC)
    require(data[3] in (0, CHECKED))
    if data[3] == CHECKED:
        require(len(data) >= 8 and crc32c(data[:-4]) == int.from_bytes(data[-4:], "big"),
                "checksum_mismatch")
    return data[2]


def decode(data):
    """A frame of version 0 or 1. Skips what may be skipped."""
    version = version_of(data)
    reader = Reader(data[:-4] if data[3] == CHECKED else data)
    reader.raw(4)
    frame = Frame([], version, reader.number(8))
    if version:
        frame.number = reader.number(8)
    else:
        require(frame.session == 0)
    while reader.left():
        type_ = reader.number(1)
        body = Reader(reader.raw(reader.varint()))
        kind = KNOWN.get(type_)
        if kind is None:
            require(type_ >= SKIPPABLE, "unknown_record")
            continue
        require((type_ in OF_THE_HANDSHAKE) == (version == 0))
        require(type_ == DATA or all(r.type != type_ for r in frame.records))
        frame.records.append(kind.decode(body))
        while body.left():
            require(body.number(1) >= SKIPPABLE, "unknown_record")
            body.raw(body.varint())
    return frame
