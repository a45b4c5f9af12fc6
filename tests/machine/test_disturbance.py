"""Real disturbances of a real sweep; the long version is benchmarks/disturbance.py."""

from __future__ import annotations

import sys

import pytest

from benchmarks.disturbed_sweep import run_disturbed
from benchmarks.injectors import (
    CpuBurner,
    MemoryThief,
    SecondClient,
    SteppedClock,
    StoppedServer,
)
from tests.live import demo_gguf

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="disturbs processes as Linux can"
    ),
]

FOREIGN = {
    "CLOCK_INCONSISTENT",
    "CPU_STEAL",
    "HIGH_FOREIGN_CPU",
    "HIGH_ORCHESTRATION_OVERHEAD",
    "SERVER_STALLED",
}
"""Where the tests share a machine these are true of it, disturbance or not."""


ATTEMPTS = 3
"""On a starved machine the injector too waits for its turn, and disturbs late."""


@pytest.mark.parametrize(
    "kind", [CpuBurner, StoppedServer, MemoryThief, SecondClient, SteppedClock]
)
def test_a_disturbance_is_caught_with_its_own_code(tmp_path, kind):
    shares = []
    for attempt in range(ATTEMPTS):
        caught, disturbed = disturb(tmp_path / str(attempt), kind())
        if caught * 2 > disturbed > 0:
            return
        shares.append(f"{caught} of {disturbed}")
    pytest.fail(f"{kind.__name__} was caught in {', '.join(shares)} disturbed runs")


def disturb(folder, injector):
    """Disturbed runs that have the injector's own code, and all disturbed ones."""
    folder.mkdir()
    try:
        # On from the first moments to the end.
        judged = run_disturbed(folder, demo_gguf("F16"), injector, 15, 2, 0.1, 60.0)
    except PermissionError as error:
        pytest.skip(f"this user may not disturb the server so: {error}")
    disturbed = [
        run
        for run in judged.runs
        if run.share_in(judged.disturbed, injector.judged_by) > 0.5
    ]
    caught = [run for run in disturbed if run.reasons & injector.expected]
    return len(caught), len(disturbed)


def test_an_undisturbed_sweep_stays_clean_of_what_nobody_did(tmp_path):
    judged = run_disturbed(tmp_path, demo_gguf("F16"), None, 25, 2)
    assert len(judged.runs) == 50
    assert set().union(*(run.reasons for run in judged.runs)) <= FOREIGN
