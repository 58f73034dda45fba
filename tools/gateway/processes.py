"""The processes of a measurement: each on its processors, and what the kernel says of them."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 60


class Failure(Exception):
    """A measurement that cannot go on; the text says why."""


def cpu_seconds(pid):
    """CPU time of all threads of a process, living or ended, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Failure(f"/proc/{pid}/status has no VmRSS")


def descriptors(pid):
    """What its descriptors are, such as "socket" or a path."""
    kinds = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue  # closed meanwhile
        kinds.append(target.split(":[")[0])
    return sorted(kinds)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path, timeout=150):
    """The JSON that a GET is answered with, or None for an empty answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status > 299:
        raise Failure(f"GET {path} was answered with {answer.status}")
    return json.loads(body) if body else None


def answers(port, path):
    """Whether a server is there."""
    try:
        get(port, path, timeout=5)
        return True
    except OSError:
        return False


class Child:
    """A process that ends with this one. `processors`: a set of their numbers."""

    def __init__(self, name, command, folder, processors, environment=None, death="TERM"):
        self.name = name
        self.log = Path(folder) / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", death, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, processors),
            )
        self.pid = self.process.pid

    def fail(self, what):
        print(self.log.read_text()[-3000:])
        raise Failure(f"{self.name} {what}; the lines above are its log")

    def wait_until(self, is_ready):
        end = time.monotonic() + START_SECONDS
        while not is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.fail("does not become ready")
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure(f"{self.name} did not end in {STOP_SECONDS} s") from None


class Kfastd:
    """A kfastd of one's own, which can be killed and come back."""

    def __init__(self, programs, folder, brokers, linger_ms, processors):
        self._programs, self._folder, self._processors = programs, Path(folder), processors
        self._folder.mkdir(mode=0o700)
        self.configuration = self._folder / "kfastd.toml"
        self.configuration.write_text(
            f'[clusters.main]\n"bootstrap.servers" = "{brokers}"\n'
            f'[profiles.default]\ncluster = "main"\n"linger.ms" = {linger_ms}\n'
            '[profiles.at_once]\ncluster = "main"\n"linger.ms" = 0\n'
            f'[[allow]]\nuser = "{_user()}"\nproduce = ["*"]\n'
        )
        os.environ["KFAST_SOCKET_DIR"] = str(self._folder)
        self._child = None
        self.start()

    @property
    def pid(self):
        return self._child.pid

    def start(self):
        command = [self._programs.kfastd, "--socket-dir", self._folder, "--config", self.configuration]
        self._child = Child("kfastd", command, self._folder, self._processors)
        health = [self._programs.kfastctl, "health", "--wait", "10"]
        if subprocess.run(health, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self._child.fail("does not become ready")

    def end(self, number=signal.SIGTERM):
        if self._child:
            self._child.end(number)
            self._child = None


def _user():
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


class Nginx:
    """One worker, alone on its processor."""

    def __init__(self, folder, port, configuration, libraries, processors):
        self.folder, self.port = Path(folder), port
        self.counted = 0  # accepted records that were found in Kafka
        (self.folder / "nginx.conf").write_text(configuration)
        command = ["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log"]
        environment = {"LD_LIBRARY_PATH": str(libraries)}
        self._child = Child("nginx", command, self.folder, processors, environment, death="QUIT")
        self._child.wait_until(lambda: answers(port, "/worker"))
        self.worker = self._worker()

    def _worker(self):
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()
        if len(children) != 1:
            self._child.fail(f"has {len(children)} workers")
        return int(children[0])

    def get(self, path):
        return get(self.port, path)

    def errors(self):
        """Lines of its log that nobody expects."""
        log = (self.folder / "error.log").read_text(errors="replace")
        return [line for line in log.splitlines() if re.search(r"\[(error|alert|crit|emerg)\]", line)]

    def end(self):
        self._child.end(signal.SIGQUIT)


class Proxy:
    """kafka-proxy, which produces in its own process."""

    def __init__(self, programs, folder, brokers, linger_ms, processors):
        self.port = free_port()
        command = [programs.kafka_proxy, "--port", self.port, "--brokers", brokers, "--linger-ms", linger_ms]
        self._child = Child("kafka-proxy", command, folder, processors)
        self._child.wait_until(lambda: answers(self.port, "/ready"))
        self.pid = self._child.pid

    def end(self):
        self._child.end(signal.SIGTERM)
