"""Fidelity against hand arithmetic, and against a second computation of its own."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orket.records import Controls, EventRow
from orket.warehouse import Warehouse
from tests.built_sweep import START, Sweep
from tests.fuzzing import examples
from tests.together import Sight, together

TASKS = tuple(f"t{n}" for n in range(8))
SAME = {1: 0.5, 2: 0.25}
"""At every place of the reference: token 1, then token 2."""


def sweep(quants: tuple[str, ...] = ("F16", "Q4_K_M"), **facts: Any) -> Sweep:
    return Sweep(quants=quants, tasks=TASKS, **facts)


def answered(found: Sweep, places: int = 2, **changes: Any) -> Sweep:
    """The reference answers every task and says the same along its own answers."""
    for task in found.tasks:
        found.score("F16", task, [SAME] * places, "REFERENCE", **changes)
        found.score("F16", task, [SAME] * places, **changes)
    return found


def view(found: Sweep, name: str = "fidelity") -> Sight:
    seen = yield found
    return seen.rows(f"SELECT * FROM v1.{name} ORDER BY ALL")


def of(found: Sweep, quant: str = "Q4_K_M") -> Sight:
    rows = yield from view(found)
    (row,) = [row for row in rows if row["quant_tag"] == quant]
    return row


@together
def test_a_divergence_is_the_least_that_two_lists_allow():
    """P = {1: 1/2, 2: 1/4}, Q = {1: 1/4, 3: 1/4}, c = 1/4.

    Token 1: 1/2 ln 2. Buckets: P 1/2, Q 3/4. Token 2: 1/4 * 3/4 > 1/4 * 1/2, so it is
    taken out: 1/4 ln(1/4 / 1/4) = 0, leaving 1/4 and 1/2. The rest: 1/4 ln(1/4 / 1/2).
    Together 1/2 ln 2 - 1/4 ln 2 = 1/4 ln 2 = 0.173286795 nats.
    """
    found = answered(sweep(), places=1)
    for task in TASKS:
        found.score("Q4_K_M", task, [{1: 0.25, 3: 0.25}])
    positions = yield from view(found, "fidelity_position")
    (place, *_) = [row for row in positions if row["quant_tag"] == "Q4_K_M"]
    assert place["kld_nnats"] == 173_286_795
    assert place["same_top"] is True
    # ln(1/2) - ln(1/4) = ln 2
    assert place["dnll_nnats"] == 693_147_180  # to 1e-9 nats each
    row = yield from of(found)
    assert (row["status"], row["level"], row["method"]) == ("OK", "PATH", "GRAMMAR")
    assert (row["prompts"], row["positions"], row["same_top_ppm"]) == (8, 8, 1_000_000)
    assert (row["kept_prompts"], row["kld_nnats"]) == (8, 173_286_795)
    # Eight prompts, all alike: no spread, and never less than 3 / n.
    assert row["kld_half_width_nnats"] == 0
    assert row["same_top_half_width_ppm"] == 375_000
    assert row["formula_id"] == "fidelity.capped-tail.v1"


@together
def test_a_token_of_the_bucket_stays_there_where_taking_it_out_lowers_the_bound():
    """P = {1: 1/2, 2: 1/10}, Q = {1: 1/2, 3: 4/10}: c = 4/10 >= 1/10.

    Token 2: 1/10 * 1/2 <= 4/10 * 1/2: it stays. Both buckets hold 1/2: nothing differs.
    """
    found = sweep()
    for task in TASKS:
        for quant in ("F16", "Q4_K_M"):
            lists = {1: 0.5, 2: 0.1} if quant == "F16" else {1: 0.5, 3: 0.4}
            found.score(quant, task, [lists])
        found.score("F16", task, [{1: 0.5, 2: 0.1}], "REFERENCE")
    row = yield from of(found)
    assert (row["kld_nnats"], row["dnll_nnats"], row["dnll_unknown"]) == (0, 0, 0)


@together
def test_a_token_the_quant_does_not_list_is_unknown_surprise():
    found = answered(sweep(), places=2)
    for task in TASKS:
        found.score("Q4_K_M", task, [{1: 0.5, 2: 0.25}, {4: 0.5, 3: 0.25}])
    row = yield from of(found)
    assert (row["positions"], row["same_top_positions"]) == (16, 8)
    assert (row["dnll_unknown"], row["dnll_nnats"]) == (8, 0)
    assert (row["same_top_ppm"], row["kept_prompts"]) == (500_000, 0)


@together
def test_errors_are_those_of_prompts():
    """Eight prompts of 2 places; the last two differ in one place each.

    Mean 14/16. Deviations same - 7/8 * 2: six times 1/4, twice -3/4; squares
    6/16 + 18/16 = 3/2. t(7) = 2.364624, sqrt(8/7 * 3/2) / 16 = 0.0818317: their product
    is 0.1935012, above 3/16 = 0.1875.
    """
    found = answered(sweep(), places=2)
    for number, task in enumerate(TASKS):
        odd = SAME if number < 6 else {2: 0.5, 1: 0.25}
        found.score("Q4_K_M", task, [SAME, odd])
    row = yield from of(found)
    assert row["same_top_ppm"] == 875_000
    assert row["same_top_half_width_ppm"] == 193_501
    assert row["kept_prompts"] == 6
    low, high = wilson(Fraction(6, 8), 8)
    assert row["kept_interval_micro"] == [round(low * 1e6), round(high * 1e6)]


def wilson(p: Fraction, n: int, z: float = 1.96) -> tuple[float, float]:
    middle = float(p) + z * z / (2 * n)
    spread = z * math.sqrt(float(p * (1 - p)) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


@together
def test_shares_are_cut_never_rounded_up():
    found = answered(sweep(), places=3)
    for task in TASKS:
        found.score("Q4_K_M", task, [SAME, SAME, {2: 0.5, 1: 0.25}])
    assert (yield from of(found))["same_top_ppm"] == 666_666


@together
def test_equal_texts_of_one_list_are_one_token():
    """P = {a: 1/2, b: 1/4}; Q lists a twice, 1/4 each: a has 1/2 in both."""
    found = sweep()
    texts = {"path_texts": ["a"], "path_ids": None, "top_ids": None, "ended": True}
    half, quarter = round(math.log(0.5) * 1e9), round(math.log(0.25) * 1e9)
    for task in TASKS:
        for quant, role in (
            ("F16", "REFERENCE"),
            ("F16", "QUANT"),
            ("Q4_K_M", "QUANT"),
        ):
            tops = ["a", "b"] if quant == "F16" else ["a", "a"]
            nnats = [half, quarter] if quant == "F16" else [quarter, quarter]
            found.score(
                quant,
                task,
                None,
                role,
                level="PREFIX",
                method="GENERATED",
                **texts,
                top_texts=[tops],
                top_nnats=[nnats],
            )
    # b is only in P: 1/4 * 1/2 <= 1/4 * 1/2 stays in the bucket; both hold 1/2.
    assert (yield from of(found))["kld_nnats"] == 0


@together
def test_an_own_answer_is_read_up_to_and_with_the_first_difference():
    found = sweep()
    for task in TASKS:
        for quant, role in (("F16", "REFERENCE"), ("F16", "QUANT")):
            found.score(
                quant, task, [SAME] * 4, role, level="PREFIX", method="GENERATED"
            )
        other = {2: 0.5, 1: 0.25}
        found.score(
            "Q4_K_M",
            task,
            [SAME, other, SAME, SAME, SAME],
            level="PREFIX",
            method="GENERATED",
        )
    row = yield from of(found)
    assert (row["level"], row["positions"], row["same_top_positions"]) == (
        "PREFIX",
        16,
        8,
    )
    assert row["kept_prompts"] == 0
    assert (yield from of(found, "F16"))["kept_prompts"] == 8


@together
def test_an_answer_that_goes_on_is_not_kept():
    found = sweep()
    for task in TASKS:
        for quant, role in (("F16", "REFERENCE"), ("F16", "QUANT")):
            found.score(
                quant, task, [SAME] * 2, role, level="PREFIX", method="GENERATED"
            )
        found.score("Q4_K_M", task, [SAME] * 3, level="PREFIX", method="GENERATED")
    row = yield from of(found)
    assert (row["same_top_ppm"], row["kept_prompts"]) == (1_000_000, 0)


@together
def test_without_lists_the_surprise_alone_is_known():
    found = sweep()
    told = {"path_ids": [1, 2], "method": "PROMPT_LOGPROBS"}
    for task in TASKS:
        for quant, role in (
            ("F16", "REFERENCE"),
            ("F16", "QUANT"),
            ("Q4_K_M", "QUANT"),
        ):
            own = [-100, -200] if quant == "F16" else [-400, -700]
            found.score(quant, task, None, role, path_nnats=own, **told)
    row = yield from of(found)
    assert (row["status"], row["positions"], row["dnll_nnats"]) == ("OK", 16, 400)
    for name in ("same_top_ppm", "kept_prompts", "kld_nnats", "kept_interval_micro"):
        assert row[name] is None


STATUSES: dict[str, tuple[Any, str, str | None]] = {
    "of the reference": (lambda found: "F16", "REFERENCE", None),
    "of a faithful quant": (lambda found: follow(found), "OK", None),
    "of a quant nobody led": (lambda found: "Q4_K_M", "UNSUPPORTED", "NOT_REACHED"),
    "of another tokenizer": (
        lambda found: fail(found, "UNSUPPORTED", "TOKENIZER_DIFFERS"),
        "UNSUPPORTED",
        "TOKENIZER_DIFFERS",
    ),
    "of a server without lists": (
        lambda found: fail(found, "UNSUPPORTED", "NO_LOGPROBS"),
        "UNSUPPORTED",
        "NO_LOGPROBS",
    ),
    "of other weights": (
        lambda found: follow(found, model_digest="sha256:other"),
        "UNSUPPORTED",
        "WEIGHTS_CHANGED",
    ),
    "of another k": (lambda found: follow(found, k=3), "UNSUPPORTED", "NOT_REACHED"),
    "of another level": (
        lambda found: follow(found, level="PREFIX"),
        "UNSUPPORTED",
        "NOT_REACHED",
    ),
    "of one broken prompt in eight": (
        lambda found: follow(found, broken=1),
        "PARTIAL",
        "TOO_FEW_PROMPTS",
    ),
}


def follow(found: Sweep, broken: int = 0, **changes: Any) -> str:
    for number, task in enumerate(found.tasks):
        if number < broken:
            found.score(
                "Q4_K_M", task, None, outcome="FAILED", error_class="PATH_BROKEN"
            )
        else:
            found.score("Q4_K_M", task, [SAME] * 2, **changes)
    return "Q4_K_M"


def fail(found: Sweep, outcome: str, error_class: str) -> str:
    for task in found.tasks:
        found.score("Q4_K_M", task, None, outcome=outcome, error_class=error_class)
    return "Q4_K_M"


@pytest.mark.parametrize("name", STATUSES)
@together
def test_the_status_says_what_the_figures_are_worth(name):
    prepare, status, reason = STATUSES[name]
    found = answered(sweep())
    quant = prepare(found)
    row = yield from of(found, quant)
    assert (row["status"], row["reason"]) == (status, reason)
    if status == "UNSUPPORTED":
        assert row["kld_nnats"] is row["same_top_ppm"] is row["positions"] is None


@together
def test_broken_prompts_of_many_are_a_share():
    """One of 40 is 2.5 %, within 5 %; three are 7.5 %, beyond."""
    for broken, status in ((1, "OK"), (3, "PARTIAL")):
        found = Sweep(quants=("F16", "Q4_K_M"), tasks=tuple(f"t{n}" for n in range(40)))
        answered(found)
        follow(found, broken)
        row = yield from of(found)
        assert (row["status"], row["broken_prompts"]) == (status, broken)
        assert row["reason"] == (None if status == "OK" else "PATH_BROKEN")


@pytest.mark.parametrize(
    ("method", "cpu_only", "status"),
    [
        ("GRAMMAR", True, "DETERMINISM_LOST"),
        ("GRAMMAR", None, "DETERMINISM_LOST"),
        ("GRAMMAR", False, "OK"),
        ("PREFIX_REQUESTS", True, "OK"),
    ],
)
@together
def test_a_reference_that_is_not_itself_is_told(method, cpu_only, status):
    """Its lists differ in the ninth digit: KLD far below 1e-3 nats."""
    found = sweep(model={"cpu_only": cpu_only})
    for task in TASKS:
        found.score("F16", task, [SAME], "REFERENCE")
        found.score("F16", task, [{1: 0.50001, 2: 0.25}], method=method)
        found.score("Q4_K_M", task, [SAME], method=method)
    row = yield from of(found)
    assert row["status"] == status
    assert row["reason"] == ("REFERENCE_NOT_ITSELF" if status != "OK" else None)


@together
def test_a_reference_far_from_itself_is_told_by_any_method():
    """0.5 against 0.4 and 0.25: 1/2 ln(5/4) + 1/2 ln(...) is above 1e-3 nats."""
    found = sweep()
    for task in TASKS:
        found.score("F16", task, [SAME], "REFERENCE")
        found.score("F16", task, [{1: 0.4, 2: 0.25}], method="PREFIX_REQUESTS")
        found.score("Q4_K_M", task, [SAME], method="PREFIX_REQUESTS")
    assert (yield from of(found))["status"] == "DETERMINISM_LOST"


@together
def test_the_first_quant_that_answers_is_the_reference():
    found = sweep(quants=("F32", "F16", "Q4_K_M"))
    for task in TASKS:
        found.score(
            "F32", task, None, "REFERENCE", outcome="FAILED", error_class="SERVER_DIED"
        )
    answered(found)
    follow(found)
    assert (yield from of(found))["reference_quant_tag"] == "F16"
    assert (yield from of(found, "F16"))["status"] == "REFERENCE"
    lost = yield from of(found, "F32")
    assert (lost["status"], lost["reason"]) == ("UNSUPPORTED", "SERVER_DIED")


@together
def test_a_server_that_gives_the_reference_no_lists_gives_nobody_any():
    found = sweep()
    for task in TASKS:
        found.score(
            "F16",
            task,
            None,
            "REFERENCE",
            outcome="UNSUPPORTED",
            error_class="NO_LOGPROBS",
        )
    for quant in ("F16", "Q4_K_M"):
        row = yield from of(found, quant)
        assert (row["status"], row["reason"]) == ("UNSUPPORTED", "NO_LOGPROBS")
        assert (row["level"], row["kept_prompts"]) == (None, None)


@together
def test_recorded_answers_tell_which_prompts_were_kept():
    found = sweep().fill(answer_text="yes")
    found.runs = [
        msgspec.structs.replace(
            run, call=msgspec.structs.replace(run.call, answer_text="other")
        )
        if (run.quant_tag, run.test_id) == ("Q4_K_M", "bank/t3")
        else run
        for run in found.runs
    ]
    row = yield from of(found)
    assert (row["status"], row["reason"], row["level"]) == (
        "NOT_RUN",
        "NOT_ASKED",
        "DIVERGENCE",
    )
    assert (row["reference_quant_tag"], row["prompts"], row["kept_prompts"]) == (
        "F16",
        8,
        7,
    )
    assert row["positions"] is row["same_top_ppm"] is row["kld_nnats"] is None
    # Answers of a sampler differ by themselves: nothing is read from them.
    drawn = sweep(controls=Controls(seed=7, temperature_milli=800)).fill()
    row = yield from of(drawn)
    assert (row["level"], row["prompts"]) == (None, None)


@together
def test_an_unasked_and_empty_sweep_says_so():
    row = yield from of(sweep())
    assert (row["status"], row["reason"], row["level"]) == (
        "NOT_RUN",
        "NOT_ASKED",
        None,
    )


def with_answers(texts: dict[tuple[str, str], str]) -> Sweep:
    """Every run answers `yes, it is`, but for these by quant and task."""
    found = sweep().fill(answer_text="yes, it is")
    found.runs = [
        msgspec.structs.replace(
            run,
            call=msgspec.structs.replace(
                run.call,
                answer_text=texts.get(
                    (run.quant_tag, run.test_id.removeprefix("bank/")), "yes, it is"
                ),
            ),
        )
        for run in found.runs
    ]
    return found


@together
def test_recorded_answers_tell_where_they_part():
    quant = "Q4_K_M"
    row = yield from of(
        with_answers(
            {
                (quant, "t1"): "no",  # at its first character
                (quant, "t2"): "yes, it was",  # y e s , _ i t _ w: the ninth
                (quant, "t3"): "yes, it is so",  # behind all ten
            }
        )
    )
    assert (row["kept_prompts"], row["difference_unit"]) == (5, "CHARACTER")
    assert (row["earliest_difference"], row["median_difference"]) == (1, 9)
    same = yield from of(with_answers({}))
    assert (same["earliest_difference"], same["median_difference"]) == (None, None)


@together
def test_led_answers_part_at_a_token_of_the_path():
    found = answered(sweep(), places=3)
    for number, task in enumerate(TASKS):
        other = {2: 0.5, 1: 0.2}
        places = [SAME, SAME, SAME]
        if number < 3:
            places[number] = other
        found.score("Q4_K_M", task, places, path_ids=[1, 1, 1])
    row = yield from of(found)
    assert (row["kept_prompts"], row["difference_unit"]) == (5, "TOKEN")
    assert (row["earliest_difference"], row["median_difference"]) == (1, 2)


@together
def test_own_answers_part_at_the_first_other_token():
    found = answered(sweep(), places=3, level="PREFIX", method="OWN")
    for number, task in enumerate(TASKS):
        path = [1, 1, 1] if number else [1, 2, 1]
        places = [{token: 0.5, 3: 0.25} for token in path]
        found.score("Q4_K_M", task, places, path_ids=path, level="PREFIX", method="OWN")
    row = yield from of(found)
    assert row["level"] == "PREFIX"
    assert (row["kept_prompts"], row["median_difference"]) == (7, 2)


def disagreement(found: Sweep) -> Sight:
    rows = yield from view(found, "disagreement")
    return {row["quant_tag"]: row["disagreement"] for row in rows}


def judged_sweep(kept: bool, passes: bool) -> Sweep:
    """A quant that keeps all answers or none, and passes all tasks or none."""
    found = answered(sweep())
    other = SAME if kept else {2: 0.5, 1: 0.25}
    for task in TASKS:
        found.score("Q4_K_M", task, [other] * 2, path_ids=[1, 1])
        found.add("F16", task)
        found.add("Q4_K_M", task, passed=int(passes))
    return found


@pytest.mark.parametrize(
    ("kept", "passes", "said"),
    [
        (True, False, "FAITHFUL_BUT_FAILS"),
        (False, True, "DIFFERS_BUT_PASSES"),
        (True, True, None),
        (False, False, None),
    ],
)
@together
def test_fidelity_and_adherence_that_disagree_are_told(kept, passes, said):
    found = judged_sweep(kept, passes)
    assert (yield from disagreement(found)) == {"F16": None, "Q4_K_M": said}


@together
def test_a_loss_that_the_changed_answers_allow_is_no_disagreement():
    """One of eight changes: by its interval three could, and two tasks are lost."""
    found = answered(sweep())
    for number, task in enumerate(TASKS):
        other = SAME if number >= 1 else {2: 0.5, 1: 0.25}
        found.score("Q4_K_M", task, [other] * 2, path_ids=[1, 1])
        found.add("F16", task)
        found.add("Q4_K_M", task, passed=int(number >= 2))
    assert (yield from disagreement(found))["Q4_K_M"] is None


lists = st.lists(st.integers(1, 400), min_size=3, max_size=8, unique=True).flatmap(
    lambda weights: st.tuples(
        st.just(sorted(weights, reverse=True)), st.permutations(range(8))
    )
)


def as_place(drawn: tuple[list[int], list[int]]) -> dict[int, float]:
    """Falling weights of some of eight tokens; what is left of 2000 is on no list."""
    weights, tokens = drawn
    return {
        token: weight / max(2000, sum(weights))
        for token, weight in zip(tokens, weights, strict=False)
    }


def recompute(p: dict[int, float], q: dict[int, float]) -> float:
    """The divergence once more, by the rules, in plain floating point."""
    tau = 0.001
    p = {t: math.exp(round(math.log(v) * 1e9) / 1e9) for t, v in p.items()}
    q = {t: math.exp(round(math.log(v) * 1e9) / 1e9) for t, v in q.items()}
    both = [token for token in p if token in q]
    total = sum(p[token] * math.log(p[token] / q[token]) for token in both)
    p_rest = max(1 - sum(p[token] for token in both), tau)
    q_rest = max(1 - sum(q[token] for token in both), tau)
    cap = list(q.values())[-1]
    for token in sorted((t for t in p if t not in q), key=lambda t: -p[t]):
        if p[token] * q_rest <= cap * p_rest or q_rest <= cap:
            break
        total += p[token] * math.log(p[token] / cap)
        p_rest, q_rest = max(p_rest - p[token], tau**2), q_rest - cap
    return total + p_rest * math.log(p_rest / q_rest)


@settings(
    max_examples=examples(4),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(st.tuples(lists, lists), min_size=8, max_size=24), st.data())
def test_every_figure_is_the_same_computed_twice(drawn, data):
    pairs = [(as_place(p), as_place(q)) for p, q in drawn]
    found = sweep()
    per_prompt: dict[str, list[tuple[dict[int, float], dict[int, float]]]] = {}
    for number, pair in enumerate(pairs):
        per_prompt.setdefault(TASKS[number % len(TASKS)], []).append(pair)
    for task, places in per_prompt.items():
        answer = [p for p, _ in places]
        found.score("F16", task, answer, "REFERENCE")
        found.score("F16", task, answer)
        path = [next(iter(p)) for p in answer]
        found.score("Q4_K_M", task, [q for _, q in places], path_ids=path)
    with TemporaryDirectory() as folder:
        warehouse = Warehouse.open(Path(folder))
        warehouse.append("sweeps", [found.sweep_row()], found.sweep_id)
        shuffled = data.draw(st.permutations(found.fidelity))
        for rows in (shuffled[:5], shuffled[5:], shuffled[:2]):
            warehouse.append("fidelity", rows, found.sweep_id)
        with warehouse.session(threads=data.draw(st.sampled_from([1, 4]))) as session:
            places_found = session.rows(
                "SELECT * FROM v1.fidelity_position WHERE quant_tag = 'Q4_K_M'"
            )
            (row,) = session.rows(
                "SELECT * FROM v1.fidelity WHERE quant_tag = 'Q4_K_M'"
            )
    assert len(places_found) == len(pairs)
    divergences: dict[str, list[float]] = {}
    for place in places_found:
        task = place["test_id"].removeprefix("bank/")
        p, q = per_prompt[task][place["position"] - 1]
        expected = recompute(p, q)
        divergences.setdefault(task, []).append(expected)
        assert abs(place["kld_nnats"] - expected * 1e9) <= 2
        assert place["same_top"] == (next(iter(p)) == next(iter(q)))
        token = next(iter(p))
        known = place["dnll_nnats"]
        if token in q:
            assert abs(known - (math.log(p[token]) - math.log(q[token])) * 1e9) <= 2
        else:
            assert known is None
    count, groups = len(pairs), len(per_prompt)
    mean = math.fsum(map(math.fsum, divergences.values())) / count
    assert abs(row["kld_nnats"] - mean * 1e9) <= 2
    squares = sum(
        (math.fsum(values) - mean * len(values)) ** 2 for values in divergences.values()
    )
    t = 2.364624  # eight prompts
    assert groups == 8
    width = t * math.sqrt(groups / (groups - 1) * squares) / count
    assert abs(row["kld_half_width_nnats"] - width * 1e9) <= 1000
    assert row["floor_nnats"] == 0


def happened(found: Sweep, event: str, quant: str, **facts: Any) -> None:
    found.events.append(
        EventRow(
            event_id=f"event-{len(found.events)}",
            recorded_at=START,
            event=event,
            sweep_id=found.sweep_id,
            quant_tag=quant,
            **{"model_id": found.model_id, **facts},
        )
    )


def narrowed(found: Sweep, count: int, **facts: Any) -> None:
    names = [f"bank/{task}" for task in found.tasks[:count]]
    happened(found, "FIDELITY_NARROWED", "Q4_K_M", test_ids=names, **facts)


@together
def test_all_are_compared_on_the_prompts_that_there_was_time_for():
    """Q8_0 was asked all 24, and differs in the last 12; Q4_K_M was asked 10.

    Over the ten that both have, neither differs from F16.
    """
    quants = ("F16", "Q8_0", "Q4_K_M")
    found = Sweep(quants=quants, tasks=tuple(f"t{n:02}" for n in range(24)))
    answered(found)
    for number, task in enumerate(found.tasks):
        odd = SAME if number < 12 else {2: 0.5, 1: 0.25}
        found.score("Q8_0", task, [SAME, odd])
        if number < 10:
            found.score("Q4_K_M", task, [SAME] * 2)
    narrowed(found, 16)
    narrowed(found, 10)
    for quant, status in (("F16", "REFERENCE"), ("Q8_0", "OK"), ("Q4_K_M", "OK")):
        row = yield from of(found, quant)
        assert (row["status"], row["reason"]) == (status, None)
        assert (row["prompts"], row["kept_prompts"], row["positions"]) == (10, 10, 20)
        assert (row["broken_prompts"], row["narrowed_from"]) == (0, 24)


@together
def test_a_broken_prompt_among_those_that_are_compared_is_broken():
    found = Sweep(quants=("F16", "Q4_K_M"), tasks=tuple(f"t{n:02}" for n in range(24)))
    answered(found)
    follow(found, broken=2)
    narrowed(found, 10)
    row = yield from of(found)
    assert (row["prompts"], row["broken_prompts"]) == (8, 2)
    assert (row["status"], row["reason"]) == ("PARTIAL", "PATH_BROKEN")


@together
def test_what_another_model_has_no_time_for_is_no_matter():
    found = answered(sweep())
    follow(found)
    narrowed(found, 2, model_id="another")
    happened(found, "FIDELITY_LEFT_OUT", "Q4_K_M", model_id="another")
    row = yield from of(found)
    assert (row["status"], row["prompts"], row["narrowed_from"]) == ("OK", 8, None)


@pytest.mark.parametrize("count", [0, 3, 8])
@together
def test_who_was_left_out_has_no_figures_unless_it_was_asked_later(count):
    found = answered(sweep())
    happened(found, "FIDELITY_LEFT_OUT", "Q4_K_M")
    for task in TASKS[:count]:
        found.score("Q4_K_M", task, [SAME] * 2)
    row = yield from of(found)
    if count == 8:
        assert (row["status"], row["reason"], row["prompts"]) == ("OK", None, 8)
    else:
        assert (row["status"], row["reason"]) == ("UNSUPPORTED", "NO_TIME")
        assert row["prompts"] is row["broken_prompts"] is row["kept_prompts"] is None
