"""Answers that wait for the delivery report: resty.kfast beside a synchronous HTTP proxy to Kafka.

kfast: nginx and kfastd. nginx + proxy: the same gateway, which passes the request on; the proxy is where kfastd is, and
what the goals are about. proxy: without a gateway, on nginx's processor: no like for like, but the least it costs.

The goals are for linger.ms=0, as one sets it where each request waits for its record; what another value makes of all
three is measured beside it.
"""

from goals import Goal, median, print_table
from processes import cpu_seconds

CONNECTIONS = (32, 256)
BODY_BYTES = 200


def _run(bench, port, path, connections, pids):
    before = sum(map(cpu_seconds, pids))
    run = bench.load(port, path, connections, body_bytes=BODY_BYTES).result()
    run["cpu_us"] = (sum(map(cpu_seconds, pids)) - before) * 1e6 / run["requests"]
    return run


def _runs(bench, profile, linger_ms):
    """All runs by way and number of connections."""
    runs, answered = {}, 0
    # The second proxy is where kfastd is; the first one in nginx's place.
    with (
        bench.proxy(bench.gateway_processors, linger_ms) as alone,
        bench.proxy(bench.other_processors, linger_ms) as behind,
        bench.nginx(waits=profile, proxy_port=behind.port) as nginx,
    ):
        ways = {
            "kfast": (nginx.port, "/topics/wait?wait=1", [nginx.worker, bench.kfastd.pid]),
            "proxy": (alone.port, "/topics/proxied", [alone.pid]),
            "nginx + proxy": (nginx.port, "/proxy/topics/proxied", [nginx.worker, behind.pid]),
        }
        for turn in range(bench.rounds + 1):
            for connections in CONNECTIONS:
                for way, (port, path, pids) in ways.items():
                    run = _run(bench, port, path, connections, pids)
                    answered += run["requests"] if way != "kfast" else 0
                    if turn > 0:
                        runs.setdefault((way, connections), []).append(run)
        bench.count(f"waiting, linger.ms={linger_ms}", nginx, ["wait"])
    bench.count_exactly(f"waiting, linger.ms={linger_ms}, proxied", answered, ["proxied"])
    return runs


def _medians(runs):
    names = ("requests_per_second", "cpu_us", "p50_us", "p99_us")
    return {of: [median(its, name) for name in names] for of, its in runs.items()}


def _print(linger_ms, figures):
    print_table(
        f"Answered after the delivery report, {BODY_BYTES} bytes, linger.ms={linger_ms} on all sides",
        ["", "requests/s", "CPU us/request, all processes", "p50 us", "p99 us"],
        [[f"{way}, {connections} connections", *its] for (way, connections), its in figures.items()],
    )


def measure(bench):
    bench.kafka.create("wait")
    bench.kafka.create("proxied")
    goals, found = [], {}
    for linger_ms in dict.fromkeys((0, bench.linger_ms)):
        profile = "default" if linger_ms else "at_once"
        runs = _runs(bench, profile, linger_ms)
        figures = _medians(runs)
        _print(linger_ms, figures)
        found |= {f"{way}, {connections}, linger.ms={linger_ms}": its for (way, connections), its in runs.items()}
        if linger_ms == 0:
            goals = [goal for connections in CONNECTIONS for goal in _goals(figures, connections)]
    return found, goals


def _goals(figures, connections):
    kfast, proxy = figures["kfast", connections], figures["nginx + proxy", connections]
    of = f"with {connections} connections, of nginx + proxy's"
    return [
        Goal(f"requests/s {of}", "at least", 4, kfast[0] / proxy[0], "x"),
        Goal(f"CPU per request {of}", "at most", 0.2, kfast[1] / proxy[1], "x"),
        Goal(f"p99 {of}", "at most", 1, kfast[3] / proxy[3], "x"),
    ]
