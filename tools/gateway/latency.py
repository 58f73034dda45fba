"""Latency at half load, a constant rate: with a record in the log phase, and without; brokers up, and gone."""

from goals import Goal, median, print_table
from half_load import CONNECTIONS, half_load

FIGURES = ("p50_us", "p99_us")


def _turns(bench, nginx, rate, paths):
    """Each path in turn, so that what the machine does meanwhile is shared out."""
    runs = {row: [] for row in paths}
    for turn in range(bench.rounds):
        order = list(paths.items())
        for row, path in order if turn % 2 == 0 else reversed(order):
            runs[row].append(bench.logging_load(nginx, path, CONNECTIONS, rate))
    return runs


def _fill(bench, nginx, rate):
    """Sends until the ring is full."""
    for _ in range(60):
        if bench.logging_load(nginx, "/outage", CONNECTIONS, rate, seconds=1)["ring_full"] > rate / 2:
            return
    raise bench.failure("the ring does not get full though the brokers are gone")


def measure(bench):
    bench.kafka.create("latency")
    bench.kafka.create("outage")
    with bench.nginx() as nginx:
        rate = half_load(bench, nginx)
        for path in ("/", "/latency", "/outage"):
            bench.load(nginx.port, path, CONNECTIONS, rate=rate, seconds=1).result()
        nginx.get("/settled")
        up = _turns(bench, nginx, rate, {"plain": "/", "empty": "/empty", "send": "/latency"})
        bench.kafka.stop()
        try:
            _fill(bench, nginx, rate)
            gone = _turns(bench, nginx, rate, {"plain": "/", "send": "/outage"})
        finally:
            bench.kafka.resume()
        bench.count("latency", nginx, ["latency", "outage"])
    rows, goals = [], []
    for state, runs in (("brokers up", up), ("brokers gone, ring full", gone)):
        plain = {figure: median(runs["plain"], figure) for figure in FIGURES}
        for row, its in runs.items():
            p50, p99 = (median(its, figure) for figure in FIGURES)
            ratios = [p50 / plain["p50_us"], p99 / plain["p99_us"]]
            longest = max(run["max_us"] for run in its)
            full = sum(run["ring_full"] for run in its) / sum(run["requests"] for run in its)
            rows.append([f"{state}: {row}", p50, ratios[0], p99, ratios[1], longest, f"{full:.0%}"])
        for at, name in ((0, "p50"), (1, "p99")):
            what = f"{name} at half load, {state}, of plain nginx's"
            goals.append(Goal(what, "at most", 1.05, ratios[at], "x", "P6"))
    print_table(
        f"Half load, {rate} requests/s",
        ["", "p50 us", "ratio", "p99 us", "ratio", "longest us", "ring full"],
        rows,
    )
    if any(run["ring_full"] for run in up["send"]):
        print("\nThe ring was full with the brokers up: Kafka does not get enough of the processors; lower --rate")
    return {"rate": rate, "up": up, "gone": gone}, goals
