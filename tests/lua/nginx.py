"""A real nginx with Lua as a test's child process."""

import http.client
import os
import re
import select
import signal
import subprocess
import time
from pathlib import Path

from harness import paths
from harness.kfast import library_path
from harness.ports import free_ports, release_ports
from harness.process import (
    Process,
    forget_log,
    remove_directory,
    show_on_failure,
    temporary_directory,
)

LUA = paths.REPOSITORY / "client/lua"
MODULES = ("ndk_http_module", "ngx_http_lua_module")
MODULE_DIRECTORIES = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules")

# The library's own errors of cosockets are wanted in the log; nothing else of ours may be there.
_MAIN = """\
{modules}
{user}
worker_processes {workers};
pid nginx.pid;
error_log error.log {level};
{main}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    lua_package_path "{lua_path};;";
{http}
    server {{
        listen 127.0.0.1:{port};
        location = / {{ return 204; }}
{server}
    }}
}}
"""


class Answer:
    """An HTTP answer."""

    def __init__(self, status: int, body: bytes, headers):
        self.status, self.body, self.headers = status, body, headers

    @property
    def text(self) -> str:
        return self.body.decode(errors="surrogateescape")

    def __repr__(self) -> str:
        return f"{self.status} {self.body!r}"


def load_modules() -> str:
    """The lines that load the modules which Debian's nginx has for Lua."""
    for directory in map(Path, MODULE_DIRECTORIES):
        if (directory / f"{MODULES[-1]}.so").exists():
            return "\n".join(f"load_module {directory}/{module}.so;" for module in MODULES)
    raise FileNotFoundError("nginx has no Lua module: run `tools/setup test`")


def user() -> str:
    """Workers are this test's user, whom the tests' kfastd.toml allows."""
    return "user root;" if os.getuid() == 0 else ""


class Nginx:
    """A running nginx, answering when the constructor returns.

    `server` and `http` go into these blocks, `main` before them; `conf` is a whole configuration
    instead, in which @PORT@, @MODULES@ and @USER@ are filled in. It finds libkfast of the build
    under test and resty.kfast of the repository. As a context manager it ends with `close`, which
    asserts that nothing unexpected stands in its error log.
    """

    def __init__(
        self,
        server: str = "",
        http_block: str = "",
        main: str = "",
        workers: int = 1,
        level: str = "info",
        conf: str = "",
        environment=None,
        lua_path: str = f"{LUA}/?.lua;{LUA}/examples/?.lua",
    ):
        self.directory = temporary_directory("nginx")
        (self.port,) = free_ports(1)
        self.log = self.directory / "error.log"
        self._conf = self.directory / "nginx.conf"
        self._environment = environment or {}
        self._allowed = []
        self._settings = dict(
            workers=workers, level=level, main=main, lua_path=lua_path
        )
        self.configure(server, http_block, conf)
        self.log.touch()
        show_on_failure(f"nginx {self.directory.name}", self.log, lines=60)
        self._process = None
        try:
            self._start()
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> "Nginx":
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def configure(self, server: str = "", http_block: str = "", conf: str = "") -> None:
        """Writes the configuration; the next `reload` reads it."""
        if conf:
            text = (
                conf.replace("@PORT@", str(self.port))
                .replace("@MODULES@", load_modules())
                .replace("@USER@", user())
            )
        else:
            text = _MAIN.format(
                modules=load_modules(),
                user=user(),
                port=self.port,
                server=server,
                http=http_block,
                **self._settings,
            )
        self._conf.write_text(text)

    def _start(self) -> None:
        # LD_LIBRARY_PATH is read by the loader when nginx starts, before nginx drops its environment.
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": str(library_path().parent),
            **self._environment,
        }
        command = ["nginx", "-p", self.directory, "-c", self._conf]
        with open(self.directory / "stderr", "ab") as stderr:
            self._process = Process(
                [*command, "-g", "daemon off;"], stderr=stderr, stdout=stderr, env=environment
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.get("/", timeout=10)
                return
            except OSError:
                if not self._process.running or time.monotonic() > deadline:
                    said = (self.directory / "stderr").read_text(errors="replace")
                    raise RuntimeError(f"nginx does not answer: {said}{self.log_text()}") from None
                self._process.wait_readable(None, 0.01)

    # Requests

    def connection(self, timeout: float = 60, port: int = 0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)

    def request(
        self, method: str, path: str, body=None, headers=None, timeout: float = 60, port: int = 0
    ) -> Answer:
        """`port`: of a server of the configuration's own."""
        connection = self.connection(timeout, port)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.headers)
        finally:
            connection.close()

    def get(self, path: str, **more) -> Answer:
        return self.request("GET", path, **more)

    def text(self, path: str, **more) -> str:
        """What a request for `path` prints; it must succeed."""
        answer = self.get(path, **more)
        assert answer.status == 200, f"{path}: {answer}\n{self.log_text()[-4000:]}"
        return answer.text

    # Processes

    @property
    def pid(self) -> int:
        return self._process.pid

    def workers(self) -> list:
        """The workers' pids, those that are shutting down, too."""
        found = []
        listing = subprocess.run(
            ["ps", "--ppid", str(self.pid), "-o", "pid=,args="],
            text=True,
            stdout=subprocess.PIPE,
            check=False,
        ).stdout
        for line in listing.splitlines():
            number, command = line.split(None, 1)
            if "worker process" in command:
                found.append(int(number))
        return found

    def reload(self, wait: bool = True, timeout: float = 60) -> None:
        """SIGHUP; with `wait`, returns when the former workers have ended."""
        before = [(pid, os.pidfd_open(pid)) for pid in self.workers()]
        mark = len(self.log_text())
        self._process.signal(signal.SIGHUP)
        try:
            self.wait_log("start worker process", since=mark, timeout=timeout)
            if wait:
                for pid, handle in before:
                    wait_end(handle, f"nginx's former worker {pid}", timeout)
        finally:
            for _, handle in before:
                os.close(handle)

    def kill_worker(self) -> None:
        """kill -9 of one worker; returns when nginx has another."""
        before = self.workers()
        mark = len(self.log_text())
        handle = os.pidfd_open(before[0])
        os.kill(before[0], signal.SIGKILL)
        wait_end(handle, "the worker", 60)
        os.close(handle)
        self.wait_log("start worker process", since=mark)

    def quit(self, timeout: float = 60) -> None:
        """SIGQUIT: it finishes what it serves; returns when it has ended."""
        self._process.signal(signal.SIGQUIT)
        status = self._process.wait(timeout)
        assert status == 0, f"nginx ended with {status}"

    def close(self) -> None:
        """Ends it gracefully, and asserts that its log has no errors but allowed ones."""
        try:
            if self._process.running:
                self.quit()
            self.check_log()
        finally:
            self.discard()

    def discard(self) -> None:
        if self._process is not None:
            self._process.kill()
        forget_log(f"nginx {self.directory.name}")
        remove_directory(self.directory)
        if self.port:
            release_ports([self.port])
            self.port = 0

    # Log

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def allow(self, regex: str) -> None:
        """Lines of the error log that match are expected."""
        self._allowed.append(re.compile(regex))

    def check_log(self) -> None:
        bad = [
            line
            for line in self.log_text().splitlines()
            if re.search(r"\[(warn|error|crit|alert|emerg)\]", line)
            and not any(allowed.search(line) for allowed in self._allowed)
        ]
        assert not bad, "nginx's error log has:\n" + "\n".join(bad[:20])

    def wait_log(self, regex: str, since: int = 0, timeout: float = 60) -> re.Match:
        """Waits for a match in the log behind `since` characters."""
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(regex, self.log_text()[since:])
            if match:
                return match
            assert time.monotonic() < deadline, f"no {regex!r} in:\n{self.log_text()[since:]}"
            self._process.wait_readable(None, 0.02)


def wait_end(pidfd: int, what: str, timeout: float) -> None:
    """Waits for a process that is no child of ours."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if not poller.poll(timeout * 1000):
        raise TimeoutError(f"{what} still runs after {timeout} s")


def wait_until(reached, what: str, timeout: float = 60) -> None:
    """Asks again and again, as one does who can only ask over HTTP."""
    deadline = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.01)
