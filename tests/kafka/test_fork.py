"""Workers that fork: what the child inherits is its parent's, and each has its own."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from harness import kfastctl, paths
from harness.process import Process

FORKS = textwrap.dedent("""
    import os, sys
    from harness import kfast
    producer = kfast.Producer(sys.argv[1])
    topic = producer.topic(sys.argv[2])
    producer.send(topic, None, b"before")
    child = os.fork()
    if child == 0:
        for call in (
            lambda: producer.send(topic, None, b"child"),
            lambda: producer.send_record(topic, value=b"child", headers=[("h", b"v")]),
            lambda: producer.topic("another"),
            lambda: producer.flush(0),
            lambda: producer.reports(),
            lambda: producer.fd(),
        ):
            try:
                call()
                os._exit(1)
            except kfast.KfastError as error:
                if error.code != kfast.FORKED or "open a producer in the child" not in error.message:
                    os._exit(2)
        producer.close()
        with kfast.Producer(sys.argv[1]) as own:
            own.send(sys.argv[2], None, b"own")
            own.flush()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    producer.send(topic, None, b"after")
    reports = producer.wait_reports(2)
    assert [report.outcome for report in reports] == [kfast.DELIVERED] * 2
    sys.exit(status)
    """)

LEAVES_A_CHILD = textwrap.dedent("""
    import os, signal, sys
    from harness import kfast
    producer = kfast.Producer(sys.argv[1])
    for n in range(100):
        producer.send(sys.argv[2], None, b"%d" % n)
    if os.fork() == 0:
        print("forked", flush=True)
        signal.pause()
    signal.pause()
    """)

CLOSES_WHILE_A_CHILD_LIVES = textwrap.dedent("""
    import os, signal, sys
    from harness import kfast
    producer = kfast.Producer(sys.argv[1])
    for n in range(100):
        producer.send(sys.argv[2], None, b"%d" % n)
    if os.fork() == 0:
        signal.pause()
    producer.close()
    print("closed", flush=True)
    signal.pause()
    """)

# As a server does that is told to run in the background: the process that was started ends with 0.
BECOMES_A_DAEMON = textwrap.dedent("""
    import os, signal, sys
    from harness import kfast
    producer = kfast.Producer(sys.argv[1])
    for n in range(300):
        producer.send(sys.argv[2], b"starter", b"%d" % n)
    if os.fork() != 0:
        sys.exit(0)
    os.setsid()
    if os.fork() != 0:
        sys.exit(0)
    signal.alarm(120)
    try:
        producer.send(sys.argv[2], b"daemon", b"on the inherited handle")
    except kfast.KfastError as error:
        assert error.code == kfast.FORKED
        producer.close()
        with kfast.Producer(sys.argv[1]) as own:
            for n in range(300):
                own.send(sys.argv[2], b"daemon", b"%d" % n)
            own.flush()
        print("sent", flush=True)
    """)

# As servers do that fork first: each worker opens its own.
MASTER_OF_WORKERS = textwrap.dedent("""
    import os, signal, sys
    from harness import kfast

    def kfasts_memory():
        for name in os.listdir("/proc/self/fd"):
            try:
                if "memfd:kfast" in os.readlink("/proc/self/fd/" + name):
                    yield os.stat("/proc/self/fd/" + name).st_ino
            except FileNotFoundError:
                pass

    def work(number, tell, go_on):
        with kfast.Producer(sys.argv[1]) as own:
            for n in range(200):
                if n == 100:
                    own.flush()
                    os.write(tell, b" ".join(b"%d" % i for i in set(kfasts_memory())) + b"\\n")
                    os.read(go_on, 1)
                own.send(sys.argv[2], b"w%d" % number, b"%d" % n)
            own.flush()

    heard, tell = os.pipe()
    go_on, say = os.pipe()
    workers = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            signal.alarm(120)
            work(number, tell, go_on)
            os._exit(0)
        workers.append(pid)
    os.close(tell)
    lines = os.fdopen(heard)
    segments = [set(map(int, lines.readline().split())) for _ in workers]
    assert all(len(each) == 2 for each in segments), segments
    assert len(set.union(*segments)) == 4 * 2, segments
    assert not set(kfasts_memory())
    os.kill(workers[0], signal.SIGKILL)
    os.waitpid(workers[0], 0)
    os.write(say, b"...")
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in workers[1:])
    work(4, os.open("/dev/null", os.O_WRONLY), os.open("/dev/null", os.O_RDONLY))
    """)


def script(text, *arguments):
    return Process(
        [sys.executable, "-c", text, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )


def test_a_forked_child_is_told_and_the_parent_goes_on(kafka, kfastd):
    topic = kafka.topic("fork")
    process = script(FORKS, kfastd.socket_dir, topic)
    assert process.wait() == 0
    values = [record.value for record in kafka.witness.read(topic)]
    assert sorted(values) == [b"after", b"before", b"own"]


def test_a_child_that_holds_the_socket_does_not_keep_a_dead_workers_session(kafka, kfastd):
    topic = kafka.topic("heir")
    process = script(LEAVES_A_CHILD, kfastd.socket_dir, topic)
    try:
        assert process.stdout.readline() == b"forked\n"
        os.kill(process.pid, signal.SIGKILL)
        kfastd.wait_log("channel closed")
        assert kfastctl.stat(kfastd.socket_dir).value("kfast_sessions") == 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert kafka.witness.count(topic) == 100


def test_a_child_that_holds_the_socket_does_not_keep_a_session_that_was_closed(kafka, kfastd):
    topic = kafka.topic("closes-first")
    process = script(CLOSES_WHILE_A_CHILD_LIVES, kfastd.socket_dir, topic)
    try:
        assert process.stdout.readline() == b"closed\n"
        kfastctl.wait_stat(
            kfastd.socket_dir, lambda stats: stats.value("kfast_sessions") == 0, "sessions"
        )
        assert process.running
    finally:
        process.kill()
    kfastd.wait_log("channel closed")
    assert kafka.witness.count(topic) == 100


def test_a_worker_that_becomes_a_daemon_opens_anew_and_nothing_is_lost(kafka, kfastd):
    topic = kafka.topic("daemon")
    process = script(BECOMES_A_DAEMON, kfastd.socket_dir, topic)
    # To the end: until the grandchild has ended, too.
    assert process.stdout.read() == b"sent\n"
    assert process.wait() == 0
    records = kafka.witness.read(topic, count=600)
    for key in (b"starter", b"daemon"):
        assert [r.value for r in records if r.key == key] == [b"%d" % n for n in range(300)]
    kfastctl.wait_stat(
        kfastd.socket_dir, lambda stats: stats.value("kfast_sessions") == 0, "sessions"
    )


def test_workers_that_open_after_their_fork_share_nothing(kafka, kfastd):
    topic = kafka.topic("master")
    process = script(MASTER_OF_WORKERS, kfastd.socket_dir, topic)
    assert process.wait() == 0
    records = kafka.witness.read(topic)
    for number, count in enumerate([100, 200, 200, 200, 200]):
        values = [r.value for r in records if r.key == b"w%d" % number]
        assert values == [b"%d" % n for n in range(count)]


@pytest.mark.parametrize("restarts", [0, 2], ids=["", "kfastd-killed"])
def test_forks_while_another_thread_sends_disturb_nobody(kafka, kfastd, restarts):
    topic, forks = kafka.topic("storm"), 300
    process = Process(
        [paths.built("tests/kafka/fork_storm"), kfastd.socket_dir, topic, forks],
        stdout=subprocess.PIPE,
    )
    again = 0
    for restart in range(restarts):
        while process.stdout.readline() != b"forks %d\n" % (100 * (restart + 1)):
            assert process.running
        kfastd.kill()
        again += resubmitted(kfastd, topic) + 1
        kfastd.start()
    output = process.stdout.read()
    assert process.wait() == 0
    _, sent, _, children = output.splitlines()[-1].split()
    kfastctl.wait_stat(
        kfastd.socket_dir, lambda stats: stats.value("kfast_sessions") == 0, "sessions"
    )
    producers = kafka.witness.digest(topic).producers
    parent, own = producers[b"parent"], producers[b"child"]
    assert parent.distinct == int(sent) > forks and parent.missing == parent.out_of_order == 0
    assert own.distinct == int(children) > forks / 2
    assert parent.duplicates + own.duplicates <= again + resubmitted(kfastd, topic)
    if not restarts:
        # Nobody took the parent's connection from it.
        resumed = kfastctl.stat(kfastd.socket_dir).value("kfast_channels_resumed_total")
        assert resumed == 0


def resubmitted(kfastd, topic) -> int:
    """What this kfastd, or the one before it, counted: its file is there until the next start."""
    stats = kfastctl.stat(kfastd.socket_dir)
    return stats.value("kfast_resubmitted_messages_total", topic=topic)
