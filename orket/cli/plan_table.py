"""A plan for a person, and the same as JSON."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from orket.cli.output import print_prose, print_rows
from orket.exports.figures import duration
from orket.urls import without_secret

if TYPE_CHECKING:
    from orket.machine.memory import FreeMemory
    from orket.planning.fit import Need
    from orket.planning.plan import Plan
    from orket.warehouse import Warehouse


def plan_document(plan: Plan, store: Warehouse, summary: str) -> dict[str, Any]:
    """The resolved plan as plain values."""
    from orket.machine.checkout import read_checkout
    from orket.machine.memory import read_free_memory
    from orket.planning.estimate import estimate_plan
    from orket.planning.evidence import count_families, warn_of_few
    from orket.planning.fit import find_needs
    from orket.planning.past import forecast_from
    from orket.planning.readiness import list_missing, warn_of_context, warn_of_copies
    from orket.policy import changed_policy
    from orket.records import Controls

    estimate = estimate_plan(plan, forecast_from(store, plan))
    checkout = read_checkout()
    needs, free = find_needs(plan), read_free_memory()
    phases = [run.phase for run in plan.runs]
    return {
        "preset": plan.preset,
        "plan_hash": plan.plan_hash,
        "policy_hash": plan.policy_hash,
        "provider": {
            "name": plan.server.provider,
            "url": _shown(plan.server.options.url),
            "streaming": plan.server.options.streaming,
        },
        "control_profile": ", ".join(plan.control_profiles),
        "commit": str(checkout) if checkout else None,
        "order": plan.order,
        "budget_seconds": plan.budget_seconds,
        "repetitions": plan.repetitions,
        "polluted_retries": plan.polluted_retries,
        "task_bank": sorted({entry.bank for entry in plan.task_entries}),
        "tasks": len(plan.tasks),
        "families": count_families(plan.task_entries),
        "buckets": sorted({entry.bucket for entry in plan.task_entries}),
        "calls": {
            "warmup": phases.count("warmup"),
            "canary": phases.count("canary"),
            "matrix": phases.count("matrix"),
            "total": len(phases),
        },
        "canary": [
            {"model": cell.model_id, "quant": cell.quant_tag, "task": cell.test_id}
            for cell in plan.canary
        ],
        "fidelity": _fidelity(plan),
        "models": [
            {
                "id": model.model_id,
                "control_profile": plan.profiles[model.model_id].name,
                "controls": {
                    name: getattr(model.controls, name)
                    for name in Controls.__struct_fields__
                },
                "changed_thresholds": {
                    key: {"value": value, "default": default}
                    for key, (value, default) in changed_policy(model.policy).items()
                },
                "quants": [
                    {
                        "quant": target.ref.quant_tag,
                        "name": target.ref.name,
                        "url": _shown(target.url),
                        "file": str(target.ref.path) if target.ref.path else None,
                        "digest": target.digest,
                        "bytes": target.model_bytes,
                        **_need(needs.get(target.ref), free),
                        "missing": target.missing,
                    }
                    for target in model.targets
                ],
            }
            for model in plan.models
        ],
        "blocks": [
            _block(index, list(runs))
            for index, runs in groupby(plan.runs, key=lambda run: run.block_index)
        ],
        "labels": {label.key: label.value for label in plan.labels},
        "overrides": {entry.key: json.loads(entry.value) for entry in plan.overrides},
        "artifacts": _artifacts(plan, store, summary),
        "estimate": {
            "seconds": None if estimate.seconds is None else round(estimate.seconds),
            "warehouse_bytes": estimate.warehouse_bytes,
            "largest_model_bytes": estimate.largest_model_bytes,
            "basis": estimate.basis,
        },
        "warnings": [
            *warn_of_few(plan.task_entries, plan.models),
            *warn_of_context(plan),
            *warn_of_copies(plan),
        ],
        "missing": list_missing(plan),
    }


def print_plan(plan: Plan, store: Warehouse, summary: str) -> None:
    """Print a plan: what runs, under which controls, and what it leaves behind."""
    document = plan_document(plan, store, summary)
    print_prose(
        f"Plan of preset {plan.preset}" + (f": {plan.title}" if plan.title else "")
    )
    for title, value in _headlines(document):
        print_prose(f"  {title:<16} {value}")
    for model in document["models"]:
        _print_model(model)
    _print_order(document["blocks"], document["budget_seconds"] is not None)
    print_prose()
    print_prose("Will write:")
    for path in document["artifacts"]:
        print_prose(f"  {path}")
    print_prose()
    print_prose(_estimate_line(document))
    for warning in document["warnings"]:
        print_prose(f"Note: {warning}")
    for missing in document["missing"]:
        print_prose(f"Not runnable here: {missing}")


def _headlines(document: dict[str, Any]) -> list[tuple[str, str]]:
    calls = document["calls"]
    gate = ", ".join(f"{c['quant']} on {c['task']}" for c in document["canary"])
    provider = document["provider"]
    lines = [
        ("provider", " ".join(filter(None, (provider["name"], provider["url"])))),
        ("control profile", document["control_profile"]),
        (
            "tasks",
            f"{document['tasks']} of bank {', '.join(document['task_bank'])} "
            f"({', '.join(document['buckets'])})",
        ),
        (
            "order",
            f"{_order_words(document)}, at most "
            f"{document['polluted_retries']} retry passes for polluted runs",
        ),
        ("canary", gate or "none"),
        *_fidelity_lines(document["fidelity"]),
        (
            "calls",
            f"{calls['total']}: {calls['warmup']} warm-up, {calls['canary']} canary, "
            f"{calls['matrix']} matrix",
        ),
        ("commit", document["commit"] or "none: not started from a checkout"),
        ("plan hash", document["plan_hash"]),
        ("policy hash", document["policy_hash"]),
    ]
    for key, value in document["overrides"].items():
        lines.append(("overridden", f"{key} = {value}"))
    return lines


def _fidelity(plan: Plan) -> dict[str, Any] | None:
    """The phase `fidelity`: an answer of the reference, and one row for each quant."""
    if plan.fidelity is None:
        return None
    prompts = len(plan.fidelity.test_ids)
    quants = sum(len(model.targets) for model in plan.models)
    return {
        "k": plan.fidelity.k,
        "max_tokens": plan.fidelity.max_tokens,
        "prompts": prompts,
        "rows": prompts * (quants + len(plan.models)),
    }


def _fidelity_lines(fidelity: dict[str, Any] | None) -> list[tuple[str, str]]:
    if fidelity is None:
        return []
    return [
        (
            "fidelity",
            f"{fidelity['prompts']} prompts, answers of at most "
            f"{fidelity['max_tokens']} tokens, {fidelity['k']} likeliest tokens at "
            f"each place: {fidelity['rows']} rows before the matrix",
        )
    ]


def _order_words(document: dict[str, Any]) -> str:
    budget = document["budget_seconds"]
    if budget is None:
        return f"{document['order']}, {document['repetitions']} repetitions"
    return f"{document['order']}: rounds within {duration(budget)}"


def _print_model(model: dict[str, Any]) -> None:
    print_prose()
    print_prose(f"Model {model['id']}, control profile {model['control_profile']}")
    controls = {
        name: "not set" if value is None else value
        for name, value in model["controls"].items()
    }
    print_prose("  controls  " + ", ".join(f"{k} {v}" for k, v in controls.items()))
    for key, change in model["changed_thresholds"].items():
        print_prose(
            f"  threshold {key} = {change['value']} (default {change['default']})"
        )
    rows = [
        {
            "quant": quant["quant"],
            "name": quant["name"] or "whatever is served",
            "identity": _identity(quant),
            "MiB": None if quant["bytes"] is None else round(quant["bytes"] / 2**20, 1),
            "needs": quant["needs_bytes"] and round(quant["needs_bytes"] / 2**20, 1),
            "memory": quant["fit"],
            "at": quant["file"] or quant["url"],
        }
        for quant in model["quants"]
    ]
    print_rows(
        rows,
        ["quant", "name", "identity", "MiB", ("needs", "needs MiB"), "memory", "at"],
        "table",
    )


def _identity(quant: dict[str, Any]) -> str:
    if quant["missing"]:
        return "not there"
    return str(quant["digest"] or "asked of the server")[:23]


def _print_order(blocks: list[dict[str, Any]], is_adaptive: bool) -> None:
    print_prose("Order of blocks (each opens with its warm-ups):")
    passes: dict[tuple[str, str, int], list[str]] = {}
    for block in blocks:
        key = (block["phase"], block["model"], block["repetition"])
        passes.setdefault(key, []).append(block["quant"])
    for (phase, model, repetition), quants in passes.items():
        if phase == "matrix" and is_adaptive:
            asked = list(dict.fromkeys(quants))
            print_prose(
                f"  {model}  rounds, as far as the budget and the evidence ask: "
                f"{', '.join(asked)}"
            )
            continue
        title = f"repetition {repetition}" if phase == "matrix" else phase
        print_prose(f"  {model}  {title}: {' > '.join(quants)}")


def _block(index: int, runs: list[Any]) -> dict[str, Any]:
    last = runs[-1]
    return {
        "block": index,
        "phase": last.phase,
        "model": last.model_id,
        "quant": last.quant_tag,
        "repetition": last.repetition if last.phase == "matrix" else 0,
        "calls": len(runs),
    }


def _artifacts(plan: Plan, store: Warehouse, summary: str) -> list[str]:
    datasets = ["sweeps", "runs", *(["sidecars"] if plan.sidecar else [])]
    datasets += ["fidelity"] if plan.fidelity else []
    paths = [
        str(store.path / dataset / "sweep_id=<sweep>" / "part-*.parquet")
        for dataset in datasets
    ]
    return [*paths, str(store.path / "events" / "part-*.parquet"), summary]


def _estimate_line(document: dict[str, Any]) -> str:
    estimate = document["estimate"]
    is_adaptive = document["budget_seconds"] is not None
    disk = f"{estimate['warehouse_bytes'] / 2**20:.1f} MiB in the warehouse"
    if estimate["seconds"] is None:
        return f"Estimate: time unknown (sizes are the server's to say), {disk}"
    largest = estimate["largest_model_bytes"] / 2**30
    return (
        f"Estimate: {'all of it ' if is_adaptive else ''}"
        f"about {duration(estimate['seconds'])}, {disk}, largest model "
        f"{largest:.2f} GiB; {estimate['basis']}"
    )


def _need(need: Need | None, free: FreeMemory) -> dict[str, Any]:
    """Memory of one quant at the planned context, and whether that much is free."""
    from orket.planning.fit import judge_fit

    if need is None:
        return {"needs_bytes": None, "fit": None}
    return {"needs_bytes": need.total_bytes, "fit": judge_fit(need, free)}


def _shown(url: str | None) -> str | None:
    return None if url is None else without_secret(url)
