"""A descriptor store that is full, silent or gone, or holds each file once: nobody waits for it for
long, and what it has is never given up for what it does not take.
"""

import contextlib
import os
import time

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kept import names, of_channel, send_away
from harness.mock_broker import MockBroker
from harness.raw_session import BUSY, OPENED, RawChannel, RawSession, confirm, record_frame
from harness.worker import Worker

TOPIC = "orders"
SMALL = {"ring": 4096, "reports_ring": 4096, "topics": 1}


@pytest.fixture
def kept():
    """kfastd under a store like systemd's, in front of a broker that is librdkafka's own."""
    with MockBroker() as broker:
        broker.topic(TOPIC)
        with Kfastd(config_for(broker.bootstrap), fd_store=True) as daemon:
            yield daemon


def silent(kfastd) -> int:
    return kfastctl.stat(kfastd.socket_dir).value("kfast_fd_store_silent")


@pytest.fixture
def clients(kept):
    """Opens channels when called, each in a session of its own, as libkfast does."""
    with contextlib.ExitStack() as stack:

        def open_channels(count=1):
            for _ in range(count):
                session = stack.enter_context(RawSession(kept.socket_dir, timeout=120))
                session.greet()
                stack.callback(session.open(**SMALL).close)

        yield open_channels


def whole(*numbers, generation=1) -> set:
    return set().union(*(of_channel(number, generation) for number in numbers))


# Silent


def test_a_store_that_hangs_holds_nobody_up_for_long_and_gets_it_all_later(kept, clients):
    kept.notify.stop_reading()
    clients(20)
    kept.wait_log("NOTIFY_SOCKET has given no answer for 3 s: channels are opened")
    assert silent(kept) == 1
    kept.notify.read_again()
    kept.wait_log("NOTIFY_SOCKET answers again")
    assert silent(kept) == 0
    kept.notify.wait_stored(whole(*range(1, 21)))


def test_a_store_that_is_gone_holds_nobody_up_and_is_found_when_it_is_back(kept, clients):
    kept.notify.go_away()
    clients(3)
    kept.wait_log("NOTIFY_SOCKET takes no message .*: channels are opened")
    assert silent(kept) == 1
    kept.notify.come_back()
    kept.wait_log("NOTIFY_SOCKET answers again")
    clients()
    kept.notify.wait_stored(whole(1, 2, 3, 4))


def test_a_start_adopts_also_when_the_store_does_not_answer(kept):
    with Worker(kept.socket_dir) as worker:
        worker.send(TOPIC, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, TOPIC, 9, first=1)
        kept.notify.hold_barriers()
        kept.start()
        assert len(worker.wait_reports(9)) == 9
        # As long as it is not known that the new one is kept, the old one is.
        assert names(kept) == whole(1) | whole(1, generation=2)
        kept.notify.release_barriers()
        kept.wait_log("NOTIFY_SOCKET answers again")
        kept.notify.wait_stored(whole(1, generation=2))


def test_kfastd_stops_also_when_the_store_hangs(kept, clients):
    kept.notify.stop_reading()
    clients(5)
    kept.terminate()
    assert kept.wait() == 0


def test_clients_that_come_and_go_while_the_store_hangs_leave_nothing_behind(kept, clients):
    kept.notify.stop_reading()
    clients()
    before = len(os.listdir(f"/proc/{kept.pid}/fd"))
    for _ in range(100):
        with RawSession(kept.socket_dir, timeout=120) as session:
            session.greet()
            session.open(**SMALL).close()
    kept.wait_log("channel closed channel=101")
    assert len(os.listdir(f"/proc/{kept.pid}/fd")) < before + 30
    kept.notify.read_again()
    kept.notify.wait_stored(whole(1))


def test_a_stop_while_channels_are_adopted_delivers_them(kept):
    with Worker(kept.socket_dir) as worker:
        worker.send(TOPIC, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, TOPIC, 9, first=1)
        worker.kill()
    kept.notify.hold_barriers()
    kept.start(wait_ready=False)
    kept.notify.wait_barrier()
    kept.terminate()
    kept.wait_log("stopping")
    kept.notify.release_barriers()
    kept.wait_log("channel adopted channel=1 .*worker=gone")
    kept.wait_log("channel closed channel=1")
    assert kept.wait() == 0


# Full


def test_a_full_store_gives_up_nothing_that_it_has_when_channels_are_adopted(kept, clients):
    kept.notify.most, kept.notify.announced = 8, None
    clients(2)
    for generation in (2, 3):
        kept.restart(kill=True)
        assert names(kept) == whole(1, 2, generation=generation)


def test_a_store_that_says_how_much_it_keeps_is_not_filled_beyond_that(kept, clients):
    kept.notify.most = kept.notify.announced = 9
    kept.restart()
    clients(2)
    kept.wait_log(r"a channel is not kept .*FileDescriptorStoreMax.* channel=2")
    assert names(kept) == whole(1)
    assert kfastctl.stat(kept.socket_dir).value("kfast_channels_not_kept_total") == 1
    kept.restart(kill=True)
    assert names(kept) == whole(1, generation=2)


def test_a_store_that_kept_only_a_part_is_named(kept):
    kept.notify.most, kept.notify.announced = 3, None
    with RawSession(kept.socket_dir) as session:
        session.greet()
        channel = session.open(**SMALL)
        channel.name_topic(0, TOPIC.encode())
        channel.write_frame(record_frame(0, int(time.time() * 1000), b"k", b"v"))
        kept.restart(kill=True)
        kept.wait_log("warn what is kept of a channel is given back.* channel=1")
        assert names(kept) == set()
        channel.close()


# Each file once


def test_channels_of_one_session_are_adopted_for_a_worker_that_lives(kept):
    """Its pidfd is one file, so the store holds it for one of them."""
    with RawSession(kept.socket_dir) as session:
        session.greet()
        channels = [session.open(**SMALL) for _ in range(3)]
        kept.restart(kill=True)
        for number in (1, 2, 3):
            kept.wait_log(f"channel adopted channel={number} .*worker=lives")
        for channel in channels:
            channel.close()


def test_a_channel_that_is_handed_back_to_the_same_kfastd_is_kept(kept):
    with RawSession(kept.socket_dir) as session:
        session.greet()
        channel = session.open(**SMALL)
    for _ in range(30):
        with RawSession(kept.socket_dir) as session:
            session.greet()
            answer = session.hand_back(channel)
            while answer.kind != OPENED:
                assert answer.refusal[0] == BUSY
                answer = session.hand_back(channel)
            number = RawChannel.number_of(answer)
            session.send(confirm(number))
            for descriptor in answer.fds:
                os.close(descriptor)
            kept.wait_log(f"channel taken back channel={number} ")
            kept.wait_log(f"channel closed channel={number - 1}$")
            assert names(kept) == whole(number)
    channel.close()


def test_of_two_channels_with_the_same_records_the_last_is_adopted(kept):
    """The store gives back what it was told to remove."""
    with RawSession(kept.socket_dir) as session:
        session.greet()
        channel = session.open(**SMALL)
        former = {name: os.dup(held[0]) for name, held in kept.notify.stored.items()}
    kept.wait_log("channel closed channel=1")
    channel.name_topic(0, TOPIC.encode())
    with RawSession(kept.socket_dir) as session:
        session.greet()
        answer = session.hand_back(channel)
        number = RawChannel.number_of(answer)
        session.send(confirm(number))
        channel.write_frame(record_frame(0, int(time.time() * 1000), b"k", b"v"))
        os.eventfd_write(answer.fds[1], 1)
        while kfastctl.stat(kept.socket_dir).outcomes(TOPIC) != {"delivered": 1}:
            pass
        kept.kill()
        kept.notify.stored.update({name: [fd] for name, fd in former.items()})
        kept.start()
        kept.wait_log(f"channel adopted channel={number} ")
        kept.wait_log(f"given up channel=1: channel {number} has the same records")
        assert names(kept) == whole(number, generation=2)
        assert kfastctl.stat(kept.socket_dir).outcomes(TOPIC) == {}, "it was delivered before"
    for descriptor in answer.fds:
        os.close(descriptor)
    channel.close()
