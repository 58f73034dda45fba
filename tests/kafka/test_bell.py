"""The bell, and the protocol, from the header alone: who is rung for, and for how long."""

import fcntl
import sys
import termios
import time

import pytest

from harness.kfast import DELIVERED
from harness.kfastctl import wait_stat
from harness.raw_session import WAKE, Bell, RawSession, record_frame


def wait_until_read(bell):
    """Until kfastd has read all that was sent to it."""
    deadline = time.monotonic() + 60
    while int.from_bytes(fcntl.ioctl(bell.socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
        assert time.monotonic() < deadline, "kfastd does not read its bell"


def wait_for_one_session(kfastd):
    wait_stat(kfastd.socket_dir, lambda stats: stats.value("kfast_sessions") == 1, "one session")


def test_a_client_written_from_the_headers_sends_and_is_rung(kafka, kfastd):
    topic = kafka.topic("raw")
    with RawSession(kfastd.socket_dir) as session, Bell(kfastd.socket_dir) as bell:
        identity, token = session.greet()
        bell.send(Bell.hello(identity, token)[:5])
        bell.send(Bell.hello(identity, token)[5:])
        assert bell.receive() == b"+"
        channel = session.open()
        channel.name_topic(0, topic.encode())
        channel.ask_for_wake()
        now = int(time.time() * 1000)
        channel.write_frame(record_frame(0, now, b"key", b"by hand"))
        assert bell.receive() == b"!"
        assert session.receive().kind == WAKE
        assert channel.reports_tail == 32
        assert channel.first_report() == (32, 3, DELIVERED, 0, 0, 1, 0, 0, 0)
        (record,) = kafka.witness.read(topic)
        assert (record.key, record.value, record.timestamp) == (b"key", b"by hand", now)
        # The reports' ring is read-only memory: kfastd's words are kfastd's.
        assert channel.head == 40


def test_a_bell_opens_with_its_sessions_token_only(kfastd):
    with RawSession(kfastd.socket_dir) as session:
        identity, token = session.greet()
        wrong = bytes([token[0] ^ 1]) + token[1:]
        for hello in (Bell.hello(identity, wrong), Bell.hello(identity + 1, token)):
            with Bell(kfastd.socket_dir) as bell:
                bell.send(hello)
                assert bell.receive() == b""
        with Bell(kfastd.socket_dir) as bell:
            bell.send(Bell.hello(identity, token))
            assert bell.receive() == b"+"
            session.close()
            assert bell.receive() == b""


def test_one_bell_rings_for_several_sessions_and_says_when_one_ends(kafka, kfastd):
    topic = kafka.topic("several")
    with RawSession(kfastd.socket_dir) as first, RawSession(kfastd.socket_dir) as second:
        with Bell(kfastd.socket_dir) as bell:
            hellos = [Bell.hello(*session.greet()) for session in (first, second)]
            bell.send(hellos[0])
            assert bell.receive() == b"+"
            bell.send(hellos[1][:7])
            bell.send(hellos[1][7:])
            assert bell.receive() == b"+"
            for session in (first, second):
                channel = session.open()
                channel.name_topic(0, topic.encode())
                channel.ask_for_wake()
                channel.write_frame(record_frame(0, int(time.time() * 1000), b"key", b"by hand"))
                assert bell.receive() == b"!"
                assert session.receive().kind == WAKE
            first.close()
            assert bell.receive() == b"-"
            # Once more does no harm.
            bell.send(hellos[1])
            assert bell.receive() == b"+"
            second.close()
            assert bell.receive() == b""
    assert kafka.witness.count(topic) == 2


@pytest.mark.parametrize("wrong", ["ended", "stranger"])
def test_a_bell_that_names_no_session_ends_for_all_of_them(kfastd, wrong):
    with RawSession(kfastd.socket_dir) as session, RawSession(kfastd.socket_dir) as ended:
        hellos = [Bell.hello(*each.greet()) for each in (session, ended)]
        ended.close()
        wait_for_one_session(kfastd)
        with Bell(kfastd.socket_dir) as bell, Bell(kfastd.socket_dir) as other:
            for each in (bell, other):
                each.send(hellos[0])
                assert each.receive() == b"+"
            bell.send(hellos[1] if wrong == "ended" else b"GET / HTTP/1.1" + bytes(18))
            while (said := bell.receive()) and wrong == "stranger":
                assert said == b"kfastd: this is the bell socket of libkfast\n"
            assert said == b""
            # The session has its other bell still, and room for as many as before.
            other.send(hellos[0])
            assert other.receive() == b"+"


def test_bells_that_have_gone_make_room_for_others(kfastd):
    with RawSession(kfastd.socket_dir) as session:
        hello = Bell.hello(*session.greet())
        for _ in range(40):
            with Bell(kfastd.socket_dir) as bell:
                bell.send(hello)
                assert bell.receive() == b"+"


def test_a_bell_that_nobody_reads_ends_rather_than_miss_that_a_session_ended(kfastd):
    with RawSession(kfastd.socket_dir) as first, RawSession(kfastd.socket_dir) as second:
        hellos = [Bell.hello(*session.greet()) for session in (first, second)]
        with Bell(kfastd.socket_dir) as bell:
            bell.send(hellos[1] + hellos[0] * 3000)
            wait_until_read(bell)
            second.close()
            wait_for_one_session(kfastd)
            said = b""
            while more := bell.receive():
                said += more
            assert set(said) == set(b"+")


def test_when_kfastd_stops_a_bell_ends_after_the_sessions_that_it_rings_for(kfastd):
    with RawSession(kfastd.socket_dir) as first, RawSession(kfastd.socket_dir) as second:
        hellos = [Bell.hello(*session.greet()) for session in (first, second)]
        with Bell(kfastd.socket_dir) as bell:
            bell.send(hellos[0] + hellos[1])
            said = b""
            while len(said) < 2:
                said += bell.receive()
            kfastd.terminate()
            while bell.receive():
                pass
            for session in (first, second):
                session.socket.settimeout(0)
                session.wait_end()
