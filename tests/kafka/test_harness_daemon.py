"""The harness around kfastd and libkfast, against a stand-in daemon that does what a test tells it
to.
"""

import os
import re
import signal
import sys
import tomllib

import pytest

from harness import kfast, paths, toml
from harness.daemon import Kfastd, config_for

STAND_IN = """#!{python}
import array, os, signal, socket, sys, tomllib
config = tomllib.load(open(sys.argv[2], "rb"))
behaviour = config["test"]["behaviour"]
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.connect(os.environ["NOTIFY_SOCKET"])
def notify(text, *descriptors):
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    manager.sendmsg([text.encode()], [rights] if descriptors else [])
def say(text):
    print(text, file=sys.stderr, flush=True)
def drain(*_):
    say("draining")
    sys.exit(7 if behaviour == "unclean" else 0)
signal.signal(signal.SIGTERM, drain)
if behaviour == "fails":
    say("cannot read the configuration")
    sys.exit(3)
say("sockets in " + config["daemon"]["socket_dir"])
for i, name in enumerate(os.environ.get("LISTEN_FDNAMES", "").split(":")):
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        say(f"given {{name}}: {{os.pread(3 + i, 100, 0).decode()}}")
if behaviour == "stores":
    memory = os.memfd_create("stored")
    os.write(memory, b"kept")
    notify("FDSTORE=1\\nFDNAME=ring", memory)
    ours, theirs = os.pipe()
    notify("BARRIER=1", theirs)
    os.close(theirs)
    os.read(ours, 1)
    say("stored")
if behaviour == "sanitizer":
    say("==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1")
signal.signal(signal.SIGUSR1, lambda *_: os.abort())
notify("READY=1\\nSTATUS=up")
while True:
    signal.pause()
"""


@pytest.fixture
def stand_in(tmp_path):
    file = tmp_path / "stand-in"
    file.write_text(STAND_IN.format(python=sys.executable))
    file.chmod(0o755)
    return lambda behaviour, **more: Kfastd({"test": {"behaviour": behaviour}}, binary=file, **more)


def test_ready_log_and_a_clean_end(stand_in):
    with stand_in("runs") as daemon:
        assert daemon.running and daemon.notify.state["STATUS"] == "up"
        assert daemon.wait_log(r"sockets in (.*)")[1] == str(daemon.socket_dir)
        daemon.terminate()
        daemon.wait_log("draining")
        assert daemon.wait() == 0
    assert not daemon.running
    assert os.environ.get("KFAST_TEST_LOGS") or not daemon.directory.exists()


def test_a_daemon_that_ends_before_it_is_ready_shows_its_log(stand_in):
    with pytest.raises(RuntimeError, match="ended with status 3 before it was ready:\ncannot read"):
        stand_in("fails")


def test_waiting_for_a_line_ends_with_the_daemon(stand_in):
    with stand_in("runs") as daemon:
        daemon.kill()
        with pytest.raises(AssertionError, match="before kfastd ended"):
            daemon.wait_log("never written")


def test_waiting_for_a_line_has_an_end(stand_in):
    with stand_in("runs") as daemon:
        with pytest.raises(AssertionError, match="in time"):
            daemon.wait_log("never written", timeout=0.1)


@pytest.mark.parametrize(
    "behaviour, complaint",
    [
        ("unclean", "exited with 7"),
        ("crashes", f"exited with {-signal.SIGABRT}"),
        ("sanitizer", "a sanitizer reported"),
    ],
)
def test_an_end_that_is_not_clean_fails_the_test(stand_in, behaviour, complaint):
    daemon = stand_in(behaviour)
    if behaviour == "crashes":
        os.kill(daemon.pid, signal.SIGUSR1)
        daemon.wait()
    with pytest.raises(AssertionError, match=complaint):
        daemon.close()


def test_a_killed_daemon_starts_again_and_its_log_goes_on(stand_in):
    with stand_in("runs") as daemon:
        first, mark = daemon.pid, daemon.mark()
        daemon.restart(kill=True)
        assert daemon.pid != first
        daemon.wait_log("sockets in", since=mark)
        daemon.restart()
        assert sum("draining" in line for line in daemon.log_lines()) == 1
        daemon.kill()


def test_stored_descriptors_come_back_after_a_restart(stand_in):
    with stand_in("stores", fd_store=True) as daemon:
        daemon.wait_log("^stored$")
        daemon.restart(kill=True)
        daemon.wait_log("given ring: kept")
        daemon.kill()
        daemon.notify.drop_store()
        mark = daemon.mark()
        daemon.start()
        assert not any("given" in line for line in daemon.log_lines(mark))


def test_without_a_store_descriptors_are_dropped(stand_in):
    with stand_in("stores") as daemon:
        daemon.wait_log("^stored$")
        assert not daemon.notify.stored


def test_configurations_are_written_as_toml():
    config = config_for(
        "h:1",
        {"linger.ms": 5, "sasl.password": {"file": "/x"}},
        {"fast": {"acks": "all"}},
        log_level="debug",
    )
    config["limits"] = {"default": {"sessions": 3}}
    config["odd"] = {"text": 'a "quoted" \\ line\n\x7f größe', "yes": True, "list": ["a", 1, 2.5]}
    assert tomllib.loads(toml.dumps(config)) == config


def test_the_binding_is_the_headers():
    header = (paths.REPOSITORY / "include/kfast/kfast.h").read_text()
    declared = re.findall(r"KFAST_API [^;(]*?\b(kfast_\w+)\(", header)
    assert declared and sorted(declared) == sorted(kfast._FUNCTIONS)
    errors = {name: int(value) for name, value in re.findall(r"KFAST_ERR_(\w+) = (-\d+)", header)}
    assert errors and errors == {name: getattr(kfast, name) for name in errors}
    outcomes = {
        name: int(value)
        for name, value in re.findall(r"KFAST_(DELIVERED|FAILED|UNKNOWN) = (\d+)", header)
    }
    assert len(outcomes) == 3 and outcomes == {name: getattr(kfast, name) for name in outcomes}
