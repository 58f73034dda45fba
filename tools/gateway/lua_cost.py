"""What a call costs in Lua, once per request in the log phase (send_multi: once per hundred), and whether it is
compiled there and stays so."""

import re

from goals import Goal, median, print_table
from half_load import CONNECTIONS, half_load

CALLS = {"nothing": 0, "send": 1, "send_multi": 100}  # and how many records each sends


def _compiler(nginx):
    """What jit.v said of resty.kfast: traces, and what was given up where, each once."""
    lines = (nginx.folder / "jit.log").read_text(errors="replace").splitlines()
    ours = [line.strip() for line in lines if re.search(r"(kfast|channel|record|codes)\.lua:", line)]
    traces = [line for line in ours if "TRACE ---" not in line]
    return traces, sorted({line for line in ours if "TRACE ---" in line})


def _run(bench, nginx, rate):
    for call in CALLS:
        # The first 2000 sends are no samples; send_multi is called once in a hundred requests.
        seconds = max(bench.seconds, (30000 if call == "send_multi" else 8000) / rate)
        nginx.get("/settled")
        bench.load(nginx.port, f"/timed/{call}", CONNECTIONS, rate=rate, seconds=seconds).result()
    samples = nginx.get("/samples")
    if len(samples) < len(CALLS):
        raise bench.failure(f"too few calls were made: {samples}")
    return samples


def measure(bench):
    bench.kafka.create("timed")
    bench.kafka.create("multi")
    with bench.nginx() as nginx:
        rate = half_load(bench, nginx)
        runs = [_run(bench, nginx, rate) for _ in range(bench.rounds)]
        refused = nginx.get("/refused")["refused"]
        compiled = nginx.get("/compiled")
        bench.count("Lua", nginx, ["timed", "multi"])
        traces, aborts = _compiler(nginx)
    rows, cost = [], {}
    for call, records in CALLS.items():
        p50, p99, mean = (median([run[call] for run in runs], figure) for figure in ("p50", "p99", "mean"))
        clock = cost.setdefault("clock", p50)
        cost[call] = (p50 - clock) / max(1, records)
        name = {0: "the clock alone", 1: "send"}.get(records, f"send_multi of {records}")
        state = "" if records == 0 else "yes" if compiled[call] else "NO"
        rows.append([name, p50, p99, mean, cost[call] if records else "", state])
    print_table(
        f"Calls in the log phase, {rate} requests/s, records of 200 B, nanoseconds",
        ["", "p50", "p99", "mean", "a record, without the clock", "compiled"],
        rows,
    )
    print(f"\njit.v: {len(traces)} traces of resty.kfast; what the compiler began and gave up: {len(aborts)}")
    for line in aborts:
        print(f"  {line}")
    if refused:
        print(f"{refused} records found the ring full")
    goals = [
        Goal("a send, once per request", "at most", 300, cost["send"], " ns"),
        Goal("a send enters compiled code (1: yes)", "at least", 1, int(compiled["send"])),
        Goal("a record of send_multi of 100", "at most", 100, cost["send_multi"], " ns"),
    ]
    return {"runs": runs, "compiled": compiled, "traces": traces, "aborts": aborts}, goals
