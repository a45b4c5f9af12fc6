"""`orket determinism`: does the same request give the same answer?"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.chosen_preset import load_chosen_preset
from orket.cli.options import format_option, output_option, running_store_option
from orket.cli.output import print_prose, print_rows
from orket.cli.rejudge import read_decimal
from orket.cli.running import (
    explain_interrupt,
    failure_of,
    new_id,
    run_plan,
)
from orket.cli.sweep_options import SweepOptions, sweep_options
from orket.cli.writable import check_output, check_warehouse
from orket.errors import CheckFailed

if TYPE_CHECKING:
    from orket.planning.plan import Plan
    from orket.warehouse import Warehouse

DEFAULT_RUNS = 5

_COLUMNS = (
    ("model_id", "model"),
    ("quant_tag", "quant"),
    ("test_id", "task"),
    "bucket",
    ("attempts", "runs"),
    ("distinct_answers", "answers"),
    ("is_deterministic", "deterministic"),
    ("first_divergence", "first difference"),
)
_NAMES = ("model_id", "quant_tag", "test_id")


@click.command()
@click.argument("preset", metavar="MODEL|FOLDER|URL|PRESET")
@sweep_options
@click.option(
    "--require",
    "required",
    callback=read_decimal,
    metavar="RATE",
    help="Exit with 4 below this rate of deterministic tasks, e.g. 1.0.",
)
@click.option("--all", "show_all", is_flag=True, help="List deterministic tasks too.")
@format_option
@output_option
@running_store_option
@click.pass_context
def determinism(
    ctx: click.Context,
    preset: str,
    chosen: SweepOptions,
    required: Decimal | None,
    show_all: bool,
    output_format: str | None,
    output: str | None,
    store: Warehouse,
) -> None:
    """Repeat each task of PRESET under fixed controls and say which answers differ.

    Each task and quant is run --runs times (5 unless given) with one and the same
    prompt. `first difference` is the first character, from 1, in which answers differ.
    """
    from orket.exports.json_text import render_json
    from orket.exports.load import write_file
    from orket.planning.plan import DETERMINISM, build_plan
    from orket.planning.preset import Change, override
    from orket.planning.served import fill_served
    from orket.sweep.judge import count_determinism, read_determinism

    check_output(output)
    check_warehouse(store)
    resolved = fill_served(load_chosen_preset(preset, chosen))
    if chosen.runs is None:
        resolved = override(resolved, [Change("repetitions", DEFAULT_RUNS)])
    plan = build_plan(resolved, new_id(resolved.name), purpose=DETERMINISM)
    outcome = run_plan(plan, store)
    if outcome.status == "INTERRUPTED":
        ctx.exit(explain_interrupt(plan.sweep_id, store, outcome.calls, None))
    rows = read_determinism(store, plan.sweep_id)
    counts = count_determinism(
        store, plan.sweep_id, int((required or Decimal(0)) * 10**6)
    )
    report = _report(plan, rows, counts, required)
    if output and output != "-":
        write_file(Path(output), render_json(report).encode() + b"\n")
        messages.note(f"wrote {output}")
    if output_format == "json" or output == "-":
        click.echo(render_json(report))
    else:
        differing = [row for row in rows if show_all or not row["is_deterministic"]]
        if differing:
            print_rows(differing, _COLUMNS, output_format, names=_NAMES)
        print_prose(_sentence(counts))
    if failure := failure_of(outcome, None):
        raise failure
    _require(required, counts)


def _report(
    plan: Plan,
    rows: list[dict[str, Any]],
    counts: dict[str, Any],
    required: Decimal | None,
) -> dict[str, Any]:
    return {
        "sweep_id": plan.sweep_id,
        "preset": plan.preset,
        "plan_hash": plan.plan_hash,
        "runs_per_task": plan.repetitions,
        "groups": counts["groups"],
        "deterministic": counts["deterministic"],
        "determinism_rate": _ratio(counts["rate_micro"]),
        "required_rate": required,
        "met": counts["is_met"] if required is not None else None,
        "tasks": [
            {
                "model_id": row["model_id"],
                "quant_tag": row["quant_tag"],
                "test_id": row["test_id"],
                "bucket": row["bucket"],
                "seed": row["seed"],
                "runs": row["attempts"],
                "distinct_answers": row["distinct_answers"],
                "deterministic": row["is_deterministic"],
                "first_divergence": row["first_divergence"],
                "answer_hashes": row["answer_hashes"],
            }
            for row in rows
        ],
    }


def _ratio(micro: int | None) -> Decimal | None:
    return None if micro is None else Decimal(micro) / 10**6


def _sentence(counts: dict[str, Any]) -> str:
    if not counts["groups"]:
        return "Nothing was repeated: no task has two answers to compare."
    return (
        f"{counts['deterministic']} of {counts['groups']} tasks and quants gave one "
        f"answer to equal requests ({counts['rate_micro'] / 10_000:.2f} %)."
    )


def _require(required: Decimal | None, counts: dict[str, Any]) -> None:
    if required is None or counts["is_met"]:
        return
    rate = counts["rate_micro"]
    found = "was not measured" if rate is None else f"is {rate / 10**6}"
    raise CheckFailed(
        f"the determinism rate {found}, required is {required}",
        "fix the seed, set temperature to 0, and let nobody else use the server",
    )
