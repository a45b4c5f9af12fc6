"""One sweep for programs and for documents: what `orket show --format` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orket.cli.output import print_rows
from orket.errors import UsageError

if TYPE_CHECKING:
    from orket.exports.cost import Price
    from orket.warehouse import Warehouse

Document = Mapping[str, Any]

FORMATS = ("table", "json", "csv", "md", "benchstat")

_COLUMNS = (
    "quant_tag",
    "quant_rank",
    "bits_per_weight",
    "model_bytes",
    "peak_memory_bytes",
    "adherence_score",
    "adherence_low",
    "adherence_high",
    "lost",
    "gained",
    "proven",
    "separable",
    "total_latency",
    "latency_p50",
    "latency_p95",
    "ttft_seconds",
    "generation_tokens_per_second",
    "prompt_tokens_per_second",
    "token_status",
    "valid_runs",
    "planned_runs",
    "polluted_runs",
    "failed_runs",
    "run_quality_status",
    "run_quality_reasons",
    "eligible",
    "ineligible_reasons",
    "advised",
    "time_status",
    "seconds_per_passed_task",
    "seconds_low",
    "seconds_high",
    "cpu_energy_status",
    "cpu_joules_per_passed_task",
    "gpu_energy_status",
    "gpu_joules_per_passed_task",
    "context_status",
    "context_left_limit",
    "context_left_tokens",
)
"""Of each quant, as a file of comma-separated values has it."""
_PRICED = ("price_per_hour", "currency", "cost_per_1000_passed_tasks")


def print_as(
    output_format: str,
    store: Warehouse,
    sweep_id: str,
    overrides: Mapping[str, object],
    price: Price | None,
) -> None:
    """Print one sweep in a format that is none of the terminal's."""
    from orket.exports.load import load_summary, load_summary_row

    if price is not None and output_format in ("json", "benchstat"):
        raise UsageError(
            f"--price changes nothing in --format {output_format}",
            "what was measured is not priced; use csv or md",
        )
    if output_format == "json":
        from orket.exports.summary import render_summary

        row = load_summary_row(store, sweep_id, overrides)
        click.echo(render_summary(row), nl=False)
    elif output_format == "benchstat":
        from orket.exports.benchmark import render_benchmark

        click.echo(render_benchmark(store, sweep_id, overrides), nl=False)
    elif output_format == "csv":
        summary = load_summary(store, sweep_id, overrides)
        columns = ("sweep_id", "model_id", *_COLUMNS, *(_PRICED if price else ()))
        print_rows(_quant_rows(summary, price), columns, "csv")
    else:
        for line in _markdown(load_summary(store, sweep_id, overrides), price):
            click.echo(line)


def _quant_rows(summary: Document, price: Price | None) -> Iterator[dict[str, Any]]:
    """A row for each quant: plain values, empty where nothing is known."""
    for session in summary["sessions"]:
        advised = session["efficiency_frontier"]["advised_quant_tag"]
        for quant in session["per_quant"]:
            runs, tokens = quant["runs"], quant["token_metrics"]
            low, high = quant["adherence_interval"] or (None, None)
            pairs, cost = quant["pairs"] or {}, quant["cost"] or {}
            yield {
                "sweep_id": summary["sweep_id"],
                "model_id": session["model_id"],
                **{name: quant[name] for name in _COLUMNS if name in quant},
                "adherence_low": low,
                "adherence_high": high,
                "lost": pairs.get("flips_lost"),
                "gained": pairs.get("flips_gained"),
                "generation_tokens_per_second": tokens["generation_tokens_per_second"],
                "prompt_tokens_per_second": tokens["prompt_tokens_per_second"],
                "token_status": tokens["status"],
                "valid_runs": runs["valid"],
                "planned_runs": runs["planned"],
                "polluted_runs": runs["polluted"],
                "failed_runs": runs["failed"],
                "run_quality_reasons": " ".join(quant["run_quality_reasons"]),
                "ineligible_reasons": " ".join(quant["ineligible_reasons"]),
                "advised": quant["quant_tag"] == advised,
                **cost,
                **(_priced(cost, price) if price else {}),
            }


def _priced(cost: Document, price: Price) -> dict[str, Any]:
    amount = price.of(cost.get("seconds_per_passed_task"), 1000)
    return {
        "price_per_hour": price.per_hour,
        "currency": price.currency,
        "cost_per_1000_passed_tasks": None if amount is None else round(amount, 9),
    }


def _markdown(summary: Document, price: Price | None) -> Iterator[str]:
    from orket.cli.quant_table import quant_cells, quant_legends
    from orket.exports.cost import cost_table
    from orket.exports.markdown import markdown_table, markdown_text

    for place, session in enumerate(summary["sessions"]):
        if place:
            yield ""
        for line in session["recommendation_lines"] or [session["recommendation"]]:
            yield markdown_text(line) + "  "
        yield ""
        yield from markdown_table(*quant_cells(session))
        for legend in quant_legends(session):
            yield ""
            yield markdown_text(legend)
        if price and (table := cost_table(session, price)):
            yield ""
            yield markdown_text(f"What a passed task costs at {price} an hour:")
            yield ""
            places = range(1, len(table.headers))
            yield from markdown_table(table.headers, table.rows, list(places))
            for note in table.notes:
                yield ""
                yield markdown_text(note)
