"""kfastd as a test's child process, under what looks to it like systemd."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Optional, Union

from . import paths, toml
from .notify import NotifySocket
from .process import Process, forget_log, remove_directory, show_on_failure, temporary_directory

_SANITIZER = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|SUMMARY: \w+Sanitizer|runtime error:"
)

# Passes stored descriptors as 3, 4, … with LISTEN_PID, which nobody knows before the fork.
_WITH_DESCRIPTORS = """
import os, sys
given = [int(fd) for fd in sys.argv[1].split(",")]
beyond = 4 + len(given) + max(given)
held = [os.dup2(fd, beyond + i) for i, fd in enumerate(given)]
for i, fd in enumerate(held):
    os.dup2(fd, 3 + i, inheritable=True)
os.closerange(3 + len(held), beyond + len(held))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def config_for(
    bootstrap: str,
    properties: Optional[dict] = None,
    profiles: Optional[dict] = None,
    produce: tuple = ("*",),
    **daemon,
) -> dict:
    """A configuration with one cluster "main" and the profile "default" with `properties`, for this
    test's user.

    `profiles` are further profiles on the cluster, `daemon` goes into [daemon]. Change the dict as
    you like.
    """
    named = {"default": properties or {}, **(profiles or {})}
    return {
        "daemon": daemon,
        "clusters": {"main": {"bootstrap.servers": bootstrap}},
        "profiles": {name: {"cluster": "main", **values} for name, values in named.items()},
        "allow": [{"uid": os.getuid(), "produce": list(produce)}],
    }


def default_binary() -> Path:
    return paths.built("daemon/kfastd")


def check_config(config: Union[str, dict]) -> subprocess.CompletedProcess:
    """Runs `kfastd --check-config` on a configuration; stdout, stderr and returncode are in the
    result.
    """
    directory = temporary_directory("check")
    file = directory / "kfastd.toml"
    file.write_text(config if isinstance(config, str) else toml.dumps(config))
    try:
        return subprocess.run(
            [default_binary(), "--config", file, "--check-config"],
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        remove_directory(directory)


class Kfastd:
    """A running kfastd. Ready (READY=1 has come) when the constructor returns, unless
    `start=False`.

    `config` is a dict (socket_dir is filled in) or TOML text, in which `@SOCKET_DIR@` stands for
    the socket directory, or None, for `arguments=("--dev",)`. `environment` is added to this
    process's. With `fd_store` it gets the descriptors it stored back when it is started again, as
    under systemd. Where this user is not root, what /proc shows of kfastd's memory and descriptors
    is to be had only while it is `visible`. As a context manager it ends with `close`: SIGTERM, and an AssertionError unless
    it exits with 0 (or was killed on purpose) and no sanitizer has reported anything.
    """

    def __init__(
        self,
        config: Union[str, dict, None],
        socket_dir: Optional[Path] = None,
        binary: Optional[Path] = None,
        arguments: tuple = (),
        environment: Optional[dict] = None,
        fd_store: bool = False,
        start: bool = True,
        visible: bool = True,
    ):
        self._binary = Path(binary or default_binary())
        self.directory = temporary_directory("kfastd")
        self.socket_dir = Path(socket_dir or self.directory / "run")
        self.socket_dir.mkdir(parents=True, exist_ok=True)
        # Workers of other users have to get in, whatever this user's umask says.
        self.socket_dir.chmod(0o755)
        self.config_file = self.directory / "kfastd.toml"
        self.log_file = self.directory / "kfastd.log"
        self.notify = NotifySocket(self.directory / "notify", store=fd_store)
        self._arguments = list(arguments)
        if visible and os.getuid() != 0:
            self._arguments.append("--core-dumps")
        self._environment = environment or {}
        self._fd_store = fd_store
        self._process: Optional[Process] = None
        self._reader: Optional[threading.Thread] = None
        self._ended_by_us = True
        self._lines: list[str] = []
        self._log_open = False
        self._logged = threading.Condition()
        if config is not None:
            self.write_config(config)
        self.log_file.touch()
        show_on_failure(f"kfastd {self.directory.name}", self.log_file, lines=100)
        if start:
            try:
                self.start()
            except BaseException:
                self.discard()
                raise

    def __enter__(self) -> "Kfastd":
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def write_config(self, config: Union[str, dict]) -> None:
        """Replaces the configuration file; the next start reads it."""
        if isinstance(config, dict):
            config = {
                **config,
                "daemon": {"socket_dir": str(self.socket_dir), **config.get("daemon", {})},
            }
            text = toml.dumps(config)
        else:
            text = config.replace("@SOCKET_DIR@", str(self.socket_dir))
        self.config_file.write_text(text)

    # Running

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def returncode(self) -> Optional[int]:
        return self._process.returncode if self._process else None

    def start(self, wait_ready: bool = True, timeout: float = 60) -> None:
        """Starts it (again) on the same configuration and socket directory."""
        assert not self.running, "kfastd is running"
        self.notify.clear()
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.notify.path), **self._environment}
        if self.config_file.exists():
            argv = [self._binary, "--config", self.config_file, *self._arguments]
        else:
            argv = [self._binary, "--socket-dir", self.socket_dir, *self._arguments]
        descriptors: list[int] = []
        if self._fd_store:
            self.notify.settle()
            if self.notify.announced is not None:
                environment["FDSTORE"] = str(self.notify.announced)
            names = [name for name, held in self.notify.stored.items() for _ in held]
            descriptors = [fd for held in self.notify.stored.values() for fd in held]
            if descriptors:
                environment.update(LISTEN_FDS=str(len(descriptors)), LISTEN_FDNAMES=":".join(names))
                argv = [
                    sys.executable,
                    "-c",
                    _WITH_DESCRIPTORS,
                    ",".join(map(str, descriptors)),
                    *argv,
                ]
        self._join_reader()
        self._process = Process(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=descriptors,
        )
        self._ended_by_us = False
        self._log_open = True
        self._reader = threading.Thread(
            target=self._read_log, args=(self._process,), name="kfastd log", daemon=True
        )
        self._reader.start()
        if wait_ready:
            self.wait_ready(timeout)

    def wait_ready(self, timeout: float = 60) -> None:
        """Waits for READY=1; raises with the log when it does not come."""
        if not self.notify.wait("READY", "1", timeout, lambda: self._log_open):
            # The log's end comes a moment before the process's.
            state = (
                "is not ready"
                if self._log_open
                else f"ended with status {self.wait(10)} before it was ready"
            )
            raise RuntimeError(f"kfastd {state}:\n{self.log_text()}")

    def kill(self) -> None:
        """kill -9; returns when the process is gone."""
        self._ended_by_us = True
        self._process.kill()

    def terminate(self) -> None:
        """SIGTERM: it drains and exits; `wait` for it."""
        self._process.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Any other signal, as SIGSTOP, SIGCONT or SIGHUP."""
        self._process.signal(number)

    def pause(self) -> None:
        """SIGSTOP; returns when every thread has stopped."""
        self._process.pause()

    def wait(self, timeout: float = 60) -> int:
        """Waits for its end; the exit status, negative for a signal."""
        return self._process.wait(timeout)

    def restart(self, kill: bool = False, timeout: float = 60) -> None:
        """Ends it by SIGTERM (its exit status must be 0) or by kill -9, and starts it again."""
        if kill:
            self.kill()
        else:
            self.terminate()
            status = self.wait(timeout)
            assert status == 0, f"kfastd exited with {status}:\n{self.log_text()}"
        self.start()

    def close(self, timeout: float = 60) -> None:
        """Ends it and asserts that its end was clean."""
        if self._process is None:
            self.discard()
            return
        status = None
        try:
            if self.running:
                self.terminate()
            status = self.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        ended_by_us = self._ended_by_us
        self.discard()
        text = self.log_text()
        report = _SANITIZER.search(text)
        assert (
            report is None
        ), f"a sanitizer reported in kfastd:\n{text[max(0, report.start() - 200):][:8000]}"
        assert status is not None, f"kfastd still ran {timeout} s after SIGTERM:\n{text[-8000:]}"
        assert status == 0 or ended_by_us, f"kfastd exited with {status}:\n{text[-8000:]}"

    def discard(self) -> None:
        """Ends it by kill -9 and checks nothing."""
        if self._process is not None:
            self._process.kill()
        self._join_reader()
        self.notify.close()
        forget_log(f"kfastd {self.directory.name}")
        remove_directory(self.directory)

    # Log

    def _read_log(self, process: Process) -> None:
        with process.stdout as stream, open(self.log_file, "ab", buffering=0) as file:
            for line in stream:
                file.write(line)
                with self._logged:
                    self._lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._logged.notify_all()
        with self._logged:
            self._log_open = False
            self._logged.notify_all()
        self.notify.wake()

    def _join_reader(self) -> None:
        if self._reader is not None:
            self._reader.join()
            self._reader = None

    def mark(self) -> int:
        """The log's length in lines now, for `wait_log(…, since=mark)` and `log_lines`."""
        with self._logged:
            return len(self._lines)

    def log_lines(self, since: int = 0) -> list:
        with self._logged:
            return self._lines[since:]

    def log_text(self) -> str:
        return "\n".join(self.log_lines())

    def wait_log(self, regex: str, timeout: float = 30, since: int = 0) -> re.Match:
        """Waits for a log line (of any run, from line `since` on) that matches; the match."""
        pattern, at = re.compile(regex), since
        deadline = time.monotonic() + timeout
        with self._logged:
            while True:
                for line in self._lines[at:]:
                    match = pattern.search(line)
                    if match:
                        return match
                at = max(at, len(self._lines))
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._log_open:
                    why = "in time" if self._log_open else "before kfastd ended"
                    raise AssertionError(
                        f"no log line matched {regex!r} {why}:\n" + "\n".join(self._lines[since:])
                    )
                self._logged.wait(remaining)
