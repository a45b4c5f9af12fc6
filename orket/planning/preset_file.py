"""What a preset or a control profile file may say, and how a mistake in it is told."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
)

from orket.errors import UsageError
from orket.levels import read_kv, spell_level, split_level
from orket.limits import MAX_BYTES, MAX_COUNT, MAX_READING, exact_number
from orket.planning.budget import Until, read_budget
from orket.policy import POLICY_KEYS, policy_value
from orket.providers.options import OPTION_KEYS, ServerOptions, build_options
from orket.providers.serving.command import read_command
from orket.tasks.sandboxes import NAMES as SANDBOXES
from orket.tasks.task import BUCKETS
from orket.text import nearest
from orket.toml_source import TomlSource, read_toml

Word = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Natural = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Policies = dict[str, bool | int | Decimal | str]


class Table(BaseModel):
    """Base of every table: strict, and no key that is not declared."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ControlsTable(Table):
    """Experimental controls; a key that is absent leaves the layer below in force."""

    seed: Annotated[int, Field(ge=-MAX_READING, le=MAX_READING)] | None = None
    temperature: Annotated[Decimal | int, Field(ge=0, le=10**9)] | None = None
    threads: Positive | Literal["server"] | None = None
    affinity: Word | None = None
    warmup: Positive | None = None
    context: Positive | None = None
    batch: Positive | None = None
    kv_cache: Word | None = None
    thinking: bool | None = None


if TYPE_CHECKING:
    _OptionsTable = Table
else:
    _OptionsTable = create_model(
        "_OptionsTable",
        __base__=Table,
        **{
            key.name: (
                bool | None
                if key.is_switch
                else Positive | None
                if key.is_number
                else Word | None,
                None,
            )
            for key in OPTION_KEYS
        },
    )


class ProviderTable(_OptionsTable):
    """The server that answers: which it is, and a key for each of `ServerOptions`."""

    name: Word | None = None
    timeout_seconds: Annotated[Decimal | int, Field(gt=0)] | None = None

    def options(self) -> ServerOptions:
        """How the server is reached."""
        return build_options({key.name: getattr(self, key.name) for key in OPTION_KEYS})


class NameTable(Table):
    """What one provider calls a model: a file, or a name, tag or key."""

    file: Word | None = None
    name: str | None = None
    tag: Word | None = None
    key: Word | None = None
    url: Word | None = None
    urls: dict[str, Word] = {}
    quants: dict[str, Word] = {}


class ModelTable(Table):
    """One model with the quants to compare.

    `any_id` lets --model give another id; `parameters_billions` serves estimates only.
    """

    id: Word
    quants: Annotated[list[Word], Field(min_length=1)]
    any_id: bool = False
    parameters_billions: (
        Annotated[Decimal | int, Field(gt=0, le=MAX_BYTES // 10**9)] | None
    ) = None
    names: Annotated[dict[str, NameTable], Field(min_length=1)]
    control_profile: Word | None = None
    controls: ControlsTable = ControlsTable()
    policy: Policies = {}

    @field_validator("quants")
    @classmethod
    def _spell_levels(cls, quants: list[str]) -> list[str]:
        """One spelling for each level: tags of the sweep are compared by letters."""
        return [spell_level(quant) for quant in quants]


class TasksTable(Table):
    """The tasks: a bank, and which part of it."""

    bank: Word | None = None
    buckets: list[Word] | None = None
    select: list[Word] | None = None
    limit: Positive | None = None
    sandbox: Word | None = None


class CanaryTable(Table):
    """The gate before the matrix, and the anchor runs during it."""

    enabled: bool | None = None
    quant: Word | None = None
    task: Word | None = None
    anchor_every_seconds: Natural | None = None
    anchor_every_blocks: Natural | None = None
    yields_to: list[Word] = Field(default_factory=list)
    """Control profiles, in order, or `answers`: what an unsteady machine is judged by.
    """


class SidecarTable(Table):
    """A diagnostic tool that runs after the matrix."""

    tool: Word | None = None
    profile: Word | None = None
    binary: Word | None = None
    timeout_seconds: Positive | None = None


class FidelityTable(Table):
    """The phase before the matrix: does a quant do what the most precise one does?"""

    enabled: bool | None = None
    prompts: Positive | None = None
    max_tokens: Positive | None = None
    k: Annotated[int, Field(ge=2, le=100)] | None = None


class PresetTable(Table):
    """A whole preset file. Everything is optional: an `extends` may bring the rest."""

    schema_version: Literal[1]
    title: Word | None = None
    description: str | None = None
    extends: Word | None = None
    control_profile: Word | None = None
    repetitions: Positive | None = None
    order: Literal["reversed", "rotated", "grouped"] | None = None
    budget: Word | None = None
    until: Until | None = None
    polluted_retries: Natural | None = None
    runtime_target: Word | None = None
    execution_mode: Word | None = None
    provider: ProviderTable = ProviderTable()
    controls: ControlsTable = ControlsTable()
    models: list[ModelTable] = []
    tasks: TasksTable = TasksTable()
    policy: Policies = {}
    canary: CanaryTable = CanaryTable()
    fidelity: FidelityTable = FidelityTable()
    labels: dict[str, str] = {}
    sidecar: SidecarTable = SidecarTable()


class EvidenceTable(Table):
    """Where a saved control profile comes from."""

    sweep_id: Word
    hardware_fingerprint: str | None = None
    latency_cv: Decimal | int | None = None
    latency_basis: str | None = None


class ProfileTable(Table):
    """A control profile file: controls and thresholds that belong to a machine."""

    schema_version: Literal[1]
    title: Word | None = None
    description: str | None = None
    controls: ControlsTable = ControlsTable()
    policy: Policies = {}
    evidence: EvidenceTable | None = None


_File = TypeVar("_File", PresetTable, ProfileTable)


def read_preset_toml(path: Path) -> TomlSource:
    """A TOML file whose decimals stay exact. Raises UsageError with file and line."""
    return read_toml(path, parse_float=exact_number)


def check_table(
    kind: type[_File],
    content: Mapping[str, Any],
    where: Path | str,
    source: TomlSource | None = None,
) -> _File:
    """Judge the content of a file strictly.

    Raises UsageError with every problem on one line: file, line, key, what to do.
    """
    problems: list[str] = []
    checked: _File | None = None
    try:
        checked = kind.model_validate(content)
    except ValidationError as failure:
        for path, errors in _by_place(failure).items():
            problems.append(_say(where, source, path, _explain(kind, path, errors)))
    problems += [
        _say(where, source, path, saying)
        for path, saying in (*_word_problems(content), *_policy_problems(content))
    ]
    if problems or checked is None:
        raise UsageError("; ".join(problems))
    return checked


def _by_place(failure: ValidationError) -> dict[tuple[str | int, ...], list[Any]]:
    """Errors by place: a union reports each of its branches."""
    places: dict[tuple[str | int, ...], list[Any]] = {}
    for error in failure.errors(include_url=False):
        place = tuple(part for part in error["loc"] if not _is_branch(part))
        places.setdefault(place, []).append(error)
    return places


def _is_branch(part: object) -> bool:
    return isinstance(part, str) and (
        part in ("int", "str", "bool", "decimal", "float")
        or part.startswith(("constrained-", "literal[", "function-"))
    )


def _explain(
    kind: type[BaseModel], path: Sequence[str | int], errors: Sequence[Any]
) -> str:
    first = errors[0]
    if first["type"] == "extra_forbidden":
        return _unknown_key(str(path[-1]), _keys_at(kind, path[:-1]))
    if first["type"] == "missing":
        return "is missing"
    return " or ".join(
        dict.fromkeys(
            str(error["msg"]).replace("Input should", "should") for error in errors
        )
    )


def _unknown_key(key: str, valid: Sequence[str]) -> str:
    return f"unknown key; {nearest(key, sorted(valid))}"


def _keys_at(kind: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys that are declared in the table at `path`."""
    current: Any = kind
    for part in path:
        current = _step(current, part)
    table = _table_in(current)
    return list(table.model_fields) if table else []


def _step(annotation: Any, part: str | int) -> Any:
    table = _table_in(annotation)
    if table and isinstance(part, str) and part in table.model_fields:
        return table.model_fields[part].annotation
    arguments = get_args(annotation)
    return arguments[-1] if arguments else annotation


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table type inside an annotation, not looking into lists and maps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        for inner in get_args(annotation):
            if found := _table_in(inner):
                return found
    return None


def _word_problems(
    content: Mapping[str, Any],
) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the words whose closed lists others own."""
    tasks = content.get("tasks")
    table = tasks if isinstance(tasks, dict) else {}
    problems: list[tuple[tuple[str | int, ...], str]] = []
    if isinstance(budget := content.get("budget"), str):
        try:
            read_budget(budget)
        except UsageError as error:
            problems.append((("budget",), str(error)))
    problems += _level_problems(content)
    problems += _command_problems(content)
    for key, kind, known in (
        ("buckets", "bucket", BUCKETS),
        ("sandbox", "sandbox", SANDBOXES),
    ):
        given = table.get(key)
        problems += [
            (("tasks", key), f"no {kind} named {name!r}; {nearest(name, known)}")
            for name in (given if isinstance(given, list) else [given])
            if isinstance(name, str) and name not in known
        ]
    return problems


def _command_problems(
    content: Mapping[str, Any],
) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the command that serves a quant."""
    provider = content.get("provider")
    command = provider.get("serve_cmd") if isinstance(provider, dict) else None
    try:
        if isinstance(command, str):
            read_command(command)
    except UsageError as error:
        return [(("provider", "serve_cmd"), str(error))]
    return []


def _level_problems(
    content: Mapping[str, Any],
) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the levels of quants, and with the controls of that kind."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    models = content.get("models")
    tables: list[tuple[tuple[str | int, ...], Any]] = [((), content)]
    for index, model in enumerate(models if isinstance(models, list) else []):
        if not isinstance(model, dict):
            continue
        tables.append((("models", index), model))
        quants = model.get("quants")
        for quant in quants if isinstance(quants, list) else []:
            try:
                split_level(str(quant))
            except UsageError as error:
                problems.append((("models", index, "quants"), str(error)))
    for path, table in tables:
        controls = table.get("controls")
        kv = controls.get("kv_cache") if isinstance(controls, dict) else None
        try:
            if isinstance(kv, str):
                read_kv(kv)
        except UsageError as error:
            problems.append(((*path, "controls", "kv_cache"), str(error)))
    return problems


def _policy_problems(
    content: Mapping[str, Any],
) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the thresholds: their keys are data, not declared fields."""
    tables: list[tuple[tuple[str | int, ...], Any]] = [
        (("policy",), content.get("policy"))
    ]
    models = content.get("models")
    for index, model in enumerate(models if isinstance(models, list) else []):
        if isinstance(model, dict):
            tables.append((("models", index, "policy"), model.get("policy")))
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for path, table in tables:
        for key, value in (table if isinstance(table, dict) else {}).items():
            if key not in POLICY_KEYS:
                problems.append(((*path, key), _unknown_key(key, list(POLICY_KEYS))))
                continue
            try:
                policy_value(key, value)
            except UsageError as error:
                problems.append(((*path, key), str(error)))
    return problems


def _say(
    where: Path | str,
    source: TomlSource | None,
    path: Sequence[str | int],
    saying: str,
) -> str:
    place = f"{where}, line {source.line_of(*path)}" if source else str(where)
    dotted = ".".join(str(part) for part in path)
    return f"{place}: {dotted}: {saying}" if dotted else f"{place}: {saying}"
