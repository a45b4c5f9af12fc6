"""The options by which a preset is bent on the command line, and what they mean."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from orket.cli import messages
from orket.cli.options import OPTION_FLAGS, rejudge_options, server_options
from orket.cli.rejudge import Rejudge
from orket.errors import OrketError, SeveralModels, UsageError
from orket.levels import MARK, continues_level, split_level, without_level
from orket.planning.budget import UNTIL
from orket.tasks.sandboxes import NAMES as SANDBOXES
from orket.text import close_words

if TYPE_CHECKING:
    from orket.planning.preset import Change, Preset
    from orket.planning.subject import Subject
    from orket.providers.options import ServerOptions

SERVER = "server"
"""As the value of --discover: what the server has installed."""

_LEVEL = r"(?:kv|ctx)=[^:=,]*"
_QUANT_URL = re.compile(
    rf"(?P<quant>[^/:=@]+(?:@(?!{_LEVEL})[^/:=@]+)*(?:@{_LEVEL}(?:,{_LEVEL})*)?)"
    r"=(?P<url>.*)",
    re.DOTALL,
)
"""`QUANT=URL`; a level of the quant has a `=` of its own."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """What the command line says about a preset; empty or None leaves it as it is."""

    models: tuple[str, ...] = ()
    quants: tuple[str, ...] = ()
    runs: int | None = None
    tasks: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    provider: str | None = None
    urls: tuple[str, ...] = ()
    server: Mapping[str, Any] = field(default_factory=dict)
    """What is said of `[provider]`, by key; None says nothing."""
    discover: str | None = None
    profile: str | None = None
    seed: int | None = None
    threads: str | None = None
    affinity: str | None = None
    warmup: int | None = None
    context: int | None = None
    sandbox: str | None = None
    fidelity: bool | None = None
    runtime_target: str | None = None
    execution_mode: str | None = None
    labels: tuple[str, ...] = ()
    rejudge: Rejudge = Rejudge()


def sweep_options(command: _Command) -> _Command:
    """The options of `SweepOptions`, together as `chosen: SweepOptions`."""

    @functools.wraps(command)
    def gather(*args: Any, **options: Any) -> Any:
        server = {key.name: options.pop(key.name) for key in OPTION_FLAGS}
        values = {name: options.pop(name) for name in _FIELDS}
        for name in ("models", "buckets", "tasks"):
            values[name] = _split(values[name])
        values["quants"] = _split_quants(values["quants"])
        if server.get("serve_cmd") and values["provider"] is None:
            values["provider"] = _served_provider(server["serve_cmd"])
        return command(*args, chosen=SweepOptions(server=server, **values), **options)

    for option in reversed(_OPTIONS):
        gather = option(gather)
    return cast(_Command, rejudge_options(gather))


def budget_options(command: _Command) -> _Command:
    """The options of `with_budget`, as `budget`, `until` and `grid`."""
    for option in (
        click.option(
            "--until",
            type=click.Choice(UNTIL),
            help="Ask by rounds: until all is proven that can be; until the best "
            "value is clear too; or until all that may pass were asked all tasks.",
        ),
        click.option(
            "--grid",
            is_flag=True,
            help="Ask every quant every task, as often as --runs.",
        ),
        click.option(
            "--budget",
            metavar="TIME",
            help="Ask by rounds, what is evidence first, so long at most: 20m; none.",
        ),
    ):
        command = option(command)
    return command


def with_budget(
    preset: Preset,
    chosen: SweepOptions,
    budget: str | None,
    until: str | None,
    grid: bool,
) -> Preset:
    """The preset asked by rounds, as far and as long as told, or as the full grid.

    Raises UsageError for both at once, and for repetitions of rounds.
    """
    from orket.planning.budget import read_budget
    from orket.planning.preset import Change, override

    asked = "--budget" if budget is not None else "--until" if until else None
    if asked and grid:
        raise UsageError(f"{asked} and --grid exclude each other", "leave out one")
    if asked and chosen.runs is not None:
        raise UsageError(
            f"--runs repeats tasks, and {asked} has no time for answers that repeat",
            "leave it out, or add --grid",
        )
    if grid or chosen.runs is not None:
        # Repetitions are a wish for the grid, whatever the preset says.
        keys = [key for key in ("budget", "until") if getattr(preset.table, key)]
        return override(preset, [Change(key, None) for key in keys])
    if budget is not None:
        read_budget(budget)
    changes = [("budget", budget), ("until", until)]
    bent = override(preset, [Change(k, value) for k, value in changes if value])
    if bent.table.budget is not None and read_budget(bent.table.budget) == 0:
        raise UsageError(
            f"a budget of {bent.table.budget} leaves no time to ask anything",
            "give some, as in --budget 20m; orket plan shows what would be asked",
        )
    return bent


def names_itself(chosen: SweepOptions) -> bool:
    """Whether the options alone say what is to be measured."""
    return bool(chosen.server.get("serve_cmd") or _read_urls(chosen.urls)[0])


def load_chosen_preset(name: str | None, chosen: SweepOptions) -> Preset:
    """The preset that the argument means, with the options over it.

    Raises UsageError, and ServerError where a server has to be asked and is not there.
    """
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.planning.preset import load_preset, override
    from orket.planning.served import fill_subject
    from orket.planning.subject import find_subject, is_model_name

    if chosen.server.get("serve_cmd") and (name is None or is_model_name(name)):
        return _served_model(name, chosen)
    if name is None:
        return _side_by_side(chosen)
    subject = find_subject(name, _server_options(chosen), chosen.provider)
    if subject is None:
        return bend_preset(load_preset(name), chosen)
    if chosen.discover:
        raise UsageError(
            f"{name} says already where the quants are", "leave out --discover"
        )
    if subject.note is not None:
        messages.note(subject.note)
    preset = override(load_preset(NEUTRAL_PRESET), _server_changes(chosen))
    try:
        filled, left_out = fill_subject(preset, subject, _one_model(chosen))
    except SeveralModels as failure:
        raise UsageError(
            failure.message, _one_at_a_time(name, failure.models)
        ) from None
    except OrketError as failure:
        if (meant := _meant_preset(name, subject)) is None:
            if subject.model is not None:
                failure.message = (
                    f"{name!r} is no folder that is here, and as a model of "
                    f"{subject.provider}: {failure.message}"
                )
            raise
        raise UsageError(
            f"no preset is called {name!r}, and as a model: {failure.message}",
            f"did you mean the preset {meant}? or else: {failure.hint}",
        ) from failure
    _tell(left_out)
    return override(filled, _changes(filled, chosen))


def _one_at_a_time(name: str, models: Sequence[str]) -> str:
    """The lines that measure one of the models that an argument means."""
    context = click.get_current_context(silent=True)
    verb = context.info_name if context and context.info_name else "run"
    lines = [shlex.join(["orket", verb, name, "--model", model]) for model in models]
    return f"choose one with --model, as in {' or '.join(lines)}"


def _served_provider(command: str) -> str:
    from orket.providers.serving.command import provider_of, read_command

    return provider_of(read_command(command))


def _served_model(name: str | None, chosen: SweepOptions) -> Preset:
    """A model that a command serves, by the quants that the options name."""
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.planning.preset import Change, load_preset, override

    model = name or _one_model(chosen)
    if model is None:
        raise UsageError(
            "which model the command serves is not said",
            "name it: orket run MODEL --quants ... --serve-cmd ...",
        )
    if not chosen.quants:
        raise UsageError(
            f"which quants of {model} the command serves is not said",
            "name them: --quants BF16,FP8,AWQ",
        )
    preset = override(load_preset(NEUTRAL_PRESET), _server_changes(chosen))
    table = {**preset.content["models"][0], "id": model, "quants": list(chosen.quants)}
    table["names"] = {str(chosen.provider): {"name": ""}}
    change = Change("models", [table], shown=[model], shown_before=["any-model"])
    return override(override(preset, [change]), _changes(preset, chosen))


def _side_by_side(chosen: SweepOptions) -> Preset:
    """One model at several servers, one for each quant, as --url names them."""
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.planning.preset import load_preset, override
    from orket.planning.side_by_side import fill_servers
    from orket.quants import canonical_tag

    pairs, _ = _read_urls(chosen.urls)
    urls = {canonical_tag(quant) or quant: url for quant, url in pairs.items()}
    if len(urls) < len(pairs):
        raise UsageError(
            f"{', '.join(pairs)} are one quant twice",
            "tell them apart by labels: AWQ@one=URL, AWQ@two=URL",
        )
    preset = override(load_preset(NEUTRAL_PRESET), _server_changes(chosen))
    filled = fill_servers(preset, urls, chosen.provider, _one_model(chosen))
    return override(filled, _changes(filled, chosen))


def _meant_preset(name: str, subject: Subject) -> str | None:
    """The preset that a word may be which no server knows: it is spelled wrong."""
    from orket.planning.preset import known_presets

    near = close_words(name, known_presets())
    return near[0] if near and subject.model is not None else None


def bend_preset(preset: Preset, chosen: SweepOptions) -> Preset:
    """A preset with the options over it. Raises UsageError."""
    from orket.planning.preset import override

    preset = override(preset, _server_changes(chosen))
    # Models first: the paths of the other options count them.
    if chosen.discover:
        preset = _discover(preset, chosen)
    else:
        preset = override(preset, _model_changes(preset, chosen))
    return override(preset, _changes(preset, chosen))


def _discover(preset: Preset, chosen: SweepOptions) -> Preset:
    """The preset with the ladder of `--discover`: a folder, or `server`."""
    from orket.planning.served import fill_discovered

    folder = None if chosen.discover == SERVER else Path(str(chosen.discover))
    filled, left_out = fill_discovered(preset, folder, _one_model(chosen))
    _tell(left_out)
    return filled


def _one_model(chosen: SweepOptions) -> str | None:
    """The model that --model picks among those found."""
    if len(chosen.models) > 1:
        raise UsageError("one model is found at a time", "name one --model")
    return next(iter(chosen.models), None)


def _tell(left_out: Sequence[str]) -> None:
    for line in left_out:
        messages.note(f"left out: {line}")


def _server_options(chosen: SweepOptions) -> ServerOptions:
    from orket.providers.options import build_options

    _, urls = _read_urls(chosen.urls)
    return build_options({"url": urls[0] if urls else None, **chosen.server})


def _server_changes(chosen: SweepOptions) -> list[Change]:
    """What the options say of the server: it may be asked for what it has."""
    from orket.planning.preset import Change

    _, urls = _read_urls(chosen.urls)
    return [
        Change(f"provider.{key}", value)
        for key, value in (
            ("name", chosen.provider),
            ("url", urls[0] if urls else None),
            *chosen.server.items(),
        )
        if value is not None
    ]


def _split(values: Sequence[str]) -> tuple[str, ...]:
    parts = (part.strip() for value in values for part in value.split(","))
    return tuple(part for part in parts if part)


def _split_quants(values: Sequence[str]) -> tuple[str, ...]:
    """Quants of lists; a level goes on behind its comma: `Q4_K_M@kv=q8_0,ctx=16k`."""
    quants: list[str] = []
    for part in _split(values):
        if quants and MARK in quants[-1] and continues_level(part):
            quants[-1] = f"{quants[-1]},{part}"
        else:
            quants.append(part)
    return tuple(quants)


def _model_changes(preset: Preset, chosen: SweepOptions) -> list[Change]:
    from orket.planning.preset import Change

    if not chosen.models:
        return []
    known = [model.id for model in preset.table.models]
    first = preset.table.models[0]
    if len(known) == len(chosen.models) == 1 and first.any_id:
        return [Change("models.0.id", chosen.models[0], (("models", 0, "id"),))]
    unknown = [model for model in chosen.models if model not in known]
    if unknown:
        raise UsageError(
            f"the preset {preset.name} has no model {unknown[0]!r}",
            f"it has {', '.join(known)}",
        )
    kept = [table for table in preset.content["models"] if table["id"] in chosen.models]
    return [Change("models", kept, shown=list(chosen.models), shown_before=known)]


def _changes(preset: Preset, chosen: SweepOptions) -> list[Change]:
    from orket.planning.preset import Change

    pairs, _ = _read_urls(chosen.urls)
    changes = [
        Change(key, value)
        for key, value in (
            ("repetitions", chosen.runs),
            ("tasks.buckets", list(chosen.buckets) or None),
            ("tasks.sandbox", chosen.sandbox),
            ("fidelity.enabled", chosen.fidelity),
            ("runtime_target", chosen.runtime_target),
            ("execution_mode", chosen.execution_mode),
        )
        if value is not None
    ]
    if chosen.profile is not None:
        changes.append(_profile_change(preset, chosen.profile))
    is_strict = chosen.profile is not None or chosen.rejudge.quality_only is False
    if is_strict and preset.table.canary.yields_to:
        # Who names a profile, or asks for times, is not given something else for it.
        changes.append(Change("canary.yields_to", []))
    count = len(preset.table.models)
    pairs = {_spell_quant(preset, quant): url for quant, url in pairs.items()}
    quants = [_spell_quant(preset, quant) for quant in chosen.quants] or list(pairs)
    if quants:
        _refuse_unknown(preset, quants, chosen.provider or preset.table.provider.name)
        places = tuple(("models", index, "quants") for index in range(count))
        changes.append(Change("quants", quants, places))
    if pairs:
        provider = chosen.provider or preset.table.provider.name or ""
        changes += [
            Change("urls", pairs, (("models", index, "names", provider, "urls"),))
            for index in range(count)
        ]
    changes += _task_changes(chosen)
    changes += _layered(preset, "controls", _controls(chosen))
    changes += _layered(preset, "policy", _policy(chosen.rejudge))
    changes += [
        Change(f"labels.{key}", value, (("labels", key),))
        for key, value in map(_read_label, chosen.labels)
    ]
    return changes


def _spell_quant(preset: Preset, quant: str) -> str:
    """A quant as the preset spells it, else as the catalogue does, else as given.

    Raises UsageError where more than one of the preset's goes by that name.
    """
    from orket.quants import canonical_tag, find_at_level, is_coarser

    split_level(quant)
    ladder = [own for model in preset.table.models for own in model.quants]
    meant = find_at_level(quant, list(dict.fromkeys(ladder)))
    meant = meant or [own for own in dict.fromkeys(ladder) if is_coarser(quant, own)]
    if len(meant) > 1:
        raise UsageError(f"{quant} may be {' or '.join(meant)}", "name one of them")
    if meant and is_coarser(quant, meant[0]):
        messages.note(f"{quant} means {meant[0]}, the only one of that kind here")
    return meant[0] if meant else canonical_tag(quant) or quant


def _refuse_unknown(
    preset: Preset, quants: Sequence[str], provider: str | None
) -> None:
    """Raise UsageError for a quant that the server's names could not be made of.

    A file may have any tag in its name: whether it is there, the plan says. Of a
    folder all that is there is known.
    """
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.quants import find_quant

    for model in preset.table.models:
        names = model.names.get(provider or "")
        template = names and (names.name or names.tag or names.key)
        if names and names.file and preset.name == NEUTRAL_PRESET:
            _require_found(model.quants, quants)
        if names is None or names.file or not template or "{quant" not in template:
            continue
        known = {*model.quants, *names.quants, *names.urls}
        for quant in quants:
            if quant not in known and find_quant(quant) is None:
                raise UsageError(
                    f"no quant is called {quant!r}",
                    f"the preset {preset.name} has {', '.join(model.quants)}",
                )


def _require_found(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise UsageError for quants that no file was found of."""
    from orket.quants import same_quant

    absent = [
        quant
        for quant in wanted
        if not any(same_quant(without_level(quant), own) for own in found)
    ]
    if absent:
        raise UsageError(
            f"there is no file of {', '.join(absent)}",
            f"there are: {', '.join(found)}",
        )


def _profile_change(preset: Preset, profile: str) -> Change:
    """The profile of the preset and of each model that names one of its own."""
    from orket.planning.preset import Change

    own = [
        ("models", index, "control_profile")
        for index, model in enumerate(preset.content["models"])
        if "control_profile" in model
    ]
    return Change("control_profile", profile, (("control_profile",), *own))


def _task_changes(chosen: SweepOptions) -> list[Change]:
    from orket.planning.preset import Change

    numbers = [task for task in chosen.tasks if task.isdecimal()]
    names = [task for task in chosen.tasks if not task.isdecimal()]
    changes = [Change("tasks.limit", int(number)) for number in numbers[-1:]]
    if names:
        changes.append(Change("tasks.select", names))
    return changes


def _layered(preset: Preset, table: str, values: dict[str, Any]) -> list[Change]:
    """Values for the preset's own table and for each model's that says otherwise."""
    from orket.planning.preset import Change

    changes = []
    for key, value in values.items():
        places: list[tuple[str | int, ...]] = [(table, key)]
        for index, model in enumerate(preset.content["models"]):
            if key in model.get(table, {}):
                places.append(("models", index, table, key))
        changes.append(Change(f"{table}.{key}", value, tuple(places)))
    return changes


def _controls(chosen: SweepOptions) -> dict[str, Any]:
    threads = chosen.threads
    values = {
        "seed": chosen.seed,
        "threads": int(threads) if threads and threads.isdecimal() else threads,
        "affinity": chosen.affinity,
        "warmup": chosen.warmup,
        "context": chosen.context,
    }
    return {key: value for key, value in values.items() if value is not None}


def _policy(rejudge: Rejudge) -> dict[str, Any]:
    # A mistake is told by its option, not by the place it has in a preset.
    rejudge.policy_overrides()
    values = {
        "adherence_threshold": rejudge.adherence_threshold,
        "latency_ceiling_seconds": rejudge.latency_ceiling,
        "include_polluted": rejudge.include_polluted,
        "allow_unobserved": rejudge.allow_unobserved,
        "quality_only": rejudge.quality_only,
    }
    return {key: value for key, value in values.items() if value is not None}


def _read_urls(given: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Servers by quant (QUANT=URL), and plain URLs."""
    pairs: dict[str, str] = {}
    plain: list[str] = []
    for text in given:
        found = _QUANT_URL.match(text)
        if found:
            quant, url = found["quant"], found["url"]
            if quant in pairs:
                raise UsageError(
                    f"{quant} has two servers", "give each quant one --url"
                )
            pairs[quant] = url
        else:
            plain.append(text)
    if len(plain) > 1 or (plain and pairs):
        raise UsageError(
            "several servers need a quant each",
            "write --url Q8_0=http://host:8081 --url Q4_K_M=http://host:8082",
        )
    return pairs, plain


def _read_label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--label {text} is not a label", "write it as KEY=VALUE")
    return key, value


_OPTIONS = (
    click.option(
        "--model", "models", multiple=True, metavar="ID", help="Only these models."
    ),
    click.option(
        "--quants",
        multiple=True,
        metavar="LIST",
        help="Quants, e.g. Q8_0,Q4_K_M; at a level of KV cache or context: "
        "Q4_K_M@kv=q8_0,ctx=16k.",
    ),
    click.option(
        "--runs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Repetitions of each task.",
    ),
    click.option(
        "--tasks",
        multiple=True,
        metavar="N|LIST",
        help="So many tasks, or these: ids, patterns or a selection of the bank.",
    ),
    click.option(
        "--bucket",
        "buckets",
        multiple=True,
        metavar="LIST",
        help="Only these buckets: logic, refactor, mixed.",
    ),
    click.option("--provider", metavar="NAME", help="Adapter: see orket providers."),
    click.option(
        "--url",
        "urls",
        multiple=True,
        metavar="[QUANT=]URL",
        help="The server; with a server for each quant, repeat QUANT=URL.",
    ),
    click.option(
        "--discover",
        metavar="FOLDER|server",
        help="Build the quants from a folder of GGUF files, or from what the server "
        "has installed; --model picks one of several models.",
    ),
    server_options(OPTION_FLAGS),
    click.option(
        "--profile", metavar="NAME", help="Control profile: quiet, desktop, shared, ..."
    ),
    click.option("--seed", type=int, metavar="N", help="Sampling seed."),
    click.option("--threads", metavar="N|server", help="Threads of the server."),
    click.option(
        "--affinity",
        metavar="POLICY",
        help="CPU affinity: none, compact, spread, or a list like 0,2-3.",
    ),
    click.option(
        "--warmup",
        type=click.IntRange(min=1),
        metavar="N",
        help="Recorded warm-up calls at the head of each block.",
    ),
    click.option(
        "--context", type=click.IntRange(min=1), metavar="N", help="Context in tokens."
    ),
    click.option(
        "--sandbox",
        type=click.Choice(SANDBOXES),
        help="Where code answers are run.",
    ),
    click.option(
        "--fidelity/--no-fidelity",
        default=None,
        help="First ask each quant what it would say along the reference's answers.",
    ),
    click.option(
        "--runtime-target", "--venue", metavar="NAME", help="Where it runs, as a label."
    ),
    click.option(
        "--execution-mode", "--flow", metavar="NAME", help="How it runs, as a label."
    ),
    click.option(
        "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label to keep."
    ),
)
_FIELDS = tuple(name for name in SweepOptions.__dataclass_fields__ if name != "server")
