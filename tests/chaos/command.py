"""tools/chaos: random kills for as long as one likes, with a table of the oracle's verdicts."""

import argparse
import functools
import itertools
import operator
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.kafka_cluster import KafkaCluster  # noqa: E402
from harness.witness import Witness  # noqa: E402

from oracle import table  # noqa: E402
from random_kills import BrokerKiller, Round  # noqa: E402

# Kills of a round. Then everything is read back and judged; the next one has a topic of its own.
WORKER_KILLS, DAEMON_KILLS = 50, 15


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/chaos",
        description="Kills workers, kfastd and brokers -9 under load, and has the oracle judge.",
    )
    parser.add_argument("--minutes", type=float, default=5, help="how long to kill (5)")
    parser.add_argument("--seed", type=int, help="repeats a schedule (default: a new one)")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="brokers (1)")
    parser.add_argument(
        "--broker-kill-every",
        type=float,
        metavar="SECONDS",
        help="kill one of three brokers -9 so often (default: never)",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="segments are kept over kfastd's death, as by systemd: then nothing may be lost",
    )
    arguments = parser.parse_args()
    if arguments.broker_kill_every and arguments.nodes != 3:
        parser.error("--broker-kill-every needs --nodes 3: one broker leaves none to go on with")
    return arguments


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = _arguments()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    verdicts: list = []
    witness = Witness()
    try:
        with KafkaCluster(witness, nodes=arguments.nodes) as kafka:
            brokers = None
            if arguments.broker_kill_every:
                brokers = BrokerKiller(kafka, arguments.broker_kill_every, random.Random(seed))
            deadline = time.monotonic() + 60 * arguments.minutes
            for number in itertools.count(1):
                if time.monotonic() > deadline:
                    break
                verdict = Round(
                    kafka,
                    f"seed {seed}, round {number}",
                    f"{seed}.{number}",
                    WORKER_KILLS,
                    DAEMON_KILLS,
                    brokers,
                    deadline,
                    verdicts,
                    arguments.keep,
                ).run()
                print(table([verdict]).splitlines()[1], flush=True)
                for sentence in verdict.violations:
                    print(f"  VIOLATION: {sentence}", flush=True)
    except KeyboardInterrupt:
        print("interrupted: the round that ran was not judged", flush=True)
    finally:
        witness.close()
    if not verdicts:
        return 1
    total = functools.reduce(operator.add, verdicts)
    total.scenario = "all"
    print("\n" + table([*verdicts, total]))
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
