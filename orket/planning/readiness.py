"""What keeps a plan from being run on this machine, and what in it cannot go well."""

from __future__ import annotations

import os
from dataclasses import dataclass

from orket.errors import OrketError, UsageError
from orket.levels import Level
from orket.planning.fit import context_of, fault_of, header_of, trained_context
from orket.planning.plan import Plan
from orket.planning.schedule import PlannedModel
from orket.planning.targets import Target, say_shared
from orket.providers.registry import (
    EMBEDDED,
    SETS_CONTEXT,
    SETS_KV_CACHE,
    create_adapter,
)
from orket.quants import catalogue, find_quant
from orket.tasks.bank import Task
from orket.text import close_words, whole_number


def list_missing(plan: Plan) -> list[str]:
    """Why the plan, or a quant of it, cannot be run on this machine; one line each."""
    lines = [*_missing_files(plan), *_levels_not_set(plan), *_missing_program(plan)]
    if plan.server.provider != EMBEDDED:
        return lines
    return [*_missing_engine(plan), *lines, *_excess_threads(plan)]


def warn_of_context(plan: Plan) -> list[str]:
    """A line for each model whose context cannot hold a task with its answer.

    A prompt has at least as many tokens as words: what is told here is certain.
    """
    lines = []
    for model in plan.models:
        room = _least_room(plan, model)
        if room is None:
            continue
        tight = [task for task in plan.tasks if room.least_tokens(task) > room.tokens]
        if not tight:
            continue
        worst = max(tight, key=room.least_tokens)
        more = f" and {len(tight) - 1} more" if len(tight) > 1 else ""
        failing = sum(not room.holds_prompt(task) for task in plan.tasks)
        fails = f"; of {failing} not even the prompt: they will fail" if failing else ""
        lines.append(
            f"{model.model_id}: a context of {room.tokens} tokens cannot hold "
            f"{worst.test_id}{more}: its prompt takes {room.prompt_tokens(worst)} "
            f"tokens or more, its answer up to {worst.max_tokens}{fails}; "
            f"{room.remedy(room.least_tokens(worst))}"
        )
    return lines


def find_too_long(plan: Plan) -> dict[str, int]:
    """Tasks, by id, whose prompt alone a model's context cannot hold.

    Each with the tokens of the smallest context. What is told here is certain: the
    prompt has at least that many tokens, and no place is left for an answer.
    """
    rooms = [room for model in plan.models if (room := _least_room(plan, model))]
    return {
        task.id: min(room.tokens for room in rooms)
        for task in plan.tasks
        if not all(room.holds_prompt(task) for room in rooms)
    }


@dataclass(frozen=True, slots=True)
class _Room:
    """The context that all quants of a model have at least."""

    tokens: int
    is_bytewise: bool
    """Whether each byte of a prompt is a token."""
    trained: int | None
    """What the model was made for, where nothing beyond it can be had."""

    def prompt_tokens(self, task: Task) -> int:
        """What a prompt takes at least."""
        parts = (task.prompt.strip(), (task.system or "").strip())
        if self.is_bytewise:
            return sum(len(part.encode()) for part in parts)
        return sum(len(part.split()) for part in parts)

    def least_tokens(self, task: Task) -> int:
        """What a prompt takes at least, with the longest answer."""
        return self.prompt_tokens(task) + task.max_tokens

    def holds_prompt(self, task: Task) -> bool:
        """Whether the prompt may fit; an answer needs a token at least."""
        return self.prompt_tokens(task) < self.tokens

    def remedy(self, wanted: int) -> str:
        """What can be done to have so many tokens."""
        if self.trained is not None and wanted > self.trained:
            return f"the model was made for {self.trained}, and gets no more"
        return f"give --context {wanted} or more"


def _least_room(plan: Plan, model: PlannedModel) -> _Room | None:
    """The smallest context of a model's quants; None where none is known."""
    found = [(context_of(plan, model, target), target) for target in model.targets]
    known = [(tokens, target) for tokens, target in found if tokens is not None]
    if not known:
        return None
    tokens, target = min(known, key=lambda each: each[0])
    header = header_of(target)
    is_capped = plan.server.provider == EMBEDDED and header is not None
    return _Room(
        tokens,
        header is not None and header.is_bytewise,
        header.context_tokens or None if is_capped and header else None,
    )


def warn_of_copies(plan: Plan) -> list[str]:
    """A line for the quants of a model that are the same bytes under several names."""
    lines = []
    for model in plan.models:
        tags: dict[tuple[str, Level | None], list[str]] = {}
        for target in model.targets:
            if target.digest is not None:
                same = target.digest, target.level
                tags.setdefault(same, []).append(target.ref.quant_tag)
        lines += [
            f"{model.model_id}: {', '.join(names)} are the same bytes under "
            f"{len(names)} names: what differs between them is chance"
            for names in tags.values()
            if len(names) > 1
        ]
    return lines


def warn_of_unknown(plan: Plan) -> list[str]:
    """A line for quants whose precision nobody knows: who is the reference?

    What a server tells of sizes later may still rank them.
    """
    lines = []
    for model in plan.models:
        unknown = [
            target.ref.quant_tag
            for target in model.targets
            if find_quant(target.ref.quant_tag) is None
            and not (target.model_bytes and target.parameters)
        ]
        if not unknown:
            continue
        if len(unknown) == len(model.targets):
            what = "which is the most precise, and so the reference, is not known"
        else:
            what = "how precise they are is not known, and none is recommended"
        lines.append(
            f"{model.model_id}: no quant is called {', '.join(unknown)}: {what}, "
            "unless the server tells their sizes"
        )
    return lines


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
        place = f"{target.ref.model_id} {target.ref.quant_tag}"
        if target.missing:
            lines.append(target.missing + _meant_quant(target.ref.quant_tag))
        elif plan.server.provider != EMBEDDED:
            continue
        elif target.ref.path is None:
            lines.append(
                f"{place}: the embedded engine needs a file of weights: give `file` in "
                "[models.names.embedded]"
            )
        elif fault := fault_of(target):
            lines.append(
                f"{place}: {target.ref.path}: {fault}: download or export it again"
            )
    return lines


def _meant_quant(tag: str) -> str:
    """What to ask of a tag that no entry of the catalogue has, where one is like it."""
    if find_quant(tag) is not None:
        return ""
    close = close_words(tag, (quant.key for quant in catalogue()), most=3)
    # Of those alike the medium mix is the usual one.
    meant = max(close, key=lambda key: key.endswith("_M"), default=None)
    return f"; did you mean {meant}?" if meant else ""


def _levels_not_set(plan: Plan) -> list[str]:
    """Quants at a level that their server cannot be told: it would be a wrong name."""
    lines = []
    command = plan.server.command
    sets_kv = plan.server.provider in SETS_KV_CACHE
    sets_context = plan.server.provider in SETS_CONTEXT
    if command is not None:
        sets_kv = "kv_cache" in command.sets
        sets_context = "context_tokens" in command.sets
    for model in plan.models:
        for target in model.targets:
            level = target.level or Level()
            lines += _beyond_engine(plan, target, level)
            place = f"{model.model_id} {target.ref.quant_tag}"
            provider = plan.server.provider
            if command is not None and (
                (level.kv is not None and not sets_kv)
                or (level.context_tokens is not None and not sets_context)
            ):
                lines.append(
                    f"{place}: the command does not say {{kv}} or {{ctx}}: add it "
                    "where the server takes it, or leave the level out"
                )
                continue
            if level.kv is not None and not sets_kv:
                lines.append(
                    f"{place}: {_KV_ELSEWHERE.get(provider, _KV_NOT_SET)}: leave the "
                    "level out, or let Orket start the engine (embedded, --serve-cmd)"
                )
            if level.context_tokens is not None and not sets_context:
                lines.append(
                    f"{place}: the context of a {provider} server is set where it is "
                    "started: leave the level out, or let Orket start it (--serve-cmd)"
                )
    return lines


def _missing_program(plan: Plan) -> list[str]:
    """A command that is not there, or that cannot say where it listens."""
    if plan.server.command is None:
        return []
    try:
        create_adapter(plan.server.provider, plan.server.options).describe()
    except OrketError as error:
        return [str(error)]
    return []


def _beyond_engine(plan: Plan, target: Target, level: Level) -> list[str]:
    """What a level asks of the embedded engine that it is known not to do."""
    from orket.providers.llamacpp.embedded import read_kv_type

    if plan.server.provider != EMBEDDED:
        return []
    place, lines = f"{target.ref.model_id} {target.ref.quant_tag}", []
    try:
        read_kv_type(level.kv)
    except UsageError as error:
        lines.append(f"{place}: {error}")
    trained = trained_context(target) if level.context_tokens else None
    if trained is not None and (level.context_tokens or 0) > trained:
        lines.append(
            f"{place}: the model was made for {trained} tokens of context, and the "
            f"engine gives no more: ask for {trained} or less"
        )
    return lines


_KV_NOT_SET = "the type of the KV cache is set where the server is started"
_KV_ELSEWHERE = {
    "ollama": "Ollama keeps every KV cache as OLLAMA_KV_CACHE_TYPE says when it starts"
}


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
        if (whole_number(threads) or 0) > cpus
    ]
