"""Where a server that Orket starts listens."""

from __future__ import annotations

import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
KEEPER = Path(__file__).with_name("keeper.py")


def find_free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    """Whether something listens there: it would be measured in a server's place."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0
