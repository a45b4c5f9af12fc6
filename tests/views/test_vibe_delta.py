"""Deltas of adherence come from exact means: nothing is rounded beforehand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.built_sweep import Sweep
from tests.together import together

KIB = 1024
GIB = 1 << 30
PLENTY = 2_000_000_000


def compared(scores, saved_bytes=KIB):
    """The comparison of Q4_K_M: `scores` are (reference, own) as passed of tried."""
    tasks = tuple(f"t{n:02}" for n in range(len(scores)))
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=tasks)
    for quant, memory in (("F16", PLENTY), ("Q4_K_M", PLENTY - saved_bytes)):
        for task, score in zip(tasks, scores, strict=True):
            passed, total = score[quant != "F16"]
            sweep.add(
                quant, task, passed=passed, total=total, peak_server_rss_bytes=memory
            )
    session = yield sweep.finish()
    (row,) = session.rows(
        "SELECT * FROM v1.quant_comparison WHERE quant_tag = 'Q4_K_M'"
    )
    return row


def exact(scores, saved_bytes=KIB):
    """(delta in 1e-9, vibe delta in 1e-6), each rounded once, half away from zero."""
    delta = sum(Fraction(*own) - Fraction(*other) for other, own in scores)
    mean = Fraction(delta, len(scores))
    vibe = max(Fraction(0), -mean) * GIB / saved_bytes * 10**6
    sign = -1 if mean < 0 else 1
    nano = sign * ((abs(mean) * 10**9 + Fraction(1, 2)) // 1)
    return nano, (vibe + Fraction(1, 2)) // 1


THIRDS = [((3, 3), (1, 3)), ((0, 3), (1, 3)), ((0, 3), (1, 3))]
SEVENTHS = [((2, 7), (1, 7)), ((5, 6), (3, 4))]


@pytest.mark.parametrize(
    ("scores", "saved"),
    [
        (THIRDS, KIB),
        (SEVENTHS, KIB),
        (SEVENTHS, 1),
        ([((n, 23), (n - 1, 19)) for n in range(1, 19)], 3 * KIB),
    ],
)
@together
def test_no_mean_is_rounded_before_it_is_subtracted(scores, saved):
    row = yield from compared(scores, saved)
    assert row["vibe_delta_status"] == "OK"
    told = row["adherence_delta_nano"], row["vibe_delta_micro"]
    assert told == exact(scores, saved)


@together
def test_equal_means_give_nothing_up():
    row = yield from compared(THIRDS)
    assert (row["adherence_delta_nano"], row["vibe_delta_micro"]) == (0, 0)


@together
def test_checks_whose_numbers_share_nothing_are_compared_to_a_billionth():
    """The common denominator leaves every integer: then by the rounded means."""
    primes = [1_000_003, 1_000_033, 1_000_037, 1_000_039]
    scores = [((prime - 1, prime), (prime - 2, prime)) for prime in primes]
    row = yield from compared(scores, GIB)
    assert row["vibe_delta_micro"] == 1
    assert row["adherence_delta_nano"] == pytest.approx(exact(scores, GIB)[0], abs=1)
