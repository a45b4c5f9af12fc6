"""One sweep for a person: the table, the recommendation, and how far to trust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orket.cli.advice import ADVICE, UNKNOWN_REASON
from orket.cli.messages import escape_text
from orket.cli.output import print_line, print_table, show_value

if TYPE_CHECKING:
    from rich.table import Table

Document = Mapping[str, Any]

_HEADERS = (
    "quant",
    "bpw",
    "size",
    "adherence %",
    "latency",
    "tokens/s",
    "runs",
    "quality",
    "eligible",
)
_LEFT = frozenset({"quant", "quality", "eligible"})


def print_sweep(
    summary: Document, with_polluted: Callable[[], Document] | None = None
) -> None:
    """Print a summary document, session by session.

    `with_polluted` gives the same sweep judged with polluted runs. It is asked, and its
    table shown too, only where pollution alone stands against a recommendation.
    """
    print_line(_headline(summary))
    print_line(f"Canary: {_canary_line(summary['canary'])}")
    for session in summary["sessions"]:
        print_line()
        print_line(_session_line(session))
        _print_block(_session_table(session))
        for line in _session_words(session):
            print_line(line)
    if with_polluted and any(map(_lost_to_pollution, summary["sessions"])):
        _print_polluted(with_polluted())
    for line in _policy_words(summary):
        print_line(line)
    for line in _disturbances(summary):
        print_line(line)


def _print_block(table: Table) -> None:
    print_line()
    print_table(table)
    print_line()


def _lost_to_pollution(session: Document) -> bool:
    detail = session["recommendation_detail"]
    would_be = detail["if_polluted_included"]
    return detail["best_value_quant"] is None and bool(
        would_be and would_be["best_value_quant"]
    )


def _print_polluted(summary: Document) -> None:
    for session in summary["sessions"]:
        print_line()
        print_line(
            f"{session['model_id']} with polluted runs, on which no claim should rest:"
        )
        print_line()
        print_table(_session_table(session))


def _headline(summary: Document) -> str:
    machine = summary["hardware"]["cpu"] or "unknown machine"
    return (
        f"Sweep {summary['sweep_id']} ({summary['status']}), "
        f"preset {summary['preset']}, on {machine}"
    )


def _session_line(session: Document) -> str:
    provider = session["provider"]
    server = " ".join(filter(None, (provider["name"], provider["version"])))
    limits = session["thresholds"]
    baseline = session["baseline_quant"] or "the baseline quant"
    return (
        f"{session['model_id']} on {server}: keep at least "
        f"{percent(limits['adherence_threshold'], 0)} of {baseline}'s adherence, "
        f"at most {seconds(limits['latency_ceiling'])} a run"
    )


def _session_table(session: Document) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in _HEADERS:
        table.add_column(Text(header), justify="left" if header in _LEFT else "right")
    best = session["efficiency_frontier"]["best_value_quant_tag"]
    for quant in session["per_quant"]:
        cells = [Text(escape_text(cell)) for cell in _quant_cells(quant, session)]
        if quant["quant_tag"] == best:
            cells[0].stylize("bold")
        clean = quant["run_quality_status"] == "CLEAN"
        cells[7].stylize("green" if clean else "yellow")
        cells[8].stylize("green" if quant["eligible"] else "dim")
        table.add_row(*cells)
    return table


def _quant_cells(quant: Document, session: Document) -> list[str]:
    runs = quant["runs"]
    return [
        quant["quant_tag"],
        decimals(quant["bits_per_weight"], 2),
        size(quant["model_bytes"]),
        _adherence(quant),
        seconds(quant["total_latency"]),
        decimals(quant["token_metrics"]["generation_tokens_per_second"], 1),
        f"{runs['valid']}/{runs['planned']}",
        quant["run_quality_status"],
        _verdict(quant, session["efficiency_frontier"]),
    ]


def _adherence(quant: Document) -> str:
    score, interval = quant["adherence_score"], quant["adherence_interval"]
    if score is None or not interval:
        return "-"
    low, high = (decimals(bound * 100, 0) for bound in interval)
    return f"{decimals(score * 100, 1)} ({low} to {high})"


def _verdict(quant: Document, frontier: Document) -> str:
    if not quant["eligible"]:
        return "no: " + ", ".join(map(words, quant["ineligible_reasons"]))
    marks = [
        mark
        for mark, tag in (
            ("best value", frontier["best_value_quant_tag"]),
            ("minimum viable", frontier["minimum_viable_quant_tag"]),
        )
        if tag == quant["quant_tag"]
    ]
    return "yes: " + ", ".join(marks) if marks else "yes"


def _session_words(session: Document) -> Iterator[str]:
    detail = session["recommendation_detail"]
    yield session["recommendation"]
    if detail["confidence"]:
        yield f"Confidence: {detail['confidence']}{_evidence(detail)}"
    if detail["rivals"]:
        rivals = ", ".join(rival["quant_tag"] for rival in detail["rivals"])
        yield f"Within noise of the best value on speed: {rivals}"
    polluted = detail["if_polluted_included"]
    if polluted and polluted["best_value_quant"]:
        yield (
            "If polluted runs counted: best value "
            f"{polluted['best_value_quant']}, minimum viable "
            f"{polluted['minimum_viable_quant']} (--include-polluted fill)"
        )


def _evidence(detail: Document) -> str:
    if detail["tasks"] is None:
        return ""
    text = f", on {detail['tasks']} tasks"
    if detail["tasks_needed"] is not None:
        text += f"; {detail['tasks_needed']} would support it"
    return text


def _canary_line(canary: Document) -> str:
    verdict = words(canary["verdict"])
    profile = canary["control_profile"]
    named = f", control profile {profile}" if profile else ""
    spread, limit = canary["internal_latency_cv"], canary["max_latency_cv"]
    if spread is None or limit is None:
        measured = ""
    else:
        measured = (
            f", {canary['latency_basis']} time varies by {percent(spread)} "
            f"(limit {percent(limit)})"
        )
    reasons = ", ".join(map(words, canary["failed_reasons"]))
    why = f": {reasons}" if reasons else ""
    passing = canary["passing_profile"]
    remedy = f"; --profile {passing} would have passed" if reasons and passing else ""
    return verdict + why + measured + named + remedy


def _policy_words(summary: Document) -> Iterator[str]:
    """What the policy admits beyond clean, observed runs."""
    if summary["include_polluted"] != "never":
        yield f"Policy: polluted runs may count ({summary['include_polluted']})."
    if summary["allow_unobserved"]:
        yield "Policy: runs whose environment was not observed may count."
    if summary["matrix"]["sandbox"] == "process":
        yield "Policy: code answers ran as processes of their own (--sandbox process)."
    if summary["overrides"]:
        given = summary["overrides"].items()
        changed = ", ".join(f"{key}={show_value(value)}" for key, value in given)
        yield f"Changed against the preset: {changed}"


def _disturbances(summary: Document) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for session in summary["sessions"]:
        for quant in session["per_quant"]:
            counts.update(quant["run_quality_reason_counts"])
    if not counts:
        return
    yield ""
    yield "What disturbed the measurement:"
    for reason, runs in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield f"  {reason} ({runs} runs): {ADVICE.get(reason, UNKNOWN_REASON)}"


def words(code: str) -> str:
    """A reason code as words: RUN_FAILURES is `run failures`."""
    return code.replace("_", " ").lower()


def percent(ratio: Decimal | None, digits: int = 1) -> str:
    """A ratio as percent."""
    return f"{decimals(ratio * 100, digits)} %" if ratio is not None else "-"


def decimals(value: Decimal | None, digits: int) -> str:
    """A number with a fixed count of decimals."""
    return "-" if value is None else f"{value:.{digits}f}"


def seconds(value: Decimal | None) -> str:
    """A duration in the unit that reads best."""
    if value is None:
        return "-"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def size(value: int | None) -> str:
    """Bytes in MiB or GiB."""
    if value is None:
        return "-"
    mebibytes = value / 2**20
    return f"{mebibytes:.1f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.2f} GiB"
