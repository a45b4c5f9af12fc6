"""Options of the suite."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

# A busy machine draws and runs examples slowly; that says nothing about the code.
settings.register_profile(
    "orket", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("orket")

# What a script starts in the background inherits a SIGINT that is ignored, and would
# hand it on to the programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` writes the golden files anew instead of comparing."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files anew; review the diff",
    )
