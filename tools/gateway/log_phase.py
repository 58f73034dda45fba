"""A record in the log phase: nginx's CPU per request and requests/s, when its worker is given all that it takes."""

import statistics

from configuration import BIG_LOG
from goals import Goal, median, print_table
from load import full
from processes import cpu_seconds

# plain: nginx without Lua. empty: a log phase that does nothing. send: one record of 200 bytes. json: kfast_log.lua.
ROWS = {"plain": "/", "empty": "/empty", "send": "/send", "json": "/json"}
CONNECTIONS = 32
# From here on nginx's worker is what limits requests/s, and not what makes the load.
FULL = 0.95


def _run(bench, nginx, path):
    before = cpu_seconds(nginx.worker)
    run = full(nginx.port, path, CONNECTIONS, bench.seconds)
    run["cpu_us"] = (cpu_seconds(nginx.worker) - before) * 1e6 / run["requests"]
    run["busy"] = run["requests_per_second"] * run["cpu_us"] / 1e6
    return run


def _beyond(runs, row, base):
    """What a request of that row costs more, in us: of each turn by itself, since what the machine gives changes from
    turn to turn."""
    return statistics.median(its["cpu_us"] - other["cpu_us"] for its, other in zip(runs[row], runs[base]))


def _plain_cpu_of(runs, row):
    """How much of a request's CPU in that row plain nginx needs: of each turn by itself, too."""
    return statistics.median(plain["cpu_us"] / its["cpu_us"] for plain, its in zip(runs["plain"], runs[row]))


def measure(bench):
    for topic in ("send", "json"):
        bench.kafka.create(topic)
    runs = {row: [] for row in ROWS}
    with bench.nginx(log=BIG_LOG, json=True) as nginx:
        for turn in range(bench.rounds + 1):
            for row, path in ROWS.items():
                nginx.get("/settled")  # the former row's records, which would fill the ring
                run = _run(bench, nginx, path)
                if turn > 0:  # the first one warms up
                    runs[row].append(run)
        refused = nginx.get("/refused")["refused"]
        bench.count("log phase", nginx, ["send", "json"])
    plain_rate = median(runs["plain"], "requests_per_second")
    rows = []
    for row in ROWS:
        rate, cpu, busy = (median(runs[row], figure) for figure in ("requests_per_second", "cpu_us", "busy"))
        ratio = rate / plain_rate
        rows.append([row, rate, ratio, f"{busy:.0%}", cpu, _beyond(runs, row, "plain"), _beyond(runs, row, "empty")])
    print_table(
        f"Log phase, {CONNECTIONS} connections, as fast as they go",
        ["", "requests/s", "ratio", "nginx busy", "its CPU us/request", "more than plain", "more than empty"],
        rows,
    )
    if refused:
        print(f"\n{refused} requests of the row send found the ring full")
    send = rows[list(ROWS).index("send")]
    goals = [
        Goal("CPU of a request with one record, beyond plain nginx", "at most", 0.5, send[5], " us", "P6"),
        Goal("CPU of one record, beyond an empty log_by_lua_block", "at most", 0.5, send[6], " us", "P6"),
        _throughput(runs, send[2], _plain_cpu_of(runs, "send")),
    ]
    return {"runs": runs, "refused": refused}, goals


def _throughput(runs, measured, by_cpu):
    """Where the load could not fill nginx's worker, as it shares its processors with Kafka, requests/s say nothing of
    nginx: what the worker can answer follows from its CPU per request."""
    if min(median(runs[row], "busy") for row in ("plain", "send")) >= FULL:
        return Goal("requests/s with one record each, of plain nginx's", "at least", 0.96, measured, "x", "P6")
    return Goal("requests/s that the worker's CPU allows, of plain nginx's", "at least", 0.96, by_cpu, "x", "P6")
