"""The descriptor store itself: what it is told, what it gives back, and when it does neither."""

import fcntl
import os
import socket
import struct

import pytest

from harness import kfastctl
from harness.daemon import config_for
from harness.kept import names, numbers, of_channel, send_away, values_of
from harness.kfast import Producer
from harness.raw_session import RawSession
from harness.worker import Worker

# include/kfast/ipc/layout.hpp: SegmentIdentity.layout_major; the seals of a report segment.
LAYOUT_AT = 8
D2C_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | 0x10  # FUTURE_WRITE


def test_a_client_gets_nothing_before_it_is_kept(kept):
    kept.notify.hold_barriers()
    with RawSession(kept.socket_dir, timeout=0.5) as session:
        session.greet()
        with pytest.raises(TimeoutError):
            session.open()
        kept.notify.wait_barrier()
        assert names(kept) == of_channel(1)
        kept.notify.release_barriers()
        session.socket.settimeout(30)
        assert session.receive().fds


def test_a_client_that_leaves_before_it_is_kept_leaves_nothing(kept):
    kept.notify.hold_barriers()
    with RawSession(kept.socket_dir, timeout=0.2) as session:
        session.greet()
        with pytest.raises(TimeoutError):
            session.open()
        kept.notify.wait_barrier()
    with RawSession(kept.socket_dir) as session:
        session.greet()
        kept.notify.release_barriers()
        session.open().close()
        assert names(kept) == of_channel(2)


def test_closed_channels_leave_nothing_in_the_store(kafka, kept):
    topic = kafka.topic("leave-nothing")
    for _ in range(20):
        with Producer(kept.socket_dir) as producer:
            producer.send(topic, None, b"v")
            producer.flush()
    kept.wait_log("channel closed channel=20")
    assert names(kept) == set()
    assert len(os.listdir(f"/proc/{kept.pid}/fd")) < 100


def test_channels_beyond_the_limits_are_adopted(kafka, kept):
    topic = kafka.topic("limits")
    with Worker(kept.socket_dir) as a, Worker(kept.socket_dir) as b:
        for worker in (a, b):
            worker.send(topic, None, b"first")
            worker.wait_reports(1)
        kept.kill()
        send_away(a, kept, topic, 5)
        send_away(b, kept, topic, 5, first=5)
        config = config_for(kafka.bootstrap)
        config["limits"] = {"default": {"channels": 1}}
        kept.write_config(config)
        kept.start()
        assert sorted(values_of(kafka, topic, 12)[2:]) == numbers(10)
        assert len(a.wait_reports(5)) == len(b.wait_reports(5)) == 5


def test_a_profile_that_is_missing_keeps_the_segments_until_it_is_back(kafka, kept):
    topic = kafka.topic("profile")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, topic, 9, first=1)
        worker.kill()
    whole = config_for(kafka.bootstrap)
    other = config_for(kafka.bootstrap, profiles={"other": {}})
    del other["profiles"]["default"]
    kept.write_config(other)
    kept.start()
    kept.wait_log('kept segments are not delivered: kfastd.toml has no profile "default"')
    assert names(kept) == of_channel(1)
    kept.write_config(whole)
    kept.restart()
    kept.wait_log("channel closed channel=1")
    assert values_of(kafka, topic, 10) == numbers(10)


def memfd(size: int, text: bytes = b"") -> int:
    descriptor = os.memfd_create("garbage")
    os.truncate(descriptor, size)
    os.pwrite(descriptor, text, 0)
    return descriptor


def test_garbage_in_the_store_is_named_and_thrown_out(kafka, kept):
    topic = kafka.topic("garbage")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, topic, 9, first=1)
        stored = kept.notify.stored
        page = os.pread(stored["kf1.d2c.1"][0], 4096, 0)
        garbage = {
            "nonsense": os.open("/dev/null", os.O_RDONLY),
            "kf0.c2d": os.open("/dev/null", os.O_RDONLY),
            "kf007.c2d": os.open("/dev/null", os.O_RDONLY),
            "kf9.c2d": os.open("/dev/null", os.O_RDONLY),
            "kf9.d2c.1": os.pipe()[0],
            "kf10.d2c.1": memfd(100),
            "kf11.c2d": memfd(4096),
            "kf11.d2c.1": memfd(8192),
            "kf12.c2d": memfd(1 << 20),
            "kf12.d2c.1": memfd(len(page), page),
            "kf13.bell": os.eventfd(0),
            "kf14.c2d": os.open("/", os.O_RDONLY),
            "kf14.d2c.4294967295": memfd(4096),
            "kf1.d2c.9": socket.socket().detach(),
        }
        for name, descriptor in garbage.items():
            stored[name] = [descriptor]
        kept.start()
        for n in (9, 10, 11, 12):
            kept.wait_log(f"kept segments are given up channel={n}: .*kf{n}.d2c.1")
        stats = kfastctl.stat(kept.socket_dir)
        assert stats.value("kfast_kept_channels_total", result="given_up") >= 4
        kept.wait_log("kfastd was started with is closed.*name=nonsense")
        assert values_of(kafka, topic, 10) == numbers(10)
        assert names(kept) == of_channel(1, generation=10)
        assert len(worker.wait_reports(9)) == 9


def of_layout(d2c: int, major: int, minor: int) -> int:
    """A copy of a report segment as another version of kfastd would have written it."""
    data = bytearray(os.pread(d2c, os.fstat(d2c).st_size, 0))
    struct.pack_into("<HH", data, LAYOUT_AT, major, minor)
    copy = os.memfd_create("d2c", os.MFD_ALLOW_SEALING)
    os.write(copy, data)
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, D2C_SEALS)
    return copy


@pytest.mark.parametrize("layout", [(1, 1), (2, 0), (0, 9)], ids=["1.1", "2.0", "0.9"])
def test_segments_of_another_layout_are_left_for_the_version_that_kept_them(kafka, kept, layout):
    topic = kafka.topic("layout")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, topic, 9, first=1)
        worker.kill()
    stored = kept.notify.stored
    ours = stored["kf1.d2c.1"][0]
    stored["kf1.d2c.1"] = [of_layout(ours, *layout)]
    kept.start()
    version = f"{layout[0]}.{layout[1]}"
    kept.wait_log(f"it has layout {version}, and this kfastd reads 1.0; start .* channel=1")
    assert kfastctl.stat(kept.socket_dir).value("kfast_kept_channels_total", result="left") == 1
    assert names(kept) == of_channel(1)
    assert kafka.witness.count(topic) == 1
    # Downgraded and upgraded again: nothing is lost, nothing is twice.
    kept.terminate()
    assert kept.wait() == 0
    os.close(stored["kf1.d2c.1"][0])
    stored["kf1.d2c.1"] = [ours]
    kept.start()
    kept.wait_log("channel closed channel=1")
    assert values_of(kafka, topic, 10) == numbers(10)
    assert kafka.witness.count(topic) == 10


def test_a_store_that_keeps_nothing_changes_nothing(kafka, kfastd):
    topic = kafka.topic("keeps-nothing")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kfastd.kill()
        send_away(worker, kfastd, topic, 9, first=1)
        kfastd.start()
        assert len(worker.wait_reports(9)) == 9
    assert values_of(kafka, topic, 10) == numbers(10)
