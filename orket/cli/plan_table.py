"""A plan for a person, and the same as JSON."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from orket.cli.opening import estimate_line, print_seen, prompt_words
from orket.cli.output import print_prose
from orket.exports.figures import duration
from orket.planning.rounds import REPEAT
from orket.urls import without_secret

if TYPE_CHECKING:
    from orket.planning.estimate import Estimate, Span
    from orket.planning.plan import Plan
    from orket.planning.survey import Seen, Survey
    from orket.planning.targets import Target
    from orket.warehouse import Warehouse


def plan_document(
    plan: Plan, store: Warehouse, summary: str, survey: Survey
) -> dict[str, Any]:
    """The resolved plan as plain values."""
    return _document(plan, store, summary, survey, _estimate(plan, store, survey))


def _estimate(plan: Plan, store: Warehouse, survey: Survey) -> Estimate:
    from orket.planning.estimate import estimate_plan
    from orket.planning.past import forecast_from
    from orket.planning.prompts_in_time import fit_plan

    forecast = forecast_from(store, plan, survey.sizes)
    return estimate_plan(fit_plan(plan, forecast), forecast)


def _document(
    plan: Plan, store: Warehouse, summary: str, survey: Survey, estimate: Estimate
) -> dict[str, Any]:
    from orket.machine.checkout import read_checkout
    from orket.planning.evidence import count_families, warn_of_few
    from orket.planning.plan import ANSWERS
    from orket.planning.readiness import (
        list_missing,
        warn_of_context,
        warn_of_copies,
        warn_of_unknown,
    )
    from orket.planning.usual import count_calls
    from orket.policy import changed_policy
    from orket.records import Controls

    checkout = read_checkout()
    seen = {model.model_id: model for model in survey.models}
    phases = [run.phase for run in plan.runs]
    calls = count_calls(plan)
    return {
        "preset": plan.preset,
        "plan_hash": plan.plan_hash,
        "policy_hash": plan.policy_hash,
        "provider": {
            "name": plan.server.provider,
            "url": _shown(plan.server.options.url),
            "streaming": plan.server.options.streaming,
        },
        "serve_command": str(plan.server.command.shown())
        if plan.server.command
        else None,
        "control_profile": ", ".join(plan.control_profiles),
        "commit": str(checkout) if checkout else None,
        "order": plan.order,
        "until": plan.until,
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
            "fidelity": calls.fidelity,
            "matrix": phases.count("matrix"),
            "total": calls.all,
            "repeat": phases.count(REPEAT),
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
                "yields_to": [
                    ANSWERS if step.policy.quality_only else step.control_profile
                    for step in model.yields_to
                ],
                "controls": {
                    name: getattr(model.controls, name)
                    for name in Controls.__struct_fields__
                },
                "changed_thresholds": {
                    key: {"value": value, "default": default}
                    for key, (value, default) in changed_policy(model.policy).items()
                },
                "reference": _tag(seen[model.model_id].reference),
                "quants": [
                    {
                        "quant": target.ref.quant_tag,
                        "name": target.ref.name,
                        "url": _shown(target.url),
                        "file": str(target.ref.path) if target.ref.path else None,
                        **_facts(target, seen[model.model_id]),
                        "missing": target.missing,
                    }
                    for target in model.targets
                ],
                "fetch": {
                    absent.quant_tag: absent.command
                    for absent in seen[model.model_id].absent
                },
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
            "seconds": _span(estimate.whole),
            "usual_seconds": _span(estimate.usual),
            "warehouse_bytes": estimate.warehouse_bytes,
            "largest_model_bytes": estimate.largest_model_bytes,
            "basis": estimate.basis,
        },
        "warnings": [
            *warn_of_few(plan.task_entries, plan.models, plan.is_adaptive),
            *warn_of_context(plan),
            *warn_of_copies(plan),
            *warn_of_unknown(plan),
        ],
        "missing": list_missing(plan),
    }


def print_plan(plan: Plan, store: Warehouse, summary: str, survey: Survey) -> None:
    """Print a plan: what runs, under which controls, and what it leaves behind."""
    estimate = _estimate(plan, store, survey)
    document = _document(plan, store, summary, survey, estimate)
    print_prose(
        f"Plan of preset {plan.preset}" + (f": {plan.title}" if plan.title else "")
    )
    for title, value in _headlines(document):
        print_prose(f"  {title:<16} {value}")
    for model, seen in zip(document["models"], survey.models, strict=True):
        _print_model(model)
        print_seen(seen, survey, in_full=True)
        print_prose()
    _print_order(document["blocks"], document["until"] is not None)
    print_prose()
    print_prose("Will write:")
    for path in document["artifacts"]:
        print_prose(f"  {path}")
    print_prose()
    print_prose(estimate_line(estimate, plan.budget_seconds))
    for warning in document["warnings"]:
        print_prose(f"Note: {warning}")
    for missing in document["missing"]:
        print_prose(f"Not runnable here: {missing}")


def _span(span: Span | None) -> dict[str, int] | None:
    return None if span is None else {"low": round(span.low), "high": round(span.high)}


def _headlines(document: dict[str, Any]) -> list[tuple[str, str]]:
    calls = document["calls"]
    most = "at most " if document["until"] is not None else ""
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
            f"{most}{calls['total']}: {calls['warmup']} warm-up, {calls['canary']} "
            f"canary, {calls['fidelity']} fidelity, {calls['matrix']} matrix"
            + (f"; of these up to {calls['repeat']} again" if calls["repeat"] else ""),
        ),
        ("commit", document["commit"] or "none: not started from a checkout"),
        ("plan hash", document["plan_hash"]),
        ("policy hash", document["policy_hash"]),
    ]
    if document["serve_command"]:
        lines.insert(1, ("command", document["serve_command"]))
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
        "seconds": plan.fidelity.seconds,
        "asked": prompt_words(plan.fidelity),
        "rows": prompts * (quants + len(plan.models)),
    }


def _fidelity_lines(fidelity: dict[str, Any] | None) -> list[tuple[str, str]]:
    if fidelity is None:
        return []
    return [
        (
            "fidelity",
            f"{fidelity['asked']}; answers of at most {fidelity['max_tokens']} "
            f"tokens, {fidelity['k']} likeliest tokens at each place; "
            f"{'at most ' if fidelity['seconds'] else ''}{fidelity['rows']} calls, an "
            "answer of the reference and a row of each quant for each prompt",
        )
    ]


def _order_words(document: dict[str, Any]) -> str:
    budget = document["budget_seconds"]
    if document["until"] is None:
        return f"{document['order']}, {document['repetitions']} repetitions"
    within = "" if budget is None else f" within {duration(budget)}"
    return f"{document['order']}: rounds until {document['until']}{within}"


def _print_model(model: dict[str, Any]) -> None:
    print_prose()
    looser = ", then ".join(model["yields_to"])
    instead = f"; where the machine is not steady: {looser}" if looser else ""
    print_prose(
        f"Model {model['id']}, control profile {model['control_profile']}{instead}"
    )
    controls = {
        name: "not set" if value is None else value
        for name, value in model["controls"].items()
    }
    print_prose("  controls  " + ", ".join(f"{k} {v}" for k, v in controls.items()))
    for key, change in model["changed_thresholds"].items():
        print_prose(
            f"  threshold {key} = {change['value']} (default {change['default']})"
        )


def _print_order(blocks: list[dict[str, Any]], is_adaptive: bool) -> None:
    print_prose("Order of blocks (each opens with its warm-ups):")
    passes: dict[tuple[str, str, int], list[str]] = {}
    for block in blocks:
        key = (block["phase"], block["model"], block["repetition"])
        passes.setdefault(key, []).append(block["quant"])
    for (phase, model, repetition), quants in passes.items():
        if phase == REPEAT:
            continue  # Told with the rounds: only what is needed is repeated.
        if phase == "matrix" and is_adaptive:
            asked = list(dict.fromkeys(quants))
            print_prose(
                f"  {model}  rounds, as far as the evidence and any budget ask: "
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


def _facts(target: Target, seen: Seen) -> dict[str, Any]:
    """Identity, size and memory of one quant, as far as it is there and tells."""
    from orket.planning.fit import UNKNOWN

    known = [found for found in seen.found if found.target.ref == target.ref]
    if not known:
        names = ("digest", "publisher", "bytes", "bits_per_weight_milli")
        return dict.fromkeys((*names, "needs_bytes", "fit"))
    (found,) = known
    return {
        "digest": found.target.digest,
        "publisher": found.target.publisher,
        "bytes": found.target.model_bytes,
        "bits_per_weight_milli": found.bpw_milli,
        "needs_bytes": found.need.total_bytes,
        "fit": None if found.fit == UNKNOWN else found.fit,
    }


def _tag(target: Target | None) -> str | None:
    return None if target is None else target.ref.quant_tag


def _shown(url: str | None) -> str | None:
    return None if url is None else without_secret(url)
