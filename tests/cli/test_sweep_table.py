"""The terminal view of one sweep, as a person reads it."""

from __future__ import annotations

from typing import Any

import pytest

from orket.cli.advice import advise
from orket.cli.sweep_table import print_sweep
from orket.exports.figures import seconds, size
from orket.exports.summary import summary_document
from orket.planning.neutral import NEUTRAL_PRESET
from tests.summary_rows import quant_row, summary_row


@pytest.fixture
def shown(capsys):
    def run(**changes):
        row = summary_row() | changes
        print_sweep(summary_document(row))
        return capsys.readouterr().out

    return run


def line_with(text, word):
    return next(line for line in text.splitlines() if word in line)


def test_quants_stand_in_order_with_their_marks(shown):
    text = shown()
    assert text.index("\nF16") < text.index("\nQ4_K_M") < text.index("\nQ2_K")
    best = next(line for line in text.splitlines() if line.startswith("Q4_K_M"))
    assert "yes: use this" in best
    assert "98.5 (90 to 100)" in best
    assert "7/7" in best
    out = next(line for line in text.splitlines() if line.startswith("Q2_K"))
    assert "no: does too little of the work, tasks without an answer" in out
    assert "POLLUTED" in out


def test_the_recommendation_and_its_confidence_follow(shown):
    text = shown()
    assert "Use Q4_K_M." in text.splitlines()
    assert "It is shown." in text.splitlines()
    assert "smallest that passes Q4_K_M SUPPORTED" in line_with(text, "Confidence:")
    assert "best value Q4_K_M SUPPORTED and CLEAR" in line_with(text, "Confidence:")
    assert "Canary: passed" in text


def test_eighty_columns_hold_every_quant_uncut(shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    text = shown()
    assert "\x1b" not in text
    table = text[text.index("quant ") : text.index("* use this")]
    assert all(len(line) <= 80 for line in table.splitlines())
    assert "\u2026" not in table
    assert line_with(table, "Q4_K_M *")
    assert "no: does too" in line_with(table, "Q2_K")
    assert "CLEAN" in line_with(table, "Q4_K_M *") and " yes" in table


def test_what_disturbed_the_machine_comes_with_advice(shown):
    text = shown()
    busy = line_with(text, "HIGH_FOREIGN_CPU (4 runs)")
    assert "close them, or" in busy
    assert "provisional" in busy or "--profile" in busy
    assert text.index("CPU_STEAL") < text.index("HIGH_FOREIGN_CPU")


def test_a_looser_policy_is_said(shown):
    strict = shown()
    assert "Policy:" not in strict
    (session,) = summary_row()["sessions"]
    session["run_quality_policy"] |= {
        "include_polluted": "fill",
        "allow_unobserved": True,
    }
    loose = shown(
        sessions=[session],
        overrides=[{"key": "adherence_threshold_ppm", "value": "900000"}],
    )
    assert "Policy: polluted runs may count (fill)." in loose
    assert "not observed may count" in loose
    assert "adherence_threshold=0.9" in loose
    matrix = {**summary_row()["matrix"], "sandbox": "process"}
    assert "--sandbox process" in shown(matrix=matrix)


def test_a_sweep_lost_to_pollution_still_shows_its_figures(capsys):
    lost = summary_row()
    detail = lost["sessions"][0]["recommendation_detail"]
    would_be = {"best_value_quant": "Q8_0", "minimum_viable_quant": "Q8_0"}
    detail |= {"best_value_quant": None, "if_polluted_included": would_be}
    filled = summary_row()
    filled["sessions"][0]["per_quant"] = [quant_row("FILLED")]
    print_sweep(summary_document(lost), lambda: summary_document(filled))
    text = capsys.readouterr().out
    assert "best value Q8_0" in text
    assert text.index("no claim should rest") < text.index("FILLED")


def test_polluted_figures_are_not_asked_for_without_need(capsys):
    def ask() -> dict[str, Any]:
        raise AssertionError("asked without need")

    print_sweep(summary_document(summary_row()), ask)
    assert "no claim should rest" not in capsys.readouterr().out


def test_the_policy_of_each_model_is_said_where_they_differ(shown):
    (strict,), (loose,) = summary_row()["sessions"], summary_row()["sessions"]
    loose["model_id"] = "other"
    loose["run_quality_policy"]["include_polluted"] = "fill"
    text = shown(sessions=[strict, loose], include_polluted=None)
    assert "Policy of other: polluted runs may count (fill)." in text


def test_answers_cut_at_their_budget_are_counted(shown):
    (session,) = summary_row()["sessions"]
    for quant in session["per_quant"]:
        quant["runs"] |= {"answered": 3, "truncated": 0}
    session["per_quant"][1]["runs"]["truncated"] = 3
    text = shown(sessions=[session])
    assert "Answers cut at their budget: Q4_K_M 3 of 3" in text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.0123, "12.3 ms"), (12.346, "12.35 s")]
)
def test_durations(value, text):
    from decimal import Decimal

    assert seconds(None if value is None else Decimal(str(value))) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (3 * 2**20, "3.0 MiB"), (5 * 2**30, "5.00 GiB")],
)
def test_sizes(value, text):
    assert size(value) == text


def test_a_looser_profile_is_advised_only_where_there_is_one(tmp_path, monkeypatch):

    monkeypatch.setenv("ORKET_HOME", str(tmp_path))
    strict = advise("HIGH_FOREIGN_CPU", judged_with("0.1"))
    assert "--profile desktop or shared" in strict
    loosest = advise("HIGH_FOREIGN_CPU", judged_with("0.35"))
    assert "--profile" not in loosest
    assert "provisional results" in loosest
    admitted = advise("HIGH_FOREIGN_CPU", judged_with("0.35", "fill"))
    assert admitted == (
        "other programs used the CPU: close them, or judge the answers alone with "
        "--quality-only"
    )


def judged_with(foreign_cpu_share, include_polluted="never"):
    from decimal import Decimal

    limit = Decimal(foreign_cpu_share)
    return {
        "run_quality_policy": {
            "max_foreign_cpu_share": limit,
            "include_polluted": include_polluted,
        }
    }


def two_sessions():
    """Two models, of which the second lets polluted runs count."""
    row = summary_row()
    first = row["sessions"][0]
    policy = {**first["run_quality_policy"], "include_polluted": "fill"}
    row["sessions"] = [
        first,
        {**first, "model_id": "other", "run_quality_policy": policy},
    ]
    row["include_polluted"] = row["matrix"]["run_quality_policy"] = None
    return row


def test_two_gates_are_told_with_the_model_that_each_let_through(capsys):
    row = two_sessions()
    passed = row["canary"] | {"verdict": "PASSED", "failed_reasons": []}
    for session, profile in zip(row["sessions"], ("desktop", "night"), strict=True):
        session["canary"] = passed | {"control_profile": profile}
    print_sweep(summary_document(row))
    text = capsys.readouterr().out
    assert line_with(text, "Canary of demo:").endswith("control profile desktop")
    assert line_with(text, "Canary of other:").endswith("control profile night")
    assert "Canary:" not in text
    row["sessions"][1]["canary"] = row["sessions"][0]["canary"]
    print_sweep(summary_document(row))
    assert "Canary: passed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limit", "said"), [("0.03", "limit 3.0 %"), ("0.00004", "limit 0.004 %")]
)
def test_the_limit_of_a_gate_is_said_to_its_last_digit(shown, limit, said):
    from decimal import Decimal

    row = summary_row()
    ppm = int(Decimal(limit) * 1_000_000)
    told = line_with(
        shown(canary=row["canary"] | {"max_latency_cv_ppm": ppm}), "Canary:"
    )
    assert said in told


def test_two_policies_are_told_with_the_model_that_each_rules(capsys):
    print_sweep(summary_document(two_sessions()))
    text = capsys.readouterr().out
    assert "Policy of demo: clean, observed runs alone count." in text
    assert "Policy of other: polluted runs may count (fill)." in text
    assert "HIGH_FOREIGN_CPU (4 runs): " in text


def test_failed_runs_are_told_by_their_cause_grouped_and_first(shown):
    refused = {"error_class": "CONNECTION_REFUSED", "error_message": "nothing at :1"}
    session = summary_row()["sessions"][0]
    session["per_quant"] = [
        quant_row(
            tag,
            failures=[{**refused, "runs": runs}],
            run_quality_reason_counts={"RUN_FAILED": runs, "CPU_STEAL": 1},
        )
        for tag, runs in (("Q8_0", 2), ("Q4_K_M", 1))
    ]
    text = shown(sessions=[session], status="FAILED", status_reason="it is gone")
    assert "(FAILED: it is gone)" in text.splitlines()[0]
    cause = "  CONNECTION_REFUSED: nothing at :1 (3 runs of Q8_0, Q4_K_M)"
    assert cause in text.splitlines()
    assert text.index(cause) < text.index("CPU_STEAL (2 runs)")
    assert "RUN_FAILED" not in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [("0.025", "at most 25 ms a run"), ("1.9996", "at most 1.9996 s a run")],
)
def test_a_ceiling_is_said_to_its_last_digit(shown, seconds, said):
    from decimal import Decimal

    session = summary_row()["sessions"][0]
    session["thresholds"]["latency_ceiling_ns"] = int(Decimal(seconds) * 10**9)
    session["thresholds"]["adherence_threshold_ppm"] = 999_900
    text = shown(sessions=[session])
    assert said in text
    assert "at least 99.99 %" in text


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("kind", ["xterm-256color", "dumb"])
def test_prose_is_broken_between_words_at_every_width(shown, monkeypatch, width, kind):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    sentence = " ".join(["measured"] * 40)
    session = summary_row()["sessions"][0]
    session["recommendation_lines"] = [sentence]
    lines = [
        line for line in shown(sessions=[session]).splitlines() if "measured" in line
    ]
    assert len(lines) > 2
    assert all(len(line) <= width for line in lines)
    assert " ".join(" ".join(lines).split()) == sentence


def test_a_command_at_the_end_of_prose_stays_in_one_piece(
    tmp_path, capsys, monkeypatch
):
    from orket.cli.bucket_table import name_buckets
    from orket.warehouse import Warehouse

    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    row = summary_row()
    row["matrix"]["buckets"] = ["logic", "mixed", "refactor"]
    row["scope"] = None
    name_buckets(summary_document(row), Warehouse.open(tmp_path / "elsewhere"))
    lines = capsys.readouterr().out.splitlines()
    place = tmp_path / "elsewhere"
    first = next(n for n, line in enumerate(lines) if line.startswith("  orket show"))
    command = " ".join(line.removesuffix(" \\").strip() for line in lines[first:])
    assert command == f"orket show {row['sweep_id']} -w {place}"


def test_a_quant_that_lacks_runs_alone_is_not_called_polluted(shown):
    session = summary_row()["sessions"][0]
    session["per_quant"] = [
        quant_row("F16", run_quality_status="POLLUTED"),
        quant_row("Q4_K_M", run_quality_status="UNFINISHED"),
        quant_row("Q2_K", run_quality_status="NOT_RUN"),
    ]
    said = shown(sessions=[session])
    for quant, state in (
        ("F16", "POLLUTED"),
        ("Q4_K_M", "unfinished"),
        ("Q2_K", "not run"),
    ):
        assert state in next(row for row in said.splitlines() if row.startswith(quant))


def test_a_steadiness_that_was_not_asked_for_is_no_figure(shown):
    canary = summary_row()["canary"] | {"verdict": "PASSED", "failed_reasons": []}
    asked = shown(canary=canary | {"latency_judged": True})
    assert "time varies by" in line_with(asked, "Canary:")
    unjudged = canary | {"latency_judged": False}
    unsteady = shown(canary=unjudged | {"yielded_because": ["HIGH_FOREIGN_CPU"]})
    assert line_with(unsteady, "Canary:").endswith(
        ": equal calls were answered alike; times were not judged (the machine was "
        "not steady), so no speed is told"
    )
    unasked = line_with(shown(canary=unjudged | {"yielded_because": []}), "Canary:")
    assert "times were not judged (as by --quality-only)" in unasked
    assert "passed" not in unasked and "passed" not in unsteady
    assert "control profile" not in unasked
    assert "varies" not in unasked


def test_a_gate_that_was_disturbed_is_not_said_to_have_passed(shown):
    canary = summary_row()["canary"] | {"verdict": "PASSED", "failed_reasons": []}
    busy = canary | {"runs": 10, "disturbed_runs": 9, "mostly_disturbed": True}
    assert line_with(shown(canary=busy), "Canary:") == (
        "Canary: equal calls were answered alike; 9 of 10 were disturbed by other "
        "programs, so no speed is told"
    )
    failed = busy | {"verdict": "FAILED", "failed_reasons": ["CANARY_RUN_FAILED"]}
    assert "failed: canary run failed" in line_with(shown(canary=failed), "Canary:")


@pytest.mark.parametrize(
    ("reasons", "is_advised"),
    [
        (["LATENCY_VARIANCE_THRESHOLD_EXCEEDED"], True),
        (["ADHERENCE_VARIANCE_NON_ZERO"], False),
        (
            ["ADHERENCE_VARIANCE_NON_ZERO", "LATENCY_VARIANCE_THRESHOLD_EXCEEDED"],
            False,
        ),
        (["CANARY_RUN_FAILED"], False),
        (["TOO_FEW_CANARY_RUNS"], False),
        ([], False),
    ],
)
def test_a_profile_cures_a_gate_of_nothing_but_unsteady_times(
    shown, reasons, is_advised
):
    canary = summary_row()["canary"] | {
        "verdict": "FAILED" if reasons else "PASSED",
        "failed_reasons": reasons,
        "passing_profile": "shared",
    }
    told = line_with(shown(canary=canary, status="FAILED"), "Canary:")
    assert told.endswith("--profile shared would have passed") is is_advised
    assert ("--profile" in told) is is_advised


def test_a_gate_that_was_broken_off_has_not_failed_yet(shown):
    canary = summary_row()["canary"] | {
        "verdict": "FAILED",
        "failed_reasons": ["TOO_FEW_CANARY_RUNS"],
        "runs": 3,
    }
    for status in ("INTERRUPTED", "RUNNING"):
        told = line_with(shown(canary=canary, status=status), "Canary:")
        assert told.strip() == "Canary: not finished, 3 runs so far"
    assert "failed" in line_with(shown(canary=canary, status="FAILED"), "Canary:")


def test_a_preset_that_nobody_named_is_not_told_of(shown):
    changed = {
        "models": '["m Q8_0"]',
        "provider.name": '"ollama"',
        "tasks.limit": "12",
    }
    overrides = [{"key": key, "value": value} for key, value in changed.items()]
    named = shown(preset="own", overrides=overrides)
    assert "preset own, " in named
    assert "Changed against the preset: models=" in named
    neutral = shown(preset=NEUTRAL_PRESET, overrides=overrides)
    assert "preset" not in neutral
    assert "Given: tasks.limit=12" in neutral.splitlines()
    alone = shown(preset=NEUTRAL_PRESET, overrides=overrides[:2])
    assert "Given" not in alone


def test_what_was_not_run_disturbed_nothing(shown):
    session = summary_row()["sessions"][0]
    session["per_quant"] = [
        quant_row("F16", run_quality_reason_counts={"NOT_RUN": 7, "CPU_STEAL": 2}),
        quant_row("Q2_K", run_quality_reason_counts={"NOT_RUN": 5}),
    ]
    said = shown(sessions=[session])
    assert "Not run: 12 runs; the sweep stopped before them." in said
    disturbed = said.partition("What disturbed the measurement:")[2]
    assert "CPU_STEAL (2 runs)" in disturbed
    assert "NOT_RUN" not in disturbed


def test_the_answer_comes_first_and_what_was_run_last(shown):
    done = shown(status="COMPLETED", status_reason=None).splitlines()
    assert done[:2] == ["Use Q4_K_M.", "It is shown."]
    places = [
        next(number for number, line in enumerate(done) if line.startswith(start))
        for start in ("quant ", "Confidence:", "What disturbed", "Sweep ", "Canary:")
    ]
    assert places == sorted(places)
    # What did not come to its end says so before anything else.
    stopped = shown(status="INTERRUPTED", status_reason=None).splitlines()
    assert stopped[0].startswith("Sweep sweep_id (INTERRUPTED)")
    assert sum(line.startswith("Sweep ") for line in stopped) == 1


def test_stored_baselines_are_told_by_their_verdict(shown):
    session = summary_row()["sessions"][0]
    compared = session["per_quant"][0]["baseline_comparison"]
    compared |= {"verdict": "REGRESSED", "matched_tests": 3}
    compared |= {"verdict_counts": {"REGRESSED": 2, "STABLE": 1}}
    second, *others = session["per_quant"][1:]
    second["baseline_comparison"] |= compared | {"verdict_counts": {"REGRESSED": 3}}
    for quant in others:
        quant["baseline_comparison"] |= {"matched_tests": 0}
    text = shown(sessions=[session])
    assert line_with(text, "Against stored") == (
        f"Against stored baselines, regressed: F16 2 of 3 tasks, "
        f"{second['quant_tag']} 3 of 3"
    )


@pytest.mark.parametrize(
    ("columns", "told", "dropped"),
    [
        ("60", "same %", "memory"),
        ("80", "memory", "bpw"),
        ("120", "latency", "no such column"),
    ],
)
def test_a_narrow_terminal_keeps_what_matters_most(
    columns, told, dropped, shown, monkeypatch
):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    session = summary_row()["sessions"][0]
    session["per_quant"] = [
        quant_row(tag, adherence_score_micro=985_000, peak_memory_bytes=10**9)
        for tag in ("F16", "Q4_K_M")
    ]
    text = shown(sessions=[session])
    assert max(map(len, text.splitlines())) <= int(columns)
    header = line_with(text, "quant ")
    assert told in header
    assert dropped not in header


@pytest.mark.parametrize(("tasks", "is_explained"), [(12, True), (0, False)])
def test_who_shares_no_task_with_the_baseline_is_not_called_like_it(
    shown, tasks, is_explained
):
    (session,) = summary_row()["sessions"]
    pairs = session["per_quant"][0]["pairs"] | {"n": tasks}
    quants = [q | {"pairs": pairs, "separable": False} for q in session["per_quant"]]
    text = shown(sessions=[session | {"per_quant": quants}])
    assert ("~ not to be told from the reference" in text) is is_explained


def test_what_all_quants_are_out_for_is_said_once(shown):
    session = summary_row()["sessions"][0]
    out = {"eligible": False}
    both = ["INSUFFICIENT_VALID_RUNS", "NO_BASELINE_ADHERENCE"]
    session["per_quant"] = [
        quant_row("F16", **out, ineligible_reasons=["NO_BASELINE_ADHERENCE"]),
        quant_row("Q2_K", **out, ineligible_reasons=both),
    ]
    said = shown(sessions=[session])
    assert said.count("nothing to compare with") == 1
    assert "No quant is eligible: nothing to compare with" in said.splitlines()
    rows = {line.split()[0]: line for line in said.splitlines() if line}
    assert rows["F16"].endswith(" no")
    assert rows["Q2_K"].endswith("no: too few runs")
    session["per_quant"][0] = quant_row("F16", eligible=True)
    assert "No quant is eligible" not in shown(sessions=[session])


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_an_output_of_few_characters_has_rules_of_hyphens_or_its_own(encoding):
    from orket.cli.output import with_plain_rules

    line = with_plain_rules("\u2500\u2500 a", encoding)
    assert line.encode(encoding).decode(encoding) == line
    assert line == ("\u2500\u2500 a" if encoding == "cp437" else "-- a")


@pytest.mark.parametrize("columns", ["80", "200"])
def test_times_that_are_not_shown_to_repeat_are_marked(shown, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    (session,) = summary_row()["sessions"]
    session["recommendation_detail"]["tells_speed"] = True
    steady = shown(sessions=[session])
    assert "?" not in line_with(steady, "quant ")
    session["recommendation_detail"]["tells_speed"] = False
    text = shown(sessions=[session])
    assert "tokens/s?" in line_with(text, "quant ")
    assert "? measured, but not shown to repeat: tells no quant faster" in text
    assert "best value Q4_K_M" not in text


@pytest.mark.parametrize("columns", ["80", "200"])
@pytest.mark.parametrize(
    ("yielded", "why"),
    [
        (["TIMES_VARY"], "answers alone were judged (the machine was not steady)"),
        ([], "answers alone were judged (as by --quality-only)"),
    ],
)
def test_where_answers_alone_are_judged_no_time_stands_beside_them(
    shown, monkeypatch, columns, yielded, why
):
    """Clean for its answer is not clean for its time: CLEAN beside it would say so."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    (session,) = summary_row()["sessions"]
    session["run_quality_policy"]["quality_only"] = True
    session["recommendation_detail"]["tells_speed"] = False
    session["canary"]["yielded_because"] = yielded
    text = shown(sessions=[session])
    header = line_with(text, "quant ")
    assert "latency" not in header and "tokens/s" not in header
    flat = " ".join(text.split())
    assert flat.count(f"no latency and no tokens/s: {why}") == 1
    assert "not shown to repeat" not in text


def test_times_that_nobody_has_are_not_marked(shown):
    (session,) = summary_row()["sessions"]
    session["recommendation_detail"]["tells_speed"] = False
    for quant in session["per_quant"]:
        quant["total_latency_ns"] = None
        quant["token_metrics"]["generation_tokens_per_second_milli"] = None
    assert "measured, but not shown to repeat" not in shown(sessions=[session])


def test_the_legend_names_the_marks_that_are_there(shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    (session,) = summary_row()["sessions"]
    session["baseline_quant"] = "F16"
    session["efficiency_frontier"] |= {
        "advised_quant_tag": "F16",
        "smallest_supported_quant_tag": "F16",
        "minimum_viable_quant_tag": "Q4_K_M",
    }
    text = shown(sessions=[session])
    assert "* safe choice, < smallest that passes" in text.splitlines()


def test_a_bucket_says_why_the_reference_is_to_be_used(capsys, monkeypatch):
    from orket.cli import bucket_table

    answers = {
        "logic": {"advised_quant": "F16", "confidence": "NEEDS_MORE_TASKS"},
        "mixed": {"advised_quant": "Q4_K_M", "confidence": "SUPPORTED"},
    }
    common = {
        "model_id": "demo",
        "baseline_quant_tag": "F16",
        "minimum_viable_quant": "Q4_K_M",
        "best_value_quant": "Q4_K_M",
        "best_value_status": "WITHIN_NOISE",
        "reference_tasks": 72,
        "tasks_needed": 400,
    }
    monkeypatch.setattr(
        "orket.exports.load.load_bucket_answers",
        lambda store, sweep, buckets, given: {
            bucket: [common | answers[bucket]] for bucket in buckets
        },
    )
    row = summary_row()
    row["matrix"]["buckets"] = ["logic", "mixed"]
    row["scope"] = None
    for is_timed in (True, False):
        (session,) = row["sessions"]
        session["recommendation_detail"]["tells_speed"] = is_timed
        bucket_table.print_buckets(summary_document(row), None, {})  # type: ignore[arg-type]
        told = capsys.readouterr().out
        assert "F16, safe choice" in line_with(told, "logic ")
        assert "safe choice" not in line_with(told, "mixed ")
        assert "safe choice: the reference; by the tasks of that bucket" in told
        assert ("Q4_K_M?" in told) == is_timed
        assert ("?: not told from others" in told) == is_timed
