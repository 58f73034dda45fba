"""Who may take a channel over that was kept while kfastd and worker were apart."""

import contextlib
import os
import socket
import struct
import subprocess
import textwrap
import time

import pytest

from harness import kfastctl, readable_copy
from harness.daemon import Kfastd, config_for
from harness.mock_broker import MockBroker
from harness.process import Process
from harness.raw_session import (
    BAD_SEGMENT,
    BUSY,
    NOT_ALLOWED,
    OPENED,
    REFUSED,
    RawSession,
    confirm,
    record_frame,
)

TOPIC = "orders"
STRANGER = 23456  # a user without a name; some number that nobody has


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def kept():
    """kfastd under a store like systemd's, in front of a broker that is librdkafka's own."""
    with MockBroker() as broker:
        broker.topic(TOPIC)
        config = config_for(broker.bootstrap)
        config["allow"].append({"uid": STRANGER, "produce": [TOPIC]})
        with Kfastd(config, fd_store=True) as daemon:
            yield daemon


@pytest.fixture
def waiting(kept):
    """A channel that was adopted and waits for this process, which opened it."""
    with RawSession(kept.socket_dir) as session:
        session.greet()
        channel = session.open()
        channel.name_topic(0, TOPIC.encode())
        kept.kill()  # before the socket's end would tell it that the worker has left
    kept.start()
    kept.wait_log("channel adopted channel=1 .*worker=lives")
    yield channel
    channel.close()


def delivered(kfastd) -> int:
    return kfastctl.stat(kfastd.socket_dir).outcomes(TOPIC).get("delivered", 0)


def test_a_descriptor_that_cannot_be_written_takes_nothing_over(kept, waiting):
    reading = os.open(f"/proc/self/fd/{waiting.c2d_fd}", os.O_RDONLY)
    with RawSession(kept.socket_dir) as session:
        session.greet()
        answer = session.hand_back(waiting, c2d=reading)
        assert answer.kind == REFUSED and answer.refusal[0] == BAD_SEGMENT, answer
    os.close(reading)



_STRANGER = """
import array, socket, sys
from harness.raw_session import RawSession, resume_producer
run, path, geometry = sys.argv[1:]
giver = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
giver.connect(path)
_, fds, _, _ = socket.recv_fds(giver, 1, 2)
with RawSession(run) as session:
    session.greet()
    session.send(resume_producer(bytes.fromhex(geometry)), fds)
    print(*session.receive().refusal, sep="\\n", flush=True)
"""


def test_another_user_who_was_given_the_descriptors_takes_nothing_over(kept, waiting):
    path = str(kept.socket_dir / "giver")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as giver:
        giver.bind(path)
        os.chmod(path, 0o777)
        giver.listen()
        script, geometry = textwrap.dedent(_STRANGER), waiting.geometry.hex()
        stranger = Process(
            [readable_copy.python(), "-c", script, kept.socket_dir, path, geometry],
            stdout=subprocess.PIPE,
            env=readable_copy.environment(),
            uid=STRANGER,
        )
        taker, _ = giver.accept()
        with taker:
            socket.send_fds(taker, [b"x"], [waiting.c2d_fd, waiting.d2c_fd])
        code, why = stranger.stdout.read().decode().splitlines()
    assert stranger.wait(60) == 0
    assert int(code) == NOT_ALLOWED and "the channel belongs to user" in why
    kept.wait_log("channel not taken back: it belongs to .* channel=1")
    # Its own user still can.
    with RawSession(kept.socket_dir) as session:
        session.greet()
        assert session.hand_back(waiting).kind == OPENED


def test_of_two_sessions_that_were_offered_a_channel_the_first_to_confirm_has_it(kept, waiting):
    first, second = RawSession(kept.socket_dir), RawSession(kept.socket_dir)
    with first, second:
        for session in (first, second):
            session.greet()
            assert session.hand_back(waiting).kind == OPENED
        second.send(confirm(1))
        kept.wait_log("channel taken back channel=1")
        first.send(confirm(1))
        (answer,) = first.wait_end()
        assert answer.refusal[0] == BUSY
        waiting.write_frame(record_frame(0, now_ms(), b"k", b"v"))
        while delivered(kept) < 1:
            pass
        with RawSession(kept.socket_dir) as third:
            third.greet()
            answer = third.hand_back(waiting)
            assert answer.kind == REFUSED and answer.refusal[0] == BUSY


def test_a_channel_that_is_closed_and_taken_over_at_once_is_counted_once(kept):
    with contextlib.ExitStack() as before:
        clients = []
        for _ in range(100):
            session = before.enter_context(RawSession(kept.socket_dir))
            session.greet()
            clients.append(session.open(ring=4096, reports_ring=4096, topics=1))
        kept.kill()
    kept.start()
    sessions = []
    for channel in clients:
        session = RawSession(kept.socket_dir)
        session.greet()
        answer = session.hand_back(channel)
        assert answer.kind == OPENED
        for descriptor in answer.fds:
            os.close(descriptor)
        sessions.append(session)
    for session, channel in zip(sessions, clients):
        channel.say_closed()
        for _ in range(3000):
            pass  # the end of the channel is under way when it comes
        session.send(confirm(channel.number))
    for session, channel in zip(sessions, clients):
        session.close()
        channel.close()
    for number in range(1, 101):
        kept.wait_log(f"channel closed channel={number}$")
    assert kfastctl.stat(kept.socket_dir).value("kfast_channels") == 0


@pytest.mark.parametrize("word", [128, 256], ids=["d2c_head", "waiting"])
def test_a_client_that_lied_while_it_was_away_ends_alone(kept, waiting, word):
    with RawSession(kept.socket_dir) as honest:
        honest.greet()
        other = honest.open()
        other.name_topic(0, TOPIC.encode())
        struct.pack_into("<Q", waiting.c2d, word, (1 << 64) - 8)
        for n in range(20):
            waiting.write_frame(record_frame(0, now_ms(), b"k", b"v", ordinal=n))
        with RawSession(kept.socket_dir) as session:
            session.greet()
            assert session.hand_back(waiting).kind == OPENED
            session.send(confirm(1))
            kept.wait_log("channel taken back channel=1")
            waiting.write_frame(record_frame(0, now_ms(), b"k", b"v", ordinal=20))
        kept.wait_log("channel closed channel=1")
        before = delivered(kept)
        other.write_frame(record_frame(0, now_ms(), b"k", b"v"))
        while delivered(kept) == before:
            pass
        other.close()
