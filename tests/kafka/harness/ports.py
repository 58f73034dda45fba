"""TCP ports for servers that tests start."""

import os
import random
import socket

# Below the kernel's ephemeral range: above it an outgoing connection may hold the port.
_FIRST, _LAST = 20000, 32000

# An abstract socket per port keeps test runs in parallel apart; the kernel drops it with the
# process.
_reservations: dict[int, socket.socket] = {}


def _reserve(port: int) -> bool:
    marker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        marker.bind(f"\0kfast-test-port-{port}")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        marker.close()
        return False
    _reservations[port] = marker
    return True


def free_ports(count: int) -> list[int]:
    """`count` loopback ports that nobody listens on, ours until `release_ports`."""
    start = random.Random(os.urandom(8)).randrange(_FIRST, _LAST)
    candidates = [*range(start, _LAST), *range(_FIRST, start)]
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if _reserve(port):
            found.append(port)
    if len(found) < count:
        release_ports(found)
        raise OSError(f"only {len(found)} of {count} ports are free between {_FIRST} and {_LAST}")
    return found


def release_ports(ports: list[int]) -> None:
    for port in ports:
        _reservations.pop(port).close()
