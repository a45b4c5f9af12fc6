"""What keeps a plan from being run on this machine, and what in it cannot go well."""

from __future__ import annotations

import os

from orket.errors import UsageError
from orket.planning.plan import Plan
from orket.planning.schedule import PlannedModel
from orket.planning.targets import say_shared
from orket.providers.registry import EMBEDDED
from orket.tasks.bank import Task


def list_missing(plan: Plan) -> list[str]:
    """Why the plan, or a quant of it, cannot be run on this machine; one line each."""
    if plan.server.provider != EMBEDDED:
        return _missing_files(plan)
    return [*_missing_engine(plan), *_missing_files(plan), *_excess_threads(plan)]


def warn_of_context(plan: Plan) -> list[str]:
    """A line for each model whose context cannot hold a task with its answer.

    A prompt has at least as many tokens as words: what is told here is certain.
    """
    lines = []
    for model in plan.models:
        context = _context_of(plan, model)
        if context is None:
            continue
        if tight := [task for task in plan.tasks if _least_tokens(task) > context]:
            worst = max(tight, key=_least_tokens)
            more = f" and {len(tight) - 1} more" if len(tight) > 1 else ""
            lines.append(
                f"{model.model_id}: a context of {context} tokens cannot hold "
                f"{worst.test_id}{more}: its prompt takes {_words(worst)} tokens or "
                f"more, its answer up to {worst.max_tokens}; give --context "
                f"{_least_tokens(worst)} or more"
            )
    return lines


def warn_of_copies(plan: Plan) -> list[str]:
    """A line for the quants of a model that are the same bytes under several names."""
    lines = []
    for model in plan.models:
        tags: dict[str, list[str]] = {}
        for target in model.targets:
            if target.digest is not None:
                tags.setdefault(target.digest, []).append(target.ref.quant_tag)
        lines += [
            f"{model.model_id}: {', '.join(same)} are the same bytes under "
            f"{len(same)} names: what differs between them is chance"
            for same in tags.values()
            if len(same) > 1
        ]
    return lines


def _context_of(plan: Plan, model: PlannedModel) -> int | None:
    if model.controls.context_tokens is not None:
        return model.controls.context_tokens
    if plan.server.provider != EMBEDDED:
        # The server's own; nothing is known of it before it is asked.
        return None
    from orket.providers.llamacpp.embedded import DEFAULT_CONTEXT_TOKENS

    return DEFAULT_CONTEXT_TOKENS


def _least_tokens(task: Task) -> int:
    return _words(task) + task.max_tokens


def _words(task: Task) -> int:
    return len(task.prompt.split()) + len((task.system or "").split())


def _missing_engine(plan: Plan) -> list[str]:
    from orket.providers.llamacpp.engine import find_engine

    try:
        find_engine(plan.server.options.engine)
    except UsageError as error:
        return [str(error)]
    return []


def _missing_files(plan: Plan) -> list[str]:
    targets = [target for model in plan.models for target in model.targets]
    lines = [line for model in plan.models for line in say_shared(model.targets)]
    for target in targets:
        if target.missing:
            lines.append(target.missing)
        elif plan.server.provider == EMBEDDED and target.ref.path is None:
            lines.append(
                f"{target.ref.model_id} {target.ref.quant_tag}: the embedded engine "
                "needs a file of weights: give `file` in [models.names.embedded]"
            )
    return lines


def _excess_threads(plan: Plan) -> list[str]:
    """An engine that Orket starts would take any number, and crawl."""
    cpus = os.cpu_count()
    asked = {model.controls.threads or "" for model in plan.models}
    if cpus is None:
        return []
    return [
        f"{threads} threads are more than this machine's {cpus} logical CPUs: "
        f"give --threads {cpus} or fewer, or --threads server"
        for threads in sorted(asked)
        if threads.isdecimal() and int(threads) > cpus
    ]
