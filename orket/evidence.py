"""How much evidence a claim needs, as tables of integers made from the policy.

The views compare counts with these tables; nothing is approximated where it is
decided. Binomial tails are summed exactly, in integers. The quantiles of Student's t
and of chi-square come from their exact series and are rounded towards caution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache, partial

MOST_TASKS = 2_000
"""Beyond it a number of tasks is not practicable, and none is named."""
STAKES_PPM = (100_000, 300_000, 600_000, 950_000)
"""Of the bets for a quant, each with a quarter of the money."""
POWER_PPM = 800_000
MOST_DEGREES = 60
"""Of freedom; beyond it the last row is used, which is a little stricter."""
VARIATION_LEVEL_PPM = 50_000
"""The chance that a canary's true variation lies above its bound."""

MOST_LOOKS = 8
"""Numbers of losses that a sequential proof allows at most."""
PROOF_SHARE_PERCENT = 95
"""Of the tasks: by then the last look of a sequential proof is due."""

_PPM = 1_000_000
_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Retention:
    """What proves that a quant keeps a share of the baseline's tasks, by losses."""

    losses: int
    """Tasks the baseline passes and the quant does not."""
    least_passes: int
    """Tasks the baseline has to pass, the lost ones included."""
    powered_loss_ppm: int | None
    """The true loss rate at which so many tasks still prove it in 80 % of sweeps; known
    of a single claim, the one that is planned for."""


@dataclass(frozen=True, slots=True)
class Bet:
    """One stretch of one stake: what a payoff adds to the logarithm of the money.

    Between two payoffs the logarithm is taken on the chord, which lies below it.
    """

    stake_ppm: int
    from_nano: int
    to_nano: int
    from_log_nano: int
    to_log_nano: int


@dataclass(frozen=True, slots=True)
class Stake:
    """One stake of a bet against a quant: what a task does to the logarithm."""

    stake_ppm: int
    lost_nano: int
    """Gained with each task that the baseline passes and the quant does not."""
    both_nano: int
    """Given up with each that both pass."""
    gain_nano: int
    """Given up with each that only the quant passes."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What a variation with so many degrees of freedom can tell."""

    degrees: int
    t_milli: int
    """One-sided quantile of Student's t."""
    upper_milli: int
    """Factor from an observed deviation to the bound on the true one."""


@lru_cache(maxsize=64)
def retention_table(
    threshold_ppm: int,
    alpha_ppm: int,
    claims: int = 1,
    most_tasks: int = MOST_TASKS,
) -> tuple[Retention, ...]:
    """Losses -> the passes of the baseline that make them a proof.

    The proof holds when P(X <= losses) <= alpha / claims for X ~ Binomial(passes, 1 -
    threshold): a quant that keeps less than the threshold would show so few losses in
    at most so many of all sweeps. Rows end where more than `most_tasks` were needed.
    """
    if not 0 < threshold_ppm < _PPM or not 0 < alpha_ppm < _PPM:
        # Nothing can show that nothing is ever lost; a threshold of 0 asks nothing.
        return ()
    border = _least_passes(threshold_ppm, Fraction(alpha_ppm, claims), most_tasks)
    return tuple(
        Retention(
            losses, passes, _powered_loss_ppm(losses, passes) if claims <= 2 else None
        )
        for losses, passes in border
    )


def _least_passes(
    threshold_ppm: int, alpha_ppm: Fraction, most: int
) -> Iterator[tuple[int, int]]:
    """Losses and least passes up to `most`: one walk along the border of the proof."""
    kept = Fraction(threshold_ppm, _PPM)
    alpha = alpha_ppm / _PPM
    keep, whole = kept.numerator, kept.denominator
    lose = whole - keep
    losses, passes = 0, 1
    # P(X = losses) and P(X <= losses), both times whole ** passes.
    point, tail, power = keep, keep, whole
    while passes <= most:
        while tail * alpha.denominator > alpha.numerator * power:
            tail = tail * whole - point * lose
            point = point * keep * (passes + 1) // (passes + 1 - losses)
            power *= whole
            passes += 1
            if passes > most:
                return
        yield losses, passes
        point = point * (passes - losses) * lose // ((losses + 1) * keep)
        losses += 1
        tail += point


@lru_cache(maxsize=256)
def proof_min_passes(
    threshold_ppm: int,
    alpha_ppm: int,
    tasks: int,
    shares: int = 1,
) -> tuple[int, ...]:
    """The passes of the baseline that prove retention, by losses, at every look.

    A quant that keeps exactly the threshold would ever meet the list in at most alpha /
    shares of all sweeps, however often one looks. Look j, with j losses, spends half of
    the chance that is left, the last one all of it; there are as many as come due
    within PROOF_SHARE_PERCENT of `tasks`, at least one, at most MOST_LOOKS. Tasks of
    families are counted by what they are worth, in `tasks` as in what is compared.
    """
    if not 0 < threshold_ppm < _PPM or not 0 < alpha_ppm < _PPM:
        return ()
    last = tasks * PROOF_SHARE_PERCENT // 100
    alpha = Fraction(alpha_ppm, _PPM * shares)
    for number in range(MOST_LOOKS, 1, -1):
        passes = _spend(Fraction(threshold_ppm, _PPM), alpha, number, last)
        if passes is not None:
            return passes
    # One look alone: the first row of what a fixed number of tasks proves.
    first = next(_least_passes(threshold_ppm, alpha * _PPM, MOST_TASKS), None)
    return (first[1],) if first else ()


def _spend(
    kept: Fraction, alpha: Fraction, looks: int, last: int
) -> tuple[int, ...] | None:
    """When each of so many looks is due; None where the last is later than `last`."""
    keep, whole = kept.numerator, kept.denominator
    lose = whole - keep
    # Ways to have so many losses and no proof yet, times whole ** passes.
    ways, power = [1] + [0] * looks, 1
    passes, saved, due = 0, Fraction(0), []
    for look in range(looks):
        saved += alpha / 2 ** min(look + 1, looks - 1)
        while True:
            passes += 1
            if passes > last:
                return None
            power *= whole
            ways = [
                own * keep + (ways[losses - 1] * lose if losses else 0)
                for losses, own in enumerate(ways)
            ]
            proven = sum(ways[: look + 1])
            if proven * saved.denominator <= saved.numerator * power:
                break
        due.append(passes)
        saved -= Fraction(proven, power)
        ways[: look + 1] = [0] * (look + 1)
    return tuple(due)


@lru_cache(maxsize=64)
def reach_table(tasks: int, needed: int, alpha_ppm: int) -> tuple[tuple[int, int], ...]:
    """Tasks asked -> the most passes that put `needed` passes of `tasks` out of reach.

    Those asked are a sample without replacement. If so many of all tasks would be
    passed, so few of those asked are ever passed in at most alpha of all sweeps,
    however often one looks: each number of tasks asked has an equal part of the chance.
    Rows begin where no pass at all is that few; there are none for more than `tasks`.
    """
    if needed > tasks or not 0 < alpha_ppm < _PPM:
        return ()
    rows, most = [], -1
    # Ways to draw the tasks asked so that at most `most` of them are passed.
    tail = 0
    for asked in range(1, tasks + 1):
        drawn = asked - 1
        if most >= 0:
            edge = _ways(tasks, needed, drawn, most)
            tail = (tail * (tasks - drawn) - edge * (needed - most)) // asked
        allowed = alpha_ppm * math.comb(tasks, asked)
        while most + 1 < min(needed, asked):
            more = tail + _ways(tasks, needed, asked, most + 1)
            if more * _PPM * tasks > allowed:
                break
            most, tail = most + 1, more
        if most >= 0:
            rows.append((asked, most))
    return tuple(rows)


def _ways(tasks: int, passed: int, asked: int, hits: int) -> int:
    """Ways to ask so many tasks that so many of them are among those passed."""
    if hits > asked:
        return 0
    return math.comb(passed, hits) * math.comb(tasks - passed, asked - hits)


@cache
def _powered_loss_ppm(losses: int, passes: int) -> int:
    """The largest loss rate at which `losses` of `passes` are kept with 80 % power."""
    low, high = 0, _PPM
    while high - low > 1:
        middle = (low + high) // 2
        enough = _tail(passes, losses, middle / _PPM) >= POWER_PPM / _PPM
        low, high = (middle, high) if enough else (low, middle)
    return low


def _tail(trials: int, most: int, rate: float) -> float:
    """P(X <= most) of a binomial, in floating point: for planning, never for proof."""
    term = math.exp(trials * math.log1p(-rate))
    total = term
    for hit in range(most):
        term *= (trials - hit) * rate / ((hit + 1) * (1 - rate))
        total += term
    return total


def least_without_loss(threshold_ppm: int, alpha_ppm: int) -> int | None:
    """The passes that prove retention where none is lost.

    None where no practicable number does.
    """
    if threshold_ppm == 0:
        return 1
    if threshold_ppm == _PPM:
        return None
    border = _least_passes(threshold_ppm, Fraction(alpha_ppm), MOST_TASKS)
    first = next(border, None)
    return first[1] if first else None


@lru_cache(maxsize=64)
def family_table(
    threshold_ppm: int, correlation_ppm: int, most_tasks: int = MOST_TASKS
) -> tuple[int, ...]:
    """What 1, 2, ... tasks of one family are worth, in millionths of single tasks.

    If a family's rate of loss is drawn from a beta distribution whose mean is just not
    allowed, so that two of its tasks are lost together with this correlation, so many
    of its tasks are all kept as often as so many single tasks are. Rounded down.
    """
    if not 0 < threshold_ppm < _PPM:
        return ()
    kept, shared = threshold_ppm / _PPM, correlation_ppm / _PPM
    single, worth = math.log(kept), 1.0
    rows = [_PPM]
    for before in range(1, most_tasks):
        # The chance that one more is kept where all before it are.
        apart, together = 1 - shared, before * shared
        worth += math.log((kept * apart + together) / (apart + together)) / single
        # A whole number stays one.
        rows.append(math.floor(_PPM * worth + 1e-3))
    return tuple(rows)


@lru_cache(maxsize=64)
def bet_table(threshold_ppm: int) -> tuple[Bet, ...]:
    """What each payoff, own score - threshold x the baseline's, is worth by stake.

    The money multiplies by 1 + stake x payoff / threshold from task to task. If the
    quant keeps less than the threshold it shrinks on average, so it reaches 1 / alpha
    in at most alpha of all sweeps, whenever one looks. Values are rounded down.
    """
    if not 0 < threshold_ppm < _PPM:
        return ()
    # Lost, neither, kept, gained, and a half and a quarter of a task lost.
    payoffs = sorted(
        {-threshold_ppm, -threshold_ppm // 2, -threshold_ppm // 4, 0}
        | {_PPM - threshold_ppm, _PPM}
    )
    bets = []
    for stake_ppm in STAKES_PPM:
        logs = [
            math.floor(_NANO * math.log1p(stake_ppm * pay / (_PPM * threshold_ppm)))
            for pay in payoffs
        ]
        bets += [
            Bet(stake_ppm, payoffs[n] * 1000, payoffs[n + 1] * 1000, *logs[n : n + 2])
            for n in range(len(payoffs) - 1)
        ]
    return tuple(bets)


def bet_needed_nano(alpha_ppm: int, claims: int = 1) -> int:
    """The logarithm that one stake must reach alone, with a quarter of the money."""
    return math.ceil(_NANO * math.log(len(STAKES_PPM) * _PPM * claims / alpha_ppm))


@lru_cache(maxsize=64)
def stake_table(threshold_ppm: int) -> tuple[Stake, ...]:
    """What a bet against a quant, threshold x the baseline's - its own, is worth.

    If the quant keeps the threshold the money shrinks on average, whenever one looks.
    Rounded so that nothing is shown more easily than by the real numbers.
    """
    if not 0 < threshold_ppm < _PPM:
        return ()
    kept = threshold_ppm / _PPM
    stakes = []
    for stake_ppm in STAKES_PPM:
        stake = stake_ppm / _PPM
        stakes.append(
            Stake(
                stake_ppm,
                math.floor(_NANO * math.log1p(stake * kept)),
                math.ceil(-_NANO * math.log1p(-stake * (1 - kept))),
                math.ceil(-_NANO * math.log1p(-stake)),
            )
        )
    return tuple(stakes)


@lru_cache(maxsize=64)
def sign_table(alpha_ppm: int, most_pairs: int) -> tuple[tuple[int, int], ...]:
    """Untied pairs -> the least wins that a fair coin reaches in at most alpha.

    Rows begin where all pairs won are enough.
    """
    alpha = Fraction(alpha_ppm, _PPM)
    rows: list[tuple[int, int]] = []
    # `least` wins or more: tail / 2 ** pairs; `edge` is C(pairs, least).
    least, tail, edge = 1, 1, 1
    for pairs in range(1, most_pairs + 1):
        if pairs > 1:
            # By one pair more: twice the tail, and C(pairs - 1, least - 1).
            below = edge * least // (pairs - least) if pairs > least else 1
            tail, edge = 2 * tail + below, edge + below
        while tail * alpha.denominator > alpha.numerator * 2**pairs:
            tail -= edge
            edge = edge * (pairs - least) // (least + 1)
            least += 1
        if least <= pairs:
            rows.append((pairs, least))
    return tuple(rows)


@lru_cache(maxsize=64)
def spread_table(alpha_ppm: int) -> tuple[Spread, ...]:
    """What 1, 2, ... degrees of freedom can tell, rounded up."""
    return tuple(
        Spread(
            degrees,
            math.ceil(1000 * _solve(partial(_t_excess, degrees, alpha_ppm / _PPM))),
            math.ceil(1000 * math.sqrt(degrees / _chi_square_low(degrees))),
        )
        for degrees in range(1, MOST_DEGREES + 1)
    )


def _t_excess(degrees: int, level: float, t: float) -> float:
    return _t_above(t, degrees) - level


def _t_above(t: float, degrees: int) -> float:
    """P(T > t) of Student's t with whole degrees of freedom, by its finite series."""
    angle = math.atan2(t, math.sqrt(degrees))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    if degrees % 2:
        term, total = math.cos(angle), 0.0
        for step in range(1, (degrees - 1) // 2 + 1):
            total += term
            term *= square * 2 * step / (2 * step + 1)
        within = 2 / math.pi * (angle + sine * total)
    else:
        term, total = 1.0, 0.0
        for step in range(1, degrees // 2 + 1):
            total += term
            term *= square * (2 * step - 1) / (2 * step)
        within = sine * total
    return (1 - within) / 2


def _chi_square_low(degrees: int) -> float:
    """The value below which a chi-square falls with the level of the variation."""
    level = VARIATION_LEVEL_PPM / _PPM
    return _solve(lambda x: level - _chi_square_below(x, degrees))


def _chi_square_below(x: float, degrees: int) -> float:
    """P(chi-square < x), by the series of the lower incomplete gamma function."""
    if x <= 0:
        return 0.0
    shape, half = degrees / 2, x / 2
    term = math.exp(shape * math.log(half) - half - math.lgamma(shape + 1))
    total, step = term, 0
    while term > total * 1e-16:
        step += 1
        term *= half / (shape + step)
        total += term
    return total


def _solve(falling: Callable[[float], float]) -> float:
    """Where a falling function of a positive number crosses 0."""
    low, high = 0.0, 1.0
    while falling(high) > 0:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
