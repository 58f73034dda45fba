"""Every program under examples/, as its user runs it, against kfastd and Kafka."""

import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from harness import paths
from harness.daemon import Kfastd, check_config, config_for
from harness.kfast import library_path
from harness.kfastctl import wait_stat
from harness.process import Process

EXAMPLES = paths.REPOSITORY / "examples"
PYTHON = EXAMPLES / "python/kfast_ctypes.py"

_covered = set()


def runs(*files):
    """The test runs these files of examples/."""
    _covered.update(files)
    return lambda test: test


def environment(kfastd) -> dict:
    return {
        **os.environ,
        "KFAST_SOCKET_DIR": str(kfastd.socket_dir),
        "KFAST_LIBRARY": str(library_path()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(kfastd, argv, stdin: bytes = b"", **more_environment):
    return subprocess.run(
        [str(part) for part in argv],
        env={**environment(kfastd), **more_environment},
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )


def run_example(kfastd, name, *arguments) -> list:
    """Runs a built example, which must succeed and complain of nothing; the lines it printed."""
    done = run(kfastd, [paths.built(f"examples/{name}"), *arguments])
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def places(kafka, topic) -> dict:
    """"partition P offset O", as the examples print it, of each value in Kafka."""
    return {
        record.value: f"partition {record.partition} offset {record.offset}"
        for record in kafka.witness.read(topic)
    }


def test_every_file_is_run_by_a_test():
    files = {
        str(file.relative_to(EXAMPLES))
        for file in EXAMPLES.rglob("*")
        if file.is_file() and file.name != "CMakeLists.txt" and "__pycache__" not in file.parts
    }
    assert files == _covered


# The smallest program


@pytest.fixture(scope="module")
def lines_topic(kafka):
    """The topic whose name stands in the examples."""
    kafka.create_topic("lines", partitions=4)
    return "lines"


@runs("first_record.c", "first_record.cpp")
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_first_record(kafka, kfastd, lines_topic, language):
    before = kafka.witness.count(lines_topic)
    printed = run_example(kfastd, f"first_record_{language}")
    records = kafka.witness.read(lines_topic)
    assert len(records) == before + 1
    last = max(records, key=lambda record: (record.timestamp, record.offset))
    assert (last.key, last.value) == (b"key", b"value")
    assert last.headers == ([("source", b"example")] if language == "cpp" else [])
    assert printed == [
        f"outcome 1 error NO_ERROR partition {last.partition} offset {last.offset}"
    ]


def test_the_readme_shows_the_first_record_as_it_is():
    readme = (paths.REPOSITORY / "README.md").read_text()
    assert f"```c\n{(EXAMPLES / 'first_record.c').read_text()}```" in readme


def test_the_python_lines_of_the_readme(kafka, kfastd, lines_topic):
    readme = (paths.REPOSITORY / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    code = f"import sys; sys.path.insert(0, {str(PYTHON.parent)!r})\n{code}"
    done = run(kfastd, [sys.executable, "-c", code])
    assert (done.returncode, done.stderr) == (0, b"")
    place = re.fullmatch(r"delivered: partition (\d+) offset (\d+)\n", done.stdout.decode())
    assert tuple(map(int, place.groups())) in [
        (record.partition, record.offset) for record in kafka.witness.read(lines_topic)
    ]


def test_the_configuration_of_the_readme_is_one():
    readme = (paths.REPOSITORY / "README.md").read_text()
    (config,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    checked = check_config(config)
    assert (checked.returncode, checked.stderr) == (0, "")


# One task each


@runs("batch.c")
def test_batch(kafka, kfastd):
    topic = kafka.topic("batch")
    assert run_example(kfastd, "batch", topic) == ["1000 accepted, 1000 delivered"]
    values = [record.value for record in kafka.witness.read(topic)]
    assert values == [b"measurement %d" % n for n in range(1000)]


@runs("in_place.c")
def test_in_place(kafka, kfastd):
    topic = kafka.topic("in-place")
    printed = run_example(kfastd, "in_place", topic)
    records = kafka.witness.read(topic)
    assert {record.key for record in records} == {b"sensor"}
    assert [json.loads(record.value) for record in records] == [
        {"reading": n, "volts": round(3.3 + n / 100, 2)} for n in range(3)
    ]
    sizes = [int(re.fullmatch(r"record \d+ has (\d+) bytes", line)[1]) for line in printed]
    assert sizes == [len(record.value) for record in records]


@runs("send_wait.c")
def test_send_wait(kafka, kfastd):
    topic = kafka.topic("send-wait", partitions=3)
    (printed,) = run_example(kfastd, "send_wait", topic, "a value")
    assert {b"a value": printed} == places(kafka, topic)


def test_send_wait_says_kafkas_error(kafka):
    properties = {"topic.metadata.propagation.max.ms": 500}
    with Kfastd(config_for(kafka.bootstrap, properties)) as daemon:
        done = run(daemon, [paths.built("examples/send_wait"), "there-is-none", "v"])
    assert (done.returncode, done.stdout) == (1, b"")
    assert re.fullmatch(rb"not in Kafka: (_UNKNOWN_TOPIC|UNKNOWN_TOPIC_OR_PART)\n", done.stderr)


@runs("headers.cpp")
def test_headers(kafka, kfastd):
    topic = kafka.topic("headers", partitions=2)
    printed = run_example(kfastd, "headers", topic)
    order, tombstone = kafka.witness.read(topic)
    assert (order.key, order.value, order.partition) == (b"order 17", b"two pears", 0)
    assert order.headers == [
        ("content-type", b"text/plain"),
        ("trace", b"4bf92f3577b34da6"),
        ("trace", None),
    ]
    assert order.timestamp == 1709164800000  # 2024-02-29
    assert (tombstone.key, tombstone.value, tombstone.headers) == (b"order 16", None, [])
    assert printed == [
        f"order: NO_ERROR partition 0 offset {order.offset}",
        f"tombstone: NO_ERROR partition 0 offset {tombstone.offset}",
    ]


@runs("threads.cpp")
def test_threads(kafka, kfastd):
    topic = kafka.topic("threads", partitions=3)
    names = ["red", "green", "blue"]
    assert run_example(kfastd, "threads", topic) == [f"{name}: 1000 delivered" for name in names]
    sent = collections.defaultdict(list)
    for record in kafka.witness.read(topic):
        sent[record.key.decode()].append(int(record.value))
    assert sent == {name: list(range(1000)) for name in names}


@runs("profiles.c")
def test_profiles(kafka):
    orders, clicks = kafka.topic("orders"), kafka.topic("clicks")
    cheap = {"acks": 1, "enable.idempotence": False}
    with Kfastd(config_for(kafka.bootstrap, profiles={"cheap": cheap})) as daemon:
        (printed,) = run_example(daemon, "profiles", orders, clicks)
    order, click = places(kafka, orders), places(kafka, clicks)
    assert order == {b"two pears": printed.replace("the order: NO_ERROR ", "")}
    assert list(click) == [b"a button"]


def test_a_profile_that_does_not_exist_is_named(kfastd):
    done = run(kfastd, [paths.built("examples/profiles")])
    assert done.returncode == 1
    assert b"profile cheap: " in done.stderr and done.stdout == b""


@runs("plugin.c")
def test_plugin(kafka, kfastd):
    topic = kafka.topic("plugin")
    (printed,) = run_example(kfastd, "plugin", topic, library_path())
    assert {b"loaded": printed.replace("outcome 1 ", "")} == places(kafka, topic)


def test_a_plugin_starts_without_the_library(kfastd):
    program = paths.built("examples/plugin")
    assert b"libkfast" not in subprocess.check_output(["ldd", program])
    done = run(kfastd, [program, "topic", "/nowhere/libkfast.so.0"])
    assert done.returncode == 1
    assert done.stderr.startswith(b"without Kafka: /nowhere/libkfast.so.0: cannot open")


# Event loops: a report comes while stdin is open and has nothing more

LOOPS = {
    "c": (lambda: [paths.built("examples/event_loop")], r"record \d+: delivered "),
    "python": (lambda: [sys.executable, PYTHON], r"delivered: "),
}


@contextlib.contextmanager
def running(argv, kfastd, **streams):
    process = Process(argv, stdout=subprocess.PIPE, env=environment(kfastd), **streams)
    try:
        yield process
    finally:
        process.kill()
        process.stdout.close()


@runs("event_loop.c", "python/kfast_ctypes.py")
@pytest.mark.parametrize("language", LOOPS)
def test_an_event_loop_reports_while_it_waits_for_lines(kafka, kfastd, language):
    topic = kafka.topic("event-loop")
    program, delivered = LOOPS[language]
    with running([*program(), topic], kfastd, stdin=subprocess.PIPE) as process:
        for n in range(3):
            process.stdin.write(b"line %d\n" % n)
            process.stdin.flush()
            assert process.wait_readable(process.stdout, 60)
            printed = process.stdout.readline().decode()
            assert re.fullmatch(f"{delivered}partition 0 offset {n}\n", printed)
        process.stdin.write(b"without an end")
        process.stdin.close()
        printed = process.stdout.read().decode()
        assert re.fullmatch(f"{delivered}partition 0 offset 3\n", printed)
        assert process.wait() == 0
    values = [record.value for record in kafka.witness.read(topic)]
    assert values == [b"line 0", b"line 1", b"line 2", b"without an end"]


@pytest.mark.parametrize("language", LOOPS)
def test_an_event_loop_waits_for_room(kafka, kfastd, tmp_path, language):
    topic, count = kafka.topic("many"), 40_000
    values = [b"%d" % n + b"." * 100 for n in range(count)]
    lines = tmp_path / "lines"
    lines.write_bytes(b"\n".join(values))
    program, delivered = LOOPS[language]
    kafka.pause(1)
    try:
        with open(lines, "rb") as stdin, running(
            [*program(), topic], kfastd, stdin=stdin
        ) as process:
            wait_stat(
                kfastd.socket_dir,
                lambda stats: stats.value("kfast_ring_used_bytes") > 4_190_000,
                "the default ring of 4 MiB is full",
            )
            kafka.resume(1)
            printed = process.stdout.read().decode().splitlines()
            assert process.wait() == 0
    finally:
        kafka.resume(1)
    assert len(printed) == count and all(re.match(delivered, line) for line in printed)
    assert [record.value for record in kafka.witness.read(topic)] == values


def test_python_says_how_to_find_the_library(kfastd):
    done = run(kfastd, [sys.executable, PYTHON, "topic"], KFAST_LIBRARY="/nowhere/libkfast.so.0")
    assert done.returncode == 1
    assert done.stderr.startswith(b"libkfast is not found (/nowhere/libkfast.so.0: ")
    assert b"KFAST_LIBRARY" in done.stderr and b"Traceback" not in done.stderr


def test_python_says_that_kfastd_is_not_there(kfastd):
    kfastd.terminate()
    kfastd.wait()
    done = run(kfastd, [sys.executable, PYTHON, "topic"])
    assert done.returncode == 1
    assert b"kfastd does not answer on" in done.stderr and b"Traceback" not in done.stderr


# HTTP servers


def request(url: str, method: str, body=None) -> tuple:
    asked = urllib.request.Request(url, method=method, data=body)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


@runs(
    "http_server/service.hpp",
    "http_server/http_server.cpp",
    "http_server/http_server_librdkafka.cpp",
)
@pytest.mark.parametrize("server", ["http_server", "http_server_librdkafka"])
def test_an_http_server_records_its_requests(kafka, kfastd, server):
    topic = kafka.topic("requests", partitions=3)
    argv = [paths.built(f"examples/{server}"), 0, topic]
    if server.endswith("librdkafka"):
        argv.append(kafka.bootstrap)
    expected = [
        ("PUT", "/items/pears", b"3", 204, b""),
        ("GET", "/items/pears", None, 200, b"3"),
        ("DELETE", "/items/pears", None, 204, b""),
        ("GET", "/items/pears", None, 404, b""),
        ("GET", "/%FF%22else", None, 404, b""),
    ]
    with running(argv, kfastd, stderr=subprocess.PIPE) as process:
        url = process.stdout.readline().decode().removeprefix("listening on ").strip()
        for method, path, body, status, content in expected:
            assert request(url + path, method, body) == (status, content)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        with process.stderr as stderr:
            assert stderr.read() == b""
    records = kafka.witness.read(topic)
    assert {record.key for record in records} == {b"127.0.0.1"}
    lines = [json.loads(record.value) for record in records]
    # Each came by a connection of its own, so they have no order. A path's bytes that are no UTF-8
    # do not break the JSON.
    assert sorted((line["method"], line["path"], line["status"]) for line in lines) == sorted(
        (method, path.replace("%FF%22", '\ufffd"'), status)
        for method, path, _, status, _ in expected
    )
    for line in lines:
        assert set(line) == {"method", "path", "status", "microseconds"}
        assert isinstance(line["microseconds"], int) and line["microseconds"] >= 0
