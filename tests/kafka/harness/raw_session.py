"""kfastd's session protocol by hand, after include/kfast/ipc/wire.hpp and layout.hpp alone: a
client that shares no code with libkfast.
"""

import array
import mmap
import os
import socket
import struct
from typing import NamedTuple

WIRE_MAGIC = 0x5353464B
HELLO, WELCOME, REFUSED, OPEN_PRODUCER, OPENED, RESUME_PRODUCER = range(1, 7)
CLOSE, CLOSED, WAKE, NOTICE, CONFIRM = range(7, 12)

VERSION, BAD_MESSAGE, UNKNOWN_PROFILE, LIMIT, NOT_ALLOWED, BAD_GEOMETRY = range(1, 7)
OUT_OF_RESOURCES, DRAINING, BUSY, BAD_SEGMENT, VIOLATION = range(7, 12)

RECORD, REPORT = 2, 3
HAS_KEY, HAS_VALUE, HAS_EXTENSION = 1, 2, 4


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("<IHH", WIRE_MAGIC, kind, 8 + len(body)) + body


def hello(protocols=(1, 1), layout=(1, 0), version=b"0", program=b"raw") -> bytes:
    return message(HELLO, struct.pack("<4H32s64s", *protocols, *layout, version, program))


def open_producer(ring=65536, reports_ring=65536, topics=4, reports=0, profile=b"default") -> bytes:
    return message(
        OPEN_PRODUCER, struct.pack("<IIQQII64s", 1, reports, ring, reports_ring, topics, 0, profile)
    )


def resume_producer(geometry: bytes, reports=0, profile=b"default") -> bytes:
    return message(RESUME_PRODUCER, struct.pack("<II88s64s", 1, reports, geometry, profile))


def close_channel(channel: int) -> bytes:
    return message(CLOSE, struct.pack("<II", channel, 0))


def confirm(channel: int) -> bytes:
    return message(CONFIRM, struct.pack("<II", channel, 0))


class Answer(NamedTuple):
    """A packet from kfastd; `kind` is None at the end of the connection."""

    kind: int
    body: bytes
    fds: list

    @property
    def refusal(self) -> tuple:
        """(code, text) of a Refused or a Notice."""
        code_at = 4 if self.kind == REFUSED else 0
        (code,) = struct.unpack_from("<i", self.body, code_at)
        return code, self.body[8:].split(b"\0")[0].decode(errors="replace")


class RawSession:
    """A connection to kfastd's session socket."""

    def __init__(self, socket_dir, timeout: float = 30):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(f"{socket_dir}/kfastd.sock")

    def __enter__(self) -> "RawSession":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes, fds=()) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], rights)

    def receive(self) -> Answer:
        try:
            data, control, _, _ = self.socket.recvmsg(512, socket.CMSG_SPACE(16))
        except ConnectionResetError:
            return Answer(None, b"", [])
        fds = array.array("i")
        for level, kind, rights in control:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            fds.frombytes(rights)
        if not data:
            return Answer(None, b"", [])
        magic, kind, size = struct.unpack_from("<IHH", data)
        assert (magic, size) == (WIRE_MAGIC, len(data))
        return Answer(kind, data[8:], list(fds))

    def wait_end(self) -> list:
        """Everything that comes until kfastd hangs up."""
        answers = []
        while True:
            answer = self.receive()
            if answer.kind is None:
                return answers
            answers.append(answer)

    def greet(self) -> tuple:
        """(session, token) of the Welcome."""
        self.send(hello())
        answer = self.receive()
        assert answer.kind == WELCOME, answer
        _, _, _, _, session, token, _ = struct.unpack("<4HQ16s32s", answer.body)
        return session, token

    def hand_back(self, channel: "RawChannel", c2d=None) -> Answer:
        """Shows kfastd the channel's segments (`c2d` in place of the first); its answer."""
        given = channel.c2d_fd if c2d is None else c2d
        self.send(resume_producer(channel.geometry), (given, channel.d2c_fd))
        return self.receive()

    def open(self, **options) -> "RawChannel":
        self.send(open_producer(**options))
        answer = self.receive()
        assert answer.kind == OPENED, answer
        return RawChannel(answer)


class RawChannel:
    """The two segments of a producer's channel, mapped."""

    def __init__(self, opened: Answer):
        fields = struct.unpack("<IIQQ10QII", opened.body)
        self.number, self.position = fields[1], fields[2]
        self.geometry = opened.body[24:112]
        (
            self.c2d_bytes,
            self.d2c_bytes,
            self.topic_table,
            self.c2d_ring,
            self.c2d_ring_bytes,
            _,
            _,
            _,
            self.d2c_ring,
            self.d2c_ring_bytes,
        ) = fields[4:14]
        self.c2d_fd, self.d2c_fd, self.doorbell, self.shard_page = opened.fds
        self.c2d = mmap.mmap(self.c2d_fd, self.c2d_bytes)
        self.d2c = mmap.mmap(self.d2c_fd, self.d2c_bytes, prot=mmap.PROT_READ)

    @staticmethod
    def number_of(opened: Answer) -> int:
        return struct.unpack_from("<II", opened.body)[1]

    def close(self) -> None:
        """Lets go of the memory and the descriptors."""
        self.c2d.close()
        self.d2c.close()
        for descriptor in (self.c2d_fd, self.d2c_fd, self.doorbell, self.shard_page):
            os.close(descriptor)

    def name_topic(self, index: int, name: bytes) -> None:
        struct.pack_into(f"<H{len(name)}s", self.c2d, self.topic_table + 256 * index, len(name), name)
        struct.pack_into("<I", self.c2d, 384, index + 1)

    def write_frame(self, frame: bytes) -> None:
        """Publishes a frame behind the last one; it must fit before the ring's end."""
        (tail,) = struct.unpack_from("<Q", self.c2d, 0)
        at = self.c2d_ring + tail
        self.c2d[at : at + len(frame)] = frame
        self.set_tail(tail + (len(frame) + 7) // 8 * 8)
        os.eventfd_write(self.doorbell, 1)

    def set_tail(self, tail: int) -> None:
        struct.pack_into("<Q", self.c2d, 0, tail)

    def say_closed(self) -> None:
        """As a client does that lets go of the channel while it has no session."""
        struct.pack_into("<I", self.c2d, 388, 1)
        os.eventfd_write(self.doorbell, 1)

    def ask_for_wake(self, count: int = 1) -> None:
        struct.pack_into("<Q", self.c2d, 256, count)

    @property
    def head(self) -> int:
        return struct.unpack_from("<Q", self.d2c, 128)[0]

    @property
    def reports_tail(self) -> int:
        return struct.unpack_from("<Q", self.d2c, 256)[0]

    def first_report(self) -> tuple:
        """size, kind, outcome, error, topic, count, partition, base offset, base position."""
        return struct.unpack_from("<IBBhHHiqQ", self.d2c, self.d2c_ring)


def record_frame(topic: int, sent_ms: int, key: bytes, value: bytes, ordinal: int = 0) -> bytes:
    size = 24 + len(key) + len(value)
    head = struct.pack(
        "<IBBHqII", size, RECORD, HAS_KEY | HAS_VALUE, topic, sent_ms, ordinal, len(key)
    )
    return head + key + value


class Bell:
    """A connection to the bell socket."""

    def __init__(self, socket_dir, timeout: float = 30):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(f"{socket_dir}/bell.sock")

    def __enter__(self) -> "Bell":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    @staticmethod
    def hello(session: int, token: bytes) -> bytes:
        return struct.pack("<8sQ16s", b"KFBELL1\n", session, token)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> bytes:
        """What has come, b"" at the end."""
        try:
            return self.socket.recv(100)
        except ConnectionResetError:
            return b""
