"""A password is in no log, in nothing that /proc shows, and in no core dump."""

import os
import resource
import signal
from pathlib import Path

import pytest

from harness import kfastctl
from harness.daemon import Kfastd
from harness.kfast import DELIVERED
from harness.process import Process
from harness.worker import Worker

VARIABLE = "KFAST_TEST_PASSWORD"


def from_file(secure, password_file):
    return {"file": str(password_file)}, {}


def from_environment(secure, password_file):
    return {"env": VARIABLE}, {VARIABLE: secure.password}


def shown_of(pid: int) -> str:
    return "".join(
        Path(f"/proc/{pid}/{name}").read_text(errors="replace") for name in ("cmdline", "environ")
    )


@pytest.mark.parametrize("arguments", [(), ("--keeper",)], ids=["alone", "keeper"])
@pytest.mark.parametrize("source", [from_file, from_environment])
def test_a_password_that_was_used_is_in_no_log_and_not_in_proc(
    secure, password_file, source, arguments
):
    config = secure.config(password_file, {"debug": "all"})
    where, environment = source(secure, password_file)
    config["clusters"]["main"]["sasl.password"] = where
    config["daemon"]["log_level"] = "trace"
    with Kfastd(config, environment=environment, arguments=arguments) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            assert worker.send_wait(secure.allowed, None, b"v").outcome == DELIVERED
        for pid in (kfastd.pid, int((kfastd.socket_dir / "kfastd.lock").read_text())):
            shown = shown_of(pid)
            assert "kfastd" in shown
            assert secure.password not in shown
        kfastd.write_config("nonsense = 1")
        assert kfastctl.run(kfastd.socket_dir, "reload").returncode == 1
        kfastd.write_config(config)
        assert kfastctl.run(kfastd.socket_dir, "reload").returncode == 0
        for output in ("text", "json"):
            shown = kfastctl.run(kfastd.socket_dir, "stat", "-a", "-o", output).stdout.decode()
            assert "kfast_" in shown
            assert secure.password not in shown
        assert "librdkafka profile=default" in kfastd.log_text()
        assert secure.password not in kfastd.log_text()


def dies_with_a_core(pid: int) -> bool:
    os.kill(pid, signal.SIGABRT)
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_DUMPED


def test_no_core_is_dumped_of_what_has_passwords_in_its_memory(
    secure, password_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    with Kfastd(secure.config(password_file), visible=False) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            assert worker.send_wait(secure.allowed, None, b"v").outcome == DELIVERED
            resource.prlimit(kfastd.pid, resource.RLIMIT_CORE, (most, most))
            other = Process(["sleep", "infinity"])
            resource.prlimit(other.pid, resource.RLIMIT_CORE, (most, most))
            # Another process's is, by the same kernel and in the same folder.
            assert dies_with_a_core(other.pid), "this machine dumps no core at all: see ulimit -c"
            assert not dies_with_a_core(kfastd.pid)
            kfastd.kill()
