"""Whatever is said to its sockets, kfastd answers with words, keeps nothing, and goes on."""

import fcntl
import os
import random
import socket
import struct

import pytest

from harness import holdings, kfastctl
from harness.worker import Worker
from harness.raw_session import (
    BAD_GEOMETRY,
    BAD_MESSAGE,
    BAD_SEGMENT,
    HELLO,
    NOTICE,
    OPEN_PRODUCER,
    OPENED,
    REFUSED,
    RESUME_PRODUCER,
    UNKNOWN_PROFILE,
    VERSION,
    VIOLATION,
    WIRE_MAGIC,
    Bell,
    RawSession,
    close_channel,
    confirm,
    hello,
    message,
    open_producer,
    record_frame,
)

HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def descriptors(kfastd) -> int:
    """How many kfastd has while one greeted session is open: by its Welcome all that came before is
    done with.
    """
    with RawSession(kfastd.socket_dir) as session:
        session.greet()
        return holdings.descriptors(kfastd.pid).total()


@pytest.fixture(autouse=True)
def unharmed(kfastd):
    """After each test kfastd serves a worker, and has as many descriptors as before."""
    before = descriptors(kfastd)
    yield
    assert descriptors(kfastd) == before
    mark = kfastd.mark()
    with Worker(kfastd.socket_dir) as producer:
        producer.topic("t")
    kfastd.wait_log("channel closed", since=mark)
    assert kfastd.running


def refused_by_protocol(kfastd) -> int:
    stats = kfastctl.stat(kfastd.socket_dir)
    return stats.value("kfast_sessions_refused_total", reason="protocol")


STRANGERS = {
    "HTTP": HTTP,
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "one byte": b"\0",
    "zeros": bytes(112),
    "random": random.Random(7).randbytes(300),
    "another magic": struct.pack("<IHH", WIRE_MAGIC + 1, HELLO, 112) + bytes(104),
    "a head cut short": hello()[:7],
    "more than a message": hello() + bytes(4096),
    "a great deal": bytes(100_000),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_another_protocol_on_the_session_socket_is_refused_with_words(kfastd, case):
    before = refused_by_protocol(kfastd)
    with RawSession(kfastd.socket_dir) as session:
        session.send(STRANGERS[case])
        (answer,) = session.wait_end()
        assert answer.kind == REFUSED
        code, text = answer.refusal
        assert code == BAD_MESSAGE
        assert "kfastd's session socket" in text and "use libkfast" in text
    assert refused_by_protocol(kfastd) == before + 1


BEFORE_HELLO = {
    "an open": (open_producer(), BAD_MESSAGE),
    "a close": (close_channel(1), BAD_MESSAGE),
    "an unknown message": (message(99, b""), BAD_MESSAGE),
    "a daemon's message": (message(OPENED, bytes(112)), BAD_MESSAGE),
    "a short hello": (message(HELLO, bytes(20)), VERSION),
    "a hello with a wrong size": (struct.pack("<IHH", WIRE_MAGIC, HELLO, 7) + bytes(104), VERSION),
    "a hello of tomorrow": (hello(protocols=(2, 9), version=b"9.9"), VERSION),
    "a hello with another layout": (hello(layout=(2, 0)), VERSION),
    "a hello without end of text": (hello(protocols=(9, 9), version=b"v" * 32), VERSION),
}


@pytest.mark.parametrize("case", BEFORE_HELLO)
def test_a_session_that_starts_wrong_is_refused_with_words(kfastd, case):
    data, expected = BEFORE_HELLO[case]
    with RawSession(kfastd.socket_dir) as session:
        session.send(data)
        (answer,) = session.wait_end()
        code, text = answer.refusal
        assert (answer.kind, code) == (REFUSED, expected) and text


AFTER_HELLO = {
    "a second hello": hello(),
    "a daemon's message": message(OPENED, bytes(112)),
    "a close of nobody's channel": close_channel(4711),
    "an open cut short": open_producer()[:50],
    "an open with a wrong size": message(OPEN_PRODUCER, bytes(10)),
    "a resume without segments": message(RESUME_PRODUCER, bytes(160)),
    "a confirm of nothing": confirm(4711),
    "a confirm cut short": confirm(1)[:12],
    "nonsense": b"\xff" * 64,
}


@pytest.mark.parametrize("case", AFTER_HELLO)
def test_nonsense_in_a_session_ends_it_with_words(kfastd, case):
    with RawSession(kfastd.socket_dir) as session:
        session.greet()
        session.send(AFTER_HELLO[case])
        (answer,) = session.wait_end()
        code, text = answer.refusal
        assert (answer.kind, code) == (REFUSED, BAD_MESSAGE) and text


IMPOSSIBLE = {
    "no ring": (dict(ring=0), BAD_GEOMETRY),
    "odd ring": (dict(ring=65537), BAD_GEOMETRY),
    "huge ring": (dict(ring=1 << 40), BAD_GEOMETRY),
    "overflowing ring": (dict(ring=1 << 63, reports_ring=1 << 63), BAD_GEOMETRY),
    "small reports": (dict(reports_ring=8), BAD_GEOMETRY),
    "no topics": (dict(topics=0), BAD_GEOMETRY),
    "many topics": (dict(topics=0xFFFFFFFF), BAD_GEOMETRY),
    "strange reports": (dict(reports=77), BAD_MESSAGE),
    "no profile": (dict(profile=b""), UNKNOWN_PROFILE),
    "a profile without end": (dict(profile=b"\xff" * 64), UNKNOWN_PROFILE),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_channel_is_refused_and_the_session_goes_on(kfastd, case):
    options, expected = IMPOSSIBLE[case]
    mark = kfastd.mark()
    with RawSession(kfastd.socket_dir) as session:
        session.greet()
        session.send(open_producer(**options))
        answer = session.receive()
        assert answer.kind == REFUSED and answer.refusal[0] == expected, answer.refusal
        session.open().close()
    kfastd.wait_log("channel closed", since=mark)


def memory(size: int) -> int:
    descriptor = os.memfd_create("stranger", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    return descriptor


def geometry(ring=65536, reports_ring=65536, topics=4) -> bytes:
    def up(value, to):
        return (value + to - 1) // to * to

    bitmap = ring // 64
    c2d_ring = up(4096 + topics * 256, 4096)
    done = up(4096 + topics, 128)
    lost = up(done + bitmap, 128)
    d2c_ring = up(lost + bitmap, 4096)
    numbers = [c2d_ring + ring, d2c_ring + reports_ring, 4096, c2d_ring, ring]
    numbers += [4096, done, lost, d2c_ring, reports_ring]
    return struct.pack("<10QII", *numbers, topics, 0)


def resume(described: bytes) -> bytes:
    return message(RESUME_PRODUCER, struct.pack("<II88s64s", 1, 0, described, b"default"))


def test_descriptors_where_none_belong_are_closed(kfastd):
    for data in (hello(), open_producer(), HTTP, close_channel(9)):
        for count in (1, 4, 40):
            fds = [memory(4096) for _ in range(count)]
            with RawSession(kfastd.socket_dir) as session:
                if data != hello():
                    session.greet()
                session.send(data, fds)
                session.receive()
            for descriptor in fds:
                os.close(descriptor)
    kfastd.wait_log("channel closed")


def test_a_hand_back_of_other_things_is_refused(kfastd):
    c2d_bytes, d2c_bytes = struct.unpack_from("<2Q", geometry())
    null, (reading, writing) = os.open("/dev/null", os.O_RDWR), os.pipe()
    whole, other = memory(c2d_bytes), memory(d2c_bytes)
    small = memory(10)
    directory = os.open("/", os.O_RDONLY)
    pairs = [(null, null), (reading, writing), (whole, other), (small, small), (whole, whole)]
    sealed = memory(c2d_bytes)
    fcntl.fcntl(sealed, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    write_only = os.open(f"/proc/self/fd/{sealed}", os.O_WRONLY)
    pairs += [(directory, directory), (other, whole), (sealed, other), (write_only, other)]
    try:
        for pair in pairs:
            with RawSession(kfastd.socket_dir) as session:
                session.greet()
                session.send(resume(geometry()), pair)
                answer = session.receive()
                assert answer.kind == REFUSED and answer.refusal[0] == BAD_SEGMENT, answer
        for described in (bytes(88), b"\xff" * 88, geometry(ring=1 << 29)[:80] + b"\xff" * 8):
            with RawSession(kfastd.socket_dir) as session:
                session.greet()
                session.send(resume(described), (whole, other))
                answer = session.receive()
                assert answer.kind == REFUSED and answer.refusal[0] == BAD_GEOMETRY, answer
        for fds in ((), (whole,), (whole, other, null)):
            with RawSession(kfastd.socket_dir) as session:
                session.greet()
                session.send(resume(geometry()), fds)
                (answer,) = session.wait_end()
                assert answer.refusal[0] == BAD_MESSAGE
    finally:
        for each in {null, reading, writing, whole, other, small, directory, sealed, write_only}:
            os.close(each)


def test_a_channel_belongs_to_who_handed_it_back_last(kfastd):
    mark = kfastd.mark()
    with RawSession(kfastd.socket_dir) as session:
        session.greet()
        channel = session.open()
        segments = os.dup(channel.c2d_fd), os.dup(channel.d2c_fd)
        channel.close()
    kfastd.wait_log("channel closed", since=mark)
    mark = kfastd.mark()
    sessions = [RawSession(kfastd.socket_dir) for _ in range(4)]
    offers = []
    for session in sessions:
        session.greet()
        session.send(resume(geometry()), segments)
        answer = session.receive()
        assert answer.kind == OPENED, answer
        offers.append(struct.unpack_from("<II", answer.body)[1])
        for descriptor in answer.fds:
            os.close(descriptor)
        if len(offers) == 1:
            session.close()  # its offer waits for the process, which lives
    for session, offer in zip(sessions[1:3], offers[1:3]):
        session.send(confirm(offer))
        (answer,) = session.wait_end()
        assert answer.refusal[0] == BAD_MESSAGE and "not offered" in answer.refusal[1]
    sessions[3].send(confirm(offers[3]))
    kfastd.wait_log(f"channel taken back channel={offers[3]} ", since=mark)
    for session in sessions:
        session.close()
    for descriptor in segments:
        os.close(descriptor)
    kfastd.wait_log(f"channel closed channel={offers[3]}$", since=mark)


def test_a_session_that_hangs_up_at_any_moment_leaves_nothing(kfastd):
    mark = kfastd.mark()
    for _ in range(20):
        RawSession(kfastd.socket_dir).close()
        with RawSession(kfastd.socket_dir) as session:
            session.send(hello())
        with RawSession(kfastd.socket_dir) as session:
            session.send(hello())
            session.send(open_producer(profile=b"ghost"))
        with RawSession(kfastd.socket_dir) as session:
            session.greet()
            session.send(open_producer(profile=b"ghost"))
    with RawSession(kfastd.socket_dir) as session:
        session.greet()
        session.open().close()
    opened = kfastd.wait_log(r"channel opened channel=(\d+)", since=mark)[1]
    kfastd.wait_log(f"channel closed channel={opened}$", since=mark)


BAD_FRAMES = {
    "zeros": bytes(64),
    "a size of nothing": struct.pack("<IBBHqII", 0, 2, 3, 0, 0, 0, 0),
    "a size beyond the tail": struct.pack("<IBBHqII", 60_000, 2, 3, 0, 0, 0, 0),
    "an unknown kind": struct.pack("<IBBHqII", 24, 9, 3, 0, 0, 0, 0),
    "a report": struct.pack("<IBBhHHiqQ", 32, 3, 1, 0, 0, 1, 0, 0, 0),
    "a key beyond the frame": struct.pack("<IBBHqII", 24, 2, 3, 0, 0, 0, 4_000_000_000),
    "a topic that is not there": record_frame(3, 1, b"k", b"v"),
    "random": random.Random(3).randbytes(200),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_frame_that_breaks_the_rules_ends_the_session(kfastd, case):
    before = kfastctl.stat(kfastd.socket_dir).value("kfast_violations_total")
    mark = kfastd.mark()
    with RawSession(kfastd.socket_dir) as session:
        session.greet()
        channel = session.open()
        channel.name_topic(0, b"t")
        channel.write_frame(BAD_FRAMES[case])
        answers = session.wait_end()
        channel.close()
        assert [answer.kind for answer in answers] == [NOTICE]
        code, text = answers[0].refusal
        assert code == VIOLATION and "broke a rule" in text
    kfastd.wait_log("channel closed", since=mark)
    stats = kfastctl.stat(kfastd.socket_dir)
    assert stats.value("kfast_violations_total") == before + 1


def test_an_impossible_tail_ends_the_session(kfastd):
    for tail in (7, 65544, 1 << 63, (1 << 64) - 8):
        mark = kfastd.mark()
        with RawSession(kfastd.socket_dir) as session:
            session.greet()
            channel = session.open()
            channel.set_tail(tail)
            os.eventfd_write(channel.doorbell, 1)
            (answer,) = session.wait_end()
            channel.close()
            assert answer.refusal[0] == VIOLATION
        kfastd.wait_log("channel closed", since=mark)


def test_a_worker_that_rings_in_a_loop_is_heard_less_and_loses_no_wake_up(kfastd):
    def muted() -> int:
        return kfastctl.stat(kfastd.socket_dir).value("kfast_shard_doorbells_muted_total")

    with RawSession(kfastd.socket_dir) as session:
        session.greet()
        channel = session.open()
        before = muted()
        for _ in range(100):
            for _ in range(10_000):
                os.eventfd_write(channel.doorbell, 1)
            if muted() > before:
                break
        assert muted() > before
        for _ in range(10_000):
            os.eventfd_write(channel.doorbell, 1)
        mark = kfastd.mark()
        channel.name_topic(0, b"t")
        channel.write_frame(BAD_FRAMES["zeros"])
        (answer,) = session.wait_end()
        channel.close()
        assert answer.refusal[0] == VIOLATION
    kfastd.wait_log("channel closed", since=mark)
    kfastd.wait_log("a worker rings its doorbell again and again without a record")


def test_another_protocol_on_the_bell_socket_is_refused_with_words(kfastd):
    before = refused_by_protocol(kfastd)
    for data in (HTTP, b"x", bytes(32), b"KFBELL2\n" + bytes(24)):
        with Bell(kfastd.socket_dir) as bell:
            bell.send(data)
            assert bell.receive() == b"kfastd: this is the bell socket of libkfast\n"
            assert bell.receive() == b""
    assert refused_by_protocol(kfastd) == before + 4


def test_half_a_bell_hello_binds_nothing(kfastd):
    with RawSession(kfastd.socket_dir) as session:
        identity, token = session.greet()
        whole = Bell.hello(identity, token)
        for size in range(len(whole)):
            with Bell(kfastd.socket_dir) as bell:
                bell.send(whole[:size])
                bell.socket.shutdown(socket.SHUT_WR)
                assert bell.receive() == b""
        with Bell(kfastd.socket_dir) as bell:
            for byte in whole:
                bell.send(bytes([byte]))
            assert bell.receive() == b"+"


def test_silent_bells_are_bounded_and_keep_nobody_out(kfastd):
    before = descriptors(kfastd)
    with RawSession(kfastd.socket_dir) as session:
        identity, token = session.greet()
        bells = [Bell(kfastd.socket_dir) for _ in range(300)]
        # The newest is heard; the oldest had to go for it.
        bells[-1].send(Bell.hello(identity, token))
        assert bells[-1].receive() == b"+"
        assert bells[0].receive() == b""
        assert descriptors(kfastd) <= before + 260
        for bell in bells:
            bell.socket.close()


def test_bytes_after_the_bell_hello_that_are_no_other_end_that_bell_alone(kfastd):
    with RawSession(kfastd.socket_dir) as session, Bell(kfastd.socket_dir) as other:
        hello = Bell.hello(*session.greet())
        other.send(hello)
        assert other.receive() == b"+"
        with Bell(kfastd.socket_dir) as bell:
            bell.send(hello + b"and more" * 1000)
            said = b""
            while more := bell.receive():
                said += more
            assert said == b"+kfastd: this is the bell socket of libkfast\n"
        other.send(hello)
        assert other.receive() == b"+"
