"""How long nginx's event loop stands still while kfastd and the brokers come and go, with kfast and without.

A light thread in the worker sleeps a millisecond again and again, and notes how much later it goes on. The machine
itself makes such delays, so everything is done to an nginx without kfast, too.
"""

import signal
import time

from goals import Goal, print_table
from half_load import CONNECTIONS, half_load


def _nothing(bench):
    del bench


def _restart(bench):
    bench.kfastd.end(signal.SIGTERM)
    bench.kfastd.start()


def _kill(bench):
    bench.kfastd.end(signal.SIGKILL)
    bench.kfastd.start()


def _stop_brokers(bench):
    bench.kafka.stop()


def _resume_brokers(bench):
    bench.kafka.resume()


# With the default ring of 4 MiB it is full after 18,000 records.
EVENTS = {
    "all is well": _nothing,
    "kfastd is restarted": _restart,
    "kfastd is killed": _kill,
    "brokers gone, the ring gets full": _stop_brokers,
    "the ring is full": _nothing,
    "brokers back": _resume_brokers,
}


def _watched(bench, nginx, path, rate, event):
    load = bench.load(nginx.port, path, CONNECTIONS, rate=rate, seconds=max(bench.seconds, 2))
    time.sleep(0.3)
    nginx.get("/loop")
    event(bench)
    load.result()
    return nginx.get("/loop")


def _round(bench, nginx, path, rate, found):
    try:
        for event, call in EVENTS.items():
            found[event].append(_watched(bench, nginx, path, rate, call))
    finally:
        bench.kafka.resume()


def measure(bench):
    bench.kafka.create("stalls")
    found = {way: {event: [] for event in EVENTS} for way in ("without", "with")}
    with bench.nginx() as nginx:
        rate = half_load(bench, nginx)
    for _ in range(bench.rounds):
        with bench.bare_nginx() as nginx:
            _round(bench, nginx, "/", rate, found["without"])
        with bench.nginx(watch_loop=True) as nginx:
            _round(bench, nginx, "/stalls", rate, found["with"])
            bench.count("stalls", nginx, ["stalls"], killed=True)
    rows = []
    for event in EVENTS:
        row = [event]
        for way in ("without", "with"):
            runs = found[way][event]
            row += [max(run["longest"] for run in runs), sum(run["long"] for run in runs)]
        rows.append(row)
    print_table(
        f"The event loop's longest delay, ms, and how many were above 2 ms; {rate} requests/s, {bench.rounds} rounds",
        ["", "without kfast", "above 2", "with kfast", "above 2"],
        rows,
    )
    goals = [
        Goal(f"event loop, {row[0]}: longest delay beyond nginx without", "at most", 2, row[3] - row[1], " ms")
        for row in rows
    ]
    return {"rate": rate, **found}, goals
