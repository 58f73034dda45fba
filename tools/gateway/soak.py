"""Memory, descriptors and timers before and after a long run in which kfastd is restarted now and then."""

import signal
import time
from collections import Counter

from goals import Goal, print_table
from half_load import CONNECTIONS, half_load
from processes import descriptors, resident_bytes

STRETCH_SECONDS = 60
BODY_BYTES = 200


def _facts(bench, nginx):
    worker = nginx.get("/worker")
    return {
        "nginx's worker, resident MiB": resident_bytes(nginx.worker) / 2**20,
        "its memory in Lua, MiB": worker["lua_bytes"] / 2**20,
        "its descriptors": len(descriptors(nginx.worker)),
        "its timers": worker["timers"],
        "kfastd, resident MiB": resident_bytes(bench.kfastd.pid) / 2**20,
        "its descriptors (kfastd)": len(descriptors(bench.kfastd.pid)),
    }


def _descriptors(bench, nginx):
    return {"nginx's worker": descriptors(nginx.worker), "kfastd": descriptors(bench.kfastd.pid)}


def _print_more(before, after):
    """Names the descriptors that are there now and were not before, of each process."""
    for process, kinds in after.items():
        more = Counter(kinds) - Counter(before[process])
        if more:
            print(f"{process} has besides: " + ", ".join(f"{count} {kind}" for kind, count in more.items()))


def _stretch(bench, nginx, rate, seconds):
    """Records in the log phase, and answers that wait; then everything is at rest again."""
    logs = bench.load(nginx.port, "/soak", CONNECTIONS, rate=rate, seconds=seconds)
    waits = bench.load(nginx.port, "/topics/wait?wait=1", 32, rate=500, seconds=seconds, body_bytes=BODY_BYTES)
    logs.result()
    waits.result()
    nginx.get("/settled")


def measure(bench):
    bench.kafka.create("soak")
    bench.kafka.create("wait")
    with bench.nginx(waits="default") as nginx:
        rate = half_load(bench, nginx) // 2
        seconds = min(STRETCH_SECONDS, bench.soak_minutes * 60 / 3)
        _stretch(bench, nginx, rate, seconds)  # rings are touched, traces made
        bench.kfastd.end(signal.SIGTERM)
        bench.kfastd.start()
        _stretch(bench, nginx, rate, seconds)
        before, open_before = _facts(bench, nginx), _descriptors(bench, nginx)
        end = time.monotonic() + bench.soak_minutes * 60
        restarts = 0
        while time.monotonic() < end:
            bench.kfastd.end(signal.SIGTERM)
            bench.kfastd.start()
            restarts += 1
            _stretch(bench, nginx, rate, seconds)
        after, open_after = _facts(bench, nginx), _descriptors(bench, nginx)
        bench.count("soak", nginx, ["soak", "wait"])
    rows = [[name, before[name], after[name], after[name] - before[name]] for name in before]
    print_table(
        f"{bench.soak_minutes:g} minutes, {rate} records/s, {restarts} restarts of kfastd",
        ["", "before", "after", "more"],
        rows,
    )
    _print_more(open_before, open_after)
    goals = []
    for name in before:
        if "MiB" in name:
            goals.append(Goal(f"{name}, of before", "at most", 1.05, after[name] / before[name], "x"))
        else:
            goals.append(Goal(f"{name}, more than before", "at most", 0, after[name] - before[name]))
    return {"rate": rate, "restarts": restarts, "before": before, "after": after}, goals
