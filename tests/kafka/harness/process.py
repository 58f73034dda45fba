"""Child processes that never outlive the tests, and logs that show up when a test fails."""

import atexit
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from . import other_user

_live: set["Process"] = set()
_logs: dict[str, tuple[Path, int]] = {}


def temporary_directory(name: str) -> Path:
    """A new directory with a path short enough for Unix sockets, removed when the tests end.

    KFAST_TEST_LOGS names a directory in which such directories are made and kept instead.
    """
    keep = os.environ.get("KFAST_TEST_LOGS")
    if keep:
        Path(keep).mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f"kfast-{name}-", dir=keep))
    # Workers of other users have to reach the sockets in it.
    directory.chmod(0o755)
    if not keep:
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def remove_directory(directory: Path) -> None:
    if not os.environ.get("KFAST_TEST_LOGS"):
        shutil.rmtree(directory, ignore_errors=True)


def show_on_failure(name: str, log: Path, lines: int = 15) -> None:
    """The last `lines` of `log` are printed under `name` when a test fails, until `forget_log`."""
    _logs[name] = (log, lines)


def forget_log(name: str) -> None:
    _logs.pop(name, None)


def log_tails() -> list[tuple[str, str]]:
    """(name, last lines) of every log that is shown on failure."""
    return [(name, tail(path, lines)) for name, (path, lines) in _logs.items()]


def tail(path: Path, lines: int = 40) -> str:
    try:
        # Brokers log requests whole.
        return "\n".join(
            line[:300] for line in path.read_text(errors="replace").splitlines()[-lines:]
        )
    except OSError as error:
        return f"({error})"


class Process:
    """A child in a process group of its own that dies with this process, however this one ends.

    `stdin`, `stdout`, `stderr` and `env` are subprocess.Popen's. Start it from the main thread: the
    kernel's parent-death signal follows the thread. `uid` runs it as that user and group, without
    other groups or `pass_fds`, in "/" and with nothing but `env`; through sudo where this user is
    not root. Then `pid` is sudo's, and the process has to end by itself when its stdin does.
    `within` is a command that runs the process elsewhere, as `unshare` does; `pid` is that one's.
    """

    def __init__(
        self,
        argv,
        *,
        stdin=subprocess.DEVNULL,
        stdout=None,
        stderr=None,
        env=None,
        cwd=None,
        uid=None,
        pass_fds=(),
        within=(),
    ):
        assert (
            threading.current_thread() is threading.main_thread()
        ), "start processes from the main thread"
        self.argv = [str(part) for part in argv]
        self._uid = uid
        if uid is None:
            command = ["setpriv", "--pdeathsig", "KILL", "--", *within, *self.argv]
        else:
            command = [*within, *other_user.command(uid, self.argv, env)]
            env, cwd = None, "/"
        self._popen = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self.stdin, self.stdout, self.stderr = (
            self._popen.stdin,
            self._popen.stdout,
            self._popen.stderr,
        )
        self._pidfd = os.pidfd_open(self.pid)
        self._reaping = threading.Lock()
        _live.add(self)

    @property
    def running(self) -> bool:
        return self.returncode is None

    @property
    def returncode(self):
        """The exit status; negative for the signal that killed it; None while it runs."""
        with self._reaping:
            if self._popen.returncode is None and os.waitid(
                os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
            ):
                # What it left behind in its group goes with it; until it is reaped its number is
                # nobody else's.
                self._signal_group(signal.SIGKILL)
                self._popen.wait()
                os.close(self._pidfd)
                self._pidfd = -1
                _live.discard(self)
            return self._popen.returncode

    def pause(self) -> None:
        """SIGSTOP; returns when every thread of the process has stopped."""
        assert self._uid is None, "sudo's child cannot be waited for"
        self.signal(signal.SIGSTOP)
        # The signal reaches one thread, which tells the others; until then these go on.
        os.waitid(os.P_PIDFD, self._pidfd, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def signal(self, number: int) -> None:
        """Sends a signal to the process itself, if it still runs."""
        if self.running:
            if self._uid is None:
                os.kill(self.pid, number)
            else:
                other_user.send_signal(self.pid, number)

    def _signal_group(self, number: int) -> None:
        if self._uid is not None:
            other_user.send_signal(self.pid, number)
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """kill -9 for the whole group; returns when the process is gone."""
        self.start_kill()
        self.wait()

    def start_kill(self) -> None:
        """kill -9 for the whole group; does not wait."""
        if self.running:
            self._signal_group(signal.SIGKILL)

    def wait(self, timeout: float = 60) -> int:
        """The exit status; raises subprocess.TimeoutExpired when it is still running after
        `timeout` seconds.
        """
        if self.running:
            self.wait_readable(None, timeout)
            if self.running:
                raise subprocess.TimeoutExpired(self.argv, timeout)
        return self._popen.returncode

    def wait_readable(self, fileobj, timeout: float) -> bool:
        """Waits for `fileobj` to be readable or for the process to end; True when readable."""
        with selectors.DefaultSelector() as selector:
            if self._pidfd >= 0:
                selector.register(self._pidfd, selectors.EVENT_READ)
            if fileobj is not None:
                selector.register(fileobj, selectors.EVENT_READ)
            ready = selector.select(timeout)
        return any(key.fileobj is fileobj for key, _ in ready)


def live_processes() -> list[Process]:
    return [process for process in _live if process.running]


@atexit.register
def _end_all() -> None:
    for process in list(_live):
        try:
            process.kill()
        except (OSError, subprocess.SubprocessError):
            pass
