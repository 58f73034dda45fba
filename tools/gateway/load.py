"""Requests: as fast as they go (wrk, http-load) or at a constant rate (http-load)."""

import json
import re
import subprocess

from processes import Failure


def full(port, path, connections, seconds):
    """wrk: how many requests nginx answers when it is given all that it takes. Requests, and requests/s."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", f"http://127.0.0.1:{port}{path}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    requests = re.search(r"(\d+) requests in", said.stdout)
    rate = re.search(r"Requests/sec: +([\d.]+)", said.stdout)
    if said.returncode != 0 or not requests or not rate or re.search("Non-2xx|Socket errors", said.stdout):
        raise Failure(f"wrk on {path}: {said.stdout}{said.stderr}")
    return {"requests": int(requests.group(1)), "requests_per_second": float(rate.group(1))}


def _may_preempt():
    return subprocess.run([*PREEMPT, "true"], capture_output=True, check=False).returncode == 0


# Clients on other machines are not held up by Kafka, so where the load shares its processors, it goes first.
PREEMPT = ["chrt", "-f", "1"]
PREEMPTS = _may_preempt()


class Load:
    """A running http-load; `result` waits for its end."""

    def __init__(self, program, port, path, seconds, connections, rate=0, body_bytes=None):
        first = PREEMPT if PREEMPTS and rate else []
        self._command = [
            *first, str(program), "--port", str(port), "--path", path, "--seconds", str(seconds),
            "--connections", str(connections), "--rate", str(rate),
        ]  # fmt: skip
        if body_bytes is not None:
            self._command += ["--post", "--body-bytes", str(body_bytes)]
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def runs(self):
        return self._process.poll() is None

    def result(self):
        out, wrong = self._process.communicate()
        if self._process.returncode != 0:
            raise Failure(f"{' '.join(self._command)}: {wrong}")
        result = json.loads(out)
        if result["refused"]:
            raise Failure(f"{' '.join(self._command)}: {result['refused']} answers like {result['refused_status']}")
        return result
