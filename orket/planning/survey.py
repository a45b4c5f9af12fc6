"""What is known of a plan's quants before anything runs, and what could be fetched.

Files of this machine are read; a server is asked what it tells without loading a model.
What nobody says stays unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

from orket.errors import OrketError
from orket.levels import PLAIN_KV
from orket.machine.memory import FreeMemory, read_free_memory
from orket.planning.fidelity import by_precision
from orket.planning.fit import (
    TOO_LARGE,
    UNKNOWN,
    Need,
    context_of,
    find_needs,
    judge_fit,
    kv_cache_bytes,
)
from orket.planning.plan import Plan, starts_llamacpp
from orket.planning.targets import Target
from orket.providers.contract import (
    Adapter,
    Fetches,
    Identifies,
    LoadedModel,
    ModelRef,
    TellsResident,
)
from orket.providers.http.endpoint import read_endpoint, without_version
from orket.providers.recognise import DENIED, UNREACHABLE
from orket.providers.registry import DEFAULT_URLS, create_adapter
from orket.quants import find_quant, same_quant

HELD = "held by its server"
"""In place of a judgement: the model is in memory already and stays there."""
NOT_INSTALLED = "MODEL_NOT_FOUND"
NO_ANSWER = UNREACHABLE | DENIED
FETCH_WITH = "fetch it with: "
"""What stands before the command in the hint of an adapter."""


@dataclass(frozen=True, slots=True)
class Found:
    """One quant that is there, or could not be looked at."""

    target: Target
    """With all that its file or its server says of it."""
    need: Need
    fit: str
    """FITS, GPU_AND_RAM, TOO_LARGE, HELD or UNKNOWN."""

    @property
    def bpw_milli(self) -> int | None:
        """Bits per weight in 1/1000, by size and weights; None where one is unknown."""
        size, weights = self.target.model_bytes, self.target.parameters
        if not size or not weights:
            return None
        # Half up, as the views have it of what was measured.
        return (2 * size * 8000 + weights) // (2 * weights)


@dataclass(frozen=True, slots=True)
class Absent:
    """A quant that is not there, and the command that fetches it."""

    quant_tag: str
    command: str
    about_bytes: int | None = None
    """By the nominal bits of the quant; None where the weights are not counted."""
    fit: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class Seen:
    """One model of a plan."""

    model_id: str
    found: tuple[Found, ...]
    """In the order of the plan; what is not there is among `absent`."""
    absent: tuple[Absent, ...] = ()
    page: str | None = None
    """Where all quants of the model are listed."""
    context_tokens: int | None = None

    @property
    def reference(self) -> Target | None:
        """What the others are held against: the most precise that is there."""
        here = [found.target for found in self.found if not found.target.missing]
        return by_precision(here)[0] if here else None


@dataclass(frozen=True, slots=True)
class Survey:
    """All models of a plan, and the memory that they may have."""

    models: tuple[Seen, ...]
    free: FreeMemory
    """What is free now, with what idle models of a server would make room for."""
    silent: tuple[str, ...] = ()
    """Why a figure is not there, a line each."""

    @property
    def sizes(self) -> dict[ModelRef, int]:
        """Bytes of each quant's weights, where they are known."""
        return {
            found.target.ref: found.target.model_bytes
            for seen in self.models
            for found in seen.found
            if found.target.model_bytes
        }

    def without(self, quant_tags: Collection[str]) -> Survey:
        """The same without some quants."""
        models = (
            replace(
                seen,
                found=tuple(
                    found
                    for found in seen.found
                    if found.target.ref.quant_tag not in quant_tags
                ),
            )
            for seen in self.models
        )
        return replace(self, models=tuple(models))


@dataclass(slots=True)
class _Told:
    """What servers said, by quant."""

    facts: dict[ModelRef, LoadedModel] = field(default_factory=dict)
    fetch: dict[ModelRef, str] = field(default_factory=dict)
    commands: dict[str, dict[str, str]] = field(default_factory=dict)
    """Model -> quant -> command."""
    pages: dict[str, str] = field(default_factory=dict)
    evictable: FreeMemory = FreeMemory(0, 0)
    silent: list[str] = field(default_factory=list)


def survey_plan(plan: Plan, ask: bool = True) -> Survey:
    """What is known of a plan's quants; without `ask` no server is spoken to."""
    told = _Told()
    if ask and not _is_started(plan):
        for url, targets in _by_url(plan).items():
            _ask_server(plan, url, targets, told)
    free = _with(read_free_memory(), told.evictable)
    needs = find_needs(plan)
    models = []
    for model in plan.models:
        here = [
            _found(plan, target, told, needs, free)
            for target in model.targets
            if target.ref not in told.fetch
        ]
        models.append(
            Seen(
                model.model_id,
                tuple(here),
                tuple(_absent(model.model_id, model.targets, here, told, free)),
                told.pages.get(model.model_id),
                _agreed(context_of(plan, model, target) for target in model.targets),
            )
        )
    return Survey(tuple(models), free, tuple(dict.fromkeys(told.silent)))


def _by_url(plan: Plan) -> dict[str | None, list[Target]]:
    found: dict[str | None, list[Target]] = {}
    for target in chain.from_iterable(model.targets for model in plan.models):
        found.setdefault(target.url, []).append(target)
    return found


def _ask_server(
    plan: Plan, url: str | None, targets: list[Target], told: _Told
) -> None:
    """Have one server tell of its models. Raises ServerError where none answers."""
    with _adapter(plan, url) as adapter:
        try:
            _ask_resident(adapter, is_local(plan, url), told)
            for target in targets:
                _ask_target(adapter, target, told)
        except OrketError as error:
            if getattr(error, "error_class", None) in NO_ANSWER:
                raise
            # The sweep finds out and records why; what it tells of others is kept.
            told.silent.append(error.message)


def _ask_target(adapter: Adapter, target: Target, told: _Told) -> None:
    ref = target.ref
    if not isinstance(adapter, Identifies):
        told.silent.append(f"{adapter.name} says nothing of size and memory")
        return
    try:
        told.facts[ref] = adapter.identify(ref)
    except OrketError as error:
        is_absent = getattr(error, "error_class", None) == NOT_INSTALLED
        if is_absent and (error.hint or "").startswith(FETCH_WITH):
            told.fetch[ref] = (error.hint or "").removeprefix(FETCH_WITH)
            return
        raise
    if isinstance(adapter, Fetches):
        offers = adapter.offers(ref)
        for quant, command in offers.commands.items():
            told.commands.setdefault(ref.model_id, {}).setdefault(quant, command)
        if offers.page is not None:
            told.pages.setdefault(ref.model_id, offers.page)


def _ask_resident(adapter: Adapter, local: bool, told: _Told) -> None:
    """What idle models of this machine's server would make room for."""
    if not local or not isinstance(adapter, TellsResident):
        return
    for held in adapter.resident_models():
        gpu = min(held.gpu_bytes, held.total_bytes)
        told.evictable = FreeMemory(
            (told.evictable.ram_bytes or 0) + held.total_bytes - gpu,
            (told.evictable.gpu_bytes or 0) + gpu,
        )


def _is_started(plan: Plan) -> bool:
    """Whether Orket starts the servers itself: there is nobody to ask before."""
    return starts_llamacpp(plan.server) or plan.server.command is not None


def is_local(plan: Plan, url: str | None) -> bool:
    """Whether a server of the plan has this machine's memory."""
    place = url or DEFAULT_URLS.get(plan.server.provider)
    if place is None or _is_started(plan):
        return _is_started(plan)
    return read_endpoint(without_version(place)).locality == "loopback"


def _found(
    plan: Plan,
    target: Target,
    told: _Told,
    needs: Mapping[ModelRef, Need],
    free: FreeMemory,
) -> Found:
    need = needs.get(target.ref)
    if need is not None:
        return Found(target, need, judge_fit(need, free))
    facts = told.facts.get(target.ref)
    if facts is None:
        return Found(target, Need(target.model_bytes, None, None), UNKNOWN)
    target = replace(
        target,
        digest=target.digest or facts.digest,
        model_bytes=target.model_bytes or facts.model_bytes,
        parameters=target.parameters or facts.parameters,
        publisher=target.publisher or facts.publisher,
    )
    model = plan.model(target.ref.model_id)
    tokens = context_of(plan, model, target)
    types = model.controls_of(target).kv_cache or PLAIN_KV
    kv = None if tokens is None else kv_cache_bytes(facts.metadata, tokens, types)
    need = Need(target.model_bytes, kv, tokens)
    fit = judge_fit(need, free) if is_local(plan, target.url) else UNKNOWN
    is_held = fit == UNKNOWN and facts.effective.context_tokens is not None
    return Found(target, need, HELD if is_held else fit)


def _absent(
    model_id: str,
    targets: tuple[Target, ...],
    here: list[Found],
    told: _Told,
    free: FreeMemory,
) -> Iterator[Absent]:
    """What the plan asks for and is not there, then the usual quants beside it."""
    weights = next((f.target.parameters for f in here if f.target.parameters), None)
    wanted = {
        target.ref.quant_tag: told.fetch[target.ref]
        for target in targets
        if target.ref in told.fetch
    }
    known = [target.ref.quant_tag.partition("@")[0] for target in targets]
    others = {
        quant: command
        for quant, command in told.commands.get(model_id, {}).items()
        if not any(same_quant(quant, tag) for tag in known)
    }
    for quant, command in (wanted | others).items():
        entry = find_quant(quant)
        if weights is None or entry is None:
            yield Absent(quant, command)
            continue
        about = weights * entry.nominal_bpw_milli // 8000
        kv = next((f.need.kv_bytes for f in here if f.need.kv_bytes), None)
        fit = judge_fit(Need(about, kv, None), free)
        is_judged = any(found.fit not in (UNKNOWN, HELD) for found in here)
        yield Absent(quant, command, about, fit if is_judged else UNKNOWN)


def _agreed(contexts: Iterable[int | None]) -> int | None:
    """The one context of all quants of a model; None where they differ."""
    found = set(contexts)
    return found.pop() if len(found) == 1 else None


def _with(free: FreeMemory, more: FreeMemory) -> FreeMemory:
    """The free memory with some more of it, where it is known."""
    ram, gpu = free.ram_bytes, free.gpu_bytes
    return FreeMemory(
        None if ram is None else ram + (more.ram_bytes or 0),
        None if gpu is None else gpu + (more.gpu_bytes or 0),
    )


@contextmanager
def _adapter(plan: Plan, url: str | None) -> Iterator[Adapter]:
    options = replace(plan.server.options, url=url)
    adapter = create_adapter(plan.server.provider, options)
    try:
        yield adapter
    finally:
        adapter.close()


def say_unfit(survey: Survey) -> dict[ModelRef, str]:
    """Those that do not fit into what is free, each with its figures."""
    told = {}
    for found in chain.from_iterable(seen.found for seen in survey.models):
        if found.fit != TOO_LARGE:
            continue
        ref, need = found.target.ref, found.need
        assert need.total_bytes is not None and survey.free.ram_bytes is not None
        room = survey.free.ram_bytes + (survey.free.gpu_bytes or 0)
        told[ref] = (
            f"{ref.model_id} {ref.quant_tag} needs {_amount(need.total_bytes)} at "
            f"{need.context_tokens} tokens of context, and {_amount(room)} are free"
        )
    return told


def _amount(value: int) -> str:
    if value < 2**30:
        return f"{value / 2**20:.1f} MiB"
    return f"{value / 2**30:.1f} GiB"
