"""The constant rate of the measurements that do not give nginx all that it takes."""

from load import full

CONNECTIONS = 64
TOPIC = "trial"
WARM_SECONDS = 3
MOST_TRIALS = 8


def half_load(bench, nginx):
    """Half of what the worker answers when it is given all that it takes. Less where Kafka, which shares its processors
    with the load, does not keep up with a record for each request: then records would find the ring full, and cost
    something else. --rate sets another one, whatever comes of it."""
    if bench.rate:
        return bench.rate
    full(nginx.port, "/", 32, 1)
    rate = half = round(full(nginx.port, "/", 32, bench.seconds)["requests_per_second"] / 2)
    bench.kafka.create(TOPIC)
    bench.logging_load(nginx, f"/{TOPIC}", CONNECTIONS, rate // 4, WARM_SECONDS)  # Kafka compiles itself meanwhile
    # Longer than a run: a ring that fills slowly is full at its end only.
    trial_seconds = 2 * bench.seconds
    for _ in range(MOST_TRIALS):
        nginx.get("/settled")
        if bench.logging_load(nginx, f"/{TOPIC}", CONNECTIONS, rate, trial_seconds)["ring_full"] == 0:
            break
        rate = rate * 3 // 4
    bench.count("half load", nginx, [TOPIC])
    if rate < half:
        print(f"half load: {half} requests/s, lowered to {rate}, which Kafka keeps up with")
    bench.rate = rate
    return rate
