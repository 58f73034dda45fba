#!/usr/bin/env python3
"""tools/bench-nginx's measurements, once everything is built and Kafka runs. One nginx worker is alone on the last
processor; Kafka, kfastd and the load share the others. Each measurement prints its table; goals stand at the end."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import configuration
import latency
import log_phase
import lua_cost
import soak
import stalls
import waiting
from goals import print_goals
from kafka import Kafka
from load import PREEMPTS, Load
from processes import Failure, Kfastd, Nginx, Proxy, free_port

ROOT = Path(__file__).resolve().parents[2]
MEASUREMENTS = {
    "log": log_phase.measure,
    "latency": latency.measure,
    "waiting": waiting.measure,
    "lua": lua_cost.measure,
    "stalls": stalls.measure,
}


class Bench:
    """What the measurements share: their processes, and the check that all records are in Kafka."""

    failure = Failure

    def __init__(self, options, folder):
        self._folder, self._brokers = Path(folder), options.brokers
        self.rounds, self.seconds, self.rate = options.rounds, options.seconds, options.rate
        self.linger_ms, self.soak_minutes = options.linger_ms, options.soak
        last = os.cpu_count() - 1
        self.gateway_processors, self.other_processors = {last}, set(range(last))
        build = Path(options.build)
        self._libraries = build / "client"
        self._programs = SimpleNamespace(
            kfastd=build / "daemon/kfastd",
            kfastctl=build / "tools/kfastctl/kfastctl",
            kafka_proxy=build / "tools/benchmark/kafka-proxy",
            http_load=build / "tools/benchmark/http-load",
        )
        self.kafka = Kafka(options.brokers, options.kafka_pid)
        self.kfastd = Kfastd(
            self._programs, self._folder / "kfast", options.brokers, self.linger_ms, self.other_processors
        )
        self._already = {}

    def load(self, port, path, connections, rate=0, seconds=None, body_bytes=None):
        seconds = seconds or self.seconds
        return Load(self._programs.http_load, port, path, seconds, connections, rate, body_bytes)

    def logging_load(self, nginx, path, connections, rate, seconds=None):
        """A run whose requests have a record each, or none; its result also says how many found the ring full."""
        before = nginx.get("/refused")["refused"]
        result = self.load(nginx.port, path, connections, rate=rate, seconds=seconds).result()
        result["ring_full"] = nginx.get("/refused")["refused"] - before
        return result

    @contextlib.contextmanager
    def _running(self, make):
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        process = make(folder)
        try:
            yield process
        finally:
            process.end()

    @contextlib.contextmanager
    def _nginx(self, configured):
        port = free_port()
        with self._running(
            lambda at: Nginx(at, port, configured(at, port), self._libraries, self.gateway_processors)
        ) as nginx:
            yield nginx
            for line in nginx.errors():
                print(f"nginx: {line}", file=sys.stderr)

    def nginx(self, **options):
        last = max(self.gateway_processors)
        return self._nginx(lambda at, port: configuration.with_kfast(ROOT, at, port, last, **options))

    def bare_nginx(self):
        return self._nginx(lambda _, port: configuration.without_kfast(ROOT, port, max(self.gateway_processors)))

    def proxy(self, processors, linger_ms):
        return self._running(lambda at: Proxy(self._programs, at, self._brokers, linger_ms, processors))

    def count(self, name, nginx, topics, killed=False):
        """Every record that nginx was told is accepted, since the last count, is in Kafka: once; after kills, at least
        once."""
        said = nginx.get("/settled")
        if "why" in said or said["failed"] or said["unknown"]:
            raise Failure(f"{name}: not all records are delivered: {said}")
        accepted, nginx.counted = said["sent"] - nginx.counted, said["sent"]
        self.count_exactly(name, accepted, topics, killed)

    def count_exactly(self, name, accepted, topics, killed=False):
        present = 0
        for topic in topics:
            whole = self.kafka.count(topic)
            present += whole - self._already.get(topic, 0)
            self._already[topic] = whole
        print(f"\n{name}: {accepted} records accepted, {present} in Kafka")
        if present < accepted or (present > accepted and not killed):
            raise Failure(f"{name}: Kafka holds {present} records of {accepted}")

    def end(self):
        self.kfastd.end()


def versions(build):
    def said(*command):
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return (ran.stdout + ran.stderr).strip().splitlines()[0]

    def package(name):
        return said("dpkg-query", "-W", "-f", "${Version}", name)

    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    return {
        "kfast": said(str(build / "daemon/kfastd"), "--version").removeprefix("kfastd "),
        "nginx": said("nginx", "-v").removeprefix("nginx version: "),
        "lua-nginx-module": package("libnginx-mod-http-lua"),
        "Kafka": os.environ.get("KFAST_KAFKA_VERSION", "unknown"),
        "kernel": platform.release(),
        "processors": f"{os.cpu_count()} of {model}",
    }


def arguments():
    parser = argparse.ArgumentParser(prog="tools/bench-nginx", add_help=False)
    parser.add_argument("--build", required=True)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--kafka-pid", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--linger-ms", type=int, default=5)
    parser.add_argument("--soak", type=float, nargs="?", const=30, default=0)
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1 or options.soak < 0 or options.rate < 0:
        parser.error("--rounds and --seconds are at least 1, --soak and --rate at least 0")
    chosen = {name: call for name, call in MEASUREMENTS.items() if options.only in name}
    if options.soak:
        chosen = {"soak": soak.measure}
    if not chosen:
        parser.error(f"--only is one of {', '.join(MEASUREMENTS)}")
    return options, chosen


def main():
    options, chosen = arguments()
    facts = versions(Path(options.build))
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    if not PREEMPTS:
        print("this user may not give the load real-time priority: latencies contain its own delays")
    print(f"medians of {options.rounds} rounds of {options.seconds} s, row by row in turn", flush=True)
    folder = tempfile.mkdtemp(prefix="kfast-bench-nginx.")
    results, goals = {}, []
    bench = Bench(options, folder)
    try:
        for name, measure in chosen.items():
            results[name], its_goals = measure(bench)
            goals += its_goals
            sys.stdout.flush()
    finally:
        bench.kafka.resume()
        bench.end()
        shutil.rmtree(folder, ignore_errors=True)
    print_goals(goals)
    if options.json:
        whole = {"versions": facts, "results": results, "goals": [goal.json() for goal in goals]}
        Path(options.json).write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"bench-nginx: error: {failure}")
