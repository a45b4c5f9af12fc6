"""Every reader of a file, over files damaged at random: read, or refused in a line.

Streams and answers of servers have tests of their own kind in `tests/providers`.
"""

from __future__ import annotations

import copy
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orket.errors import OrketError
from orket.exports.bundle import verify_bundle, write_bundle
from orket.gguf import BadGguf, read_header
from orket.ingest.detect import detect_format
from orket.ingest.formats import FORMATS, ORKET, format_named
from orket.ingest.origin import SourceOptions
from orket.ingest.orket_rows import judge_stretch
from orket.ingest.reading import BadDocument
from orket.ingest.rejection import Rejection
from orket.planning.preset import load_preset, load_profile
from orket.providers.reading.prometheus import Samples
from orket.records import DATASETS, to_json
from orket.resources import shipped
from orket.tasks.bank import load_bank
from orket.warehouse import Warehouse
from orket.warehouse.journal import parse_journal
from orket.warehouse.quarantine import (
    NOTE_SUFFIX,
    Note,
    missing_parts,
    quarantine_folder,
)
from orket.warehouse.verify import verify
from tests.built_sweep import START, Sweep
from tests.fuzzing import examples
from tests.gguf_files import gguf
from tests.ingest import test_ingest_formats as foreign
from tests.ingest.test_ingest_together import inspect_eval, promptfoo, promptfoo_cell
from tests.places import FIXTURES
from tests.sidecars.test_divergence import output

REFUSALS = (OrketError, BadDocument, BadGguf)
"""What a person reads as one line."""

VALUES: list[Any] = [
    *(None, True, -1, -0.5, 1e300, 10**30, math.nan, math.inf, "12", "", "\ud800"),
    *("\x00", "a\nb", "x" * 5000, "CON", [], {}, [[]], [{}], {"a": 1}),
    *("9" * 5000, "²", "HUGE", "TINY", "LONG"),
]
NUMBERS = {"HUGE": b"1e999999999", "TINY": b"1e-999999999", "LONG": b"9" * 5000}
"""What JSON has a word for and Python no value; in `VALUES` by their names."""


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, below in inner:
        yield from _paths(below, (*path, key))


def _changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value there; CON stands for one without it."""
    if not path:
        return value
    found = copy.deepcopy(document)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    if value == "CON":
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return found


@st.composite
def wounds(draw: st.DrawFn, whole: bytes) -> bytes:
    """The file with some bytes removed, others put in, or a part of it twice."""
    found = whole
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(found)))
        end = min(len(found), start + draw(st.integers(0, 40)))
        middle = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from([b"\n", b'"', b"\x00", b"\xff\xfe", b"1e999", b"{"]),
                st.sampled_from(sorted(NUMBERS.values())),
                st.just(found[start:end] * 2),
            )
        )
        found = found[:start] + middle + found[end:]
    return found


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The file wounded, or as JSON with one value changed."""
    if draw(st.booleans()):
        return draw(wounds(whole))
    try:
        document = json.loads(whole)
    except ValueError:
        return draw(wounds(whole))
    path = draw(st.sampled_from(list(_paths(document))))
    value = draw(st.sampled_from(VALUES))
    text = json.dumps(_changed(document, path, value)).encode()
    if isinstance(value, str) and value in NUMBERS:
        text = text.replace(f'"{value}"'.encode(), NUMBERS[value])
    return text


# --- what each target reads ---


def _foreign(path: Path) -> None:
    name = detect_format(path)
    if name == ORKET:
        return
    for _, item in format_named(name).parse(path, SourceOptions()).items:
        if isinstance(item, Rejection):
            assert item.reason
        else:
            to_json(item)


def _rows(path: Path) -> None:
    content = path.read_bytes()
    starts = [(0, content if content.endswith(b"\n") else content + b"\n")]
    for rejection in judge_stretch(starts, None).rejections:
        assert rejection.reason


def _parquet(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Warehouse(Path(folder))
        place = store.folder("runs", "sweep-1")
        place.mkdir(parents=True)
        path.rename(place / "part-x.parquet")
        verify(store)
        with store.session() as session:
            session.rows("SELECT * FROM raw.runs")


def _journal(path: Path) -> None:
    for dataset in ("runs", "fidelity"):
        for _, reason in parse_journal(path, dataset).faults:
            assert reason


def _note(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        part = quarantine_folder(root) / "runs" / "sweep_id=a" / "part-x.parquet"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"")
        path.rename(part.with_name(part.name + NOTE_SUFFIX))
        assert len(missing_parts(root)) == 1


def _metrics(path: Path) -> None:
    samples = Samples(path.read_bytes().decode("utf-8", "replace"))
    total = samples.total("requests")
    assert total is None or isinstance(total, float)


METRICS = b"""# HELP requests all
# TYPE requests counter
requests_total{model="a\\"b",code="200"} 12 1700000000
requests_total{model="c"} 3e2
other NaN
"""


def _sweep() -> Sweep:
    return Sweep(quants=("F16",), tasks=("t1",)).fill().finish()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _make(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()


def _a_part() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        store = Warehouse(Path(folder))
        store.append("runs", _sweep().runs, "sweep-1")
        return store.parts("runs")[0].read_bytes()


def _a_bundle(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Warehouse(Path(folder))
        sweep = _sweep()
        store.append("sweeps", [sweep.sweep_row()], "sweep-1")
        store.append("runs", sweep.runs, "sweep-1")
        write_bundle(store, "sweep-1", path)


def _a_note() -> bytes:
    return msgspec.json.encode(
        Note(dataset="runs", sweep_id="a", what="torn", moved_at=START)
    )


CELL = promptfoo_cell({"id": "openai:demo-Q8_0", "label": ""}, 1, True)
GUIDELLM = {"requests": {"successful": [foreign.REQUEST_02, foreign.REQUEST_NEW]}}
TARGETS: dict[str, tuple[Callable[[Path], object], Callable[[], bytes], str, int]] = {
    "gguf": (read_header, gguf, "demo.gguf", 60),
    "determinism": (_foreign, lambda: _json(foreign.REPORT), "r.json", 60),
    "baseline": (_foreign, lambda: _json(foreign.BASELINES), "b.json", 60),
    "lm-eval": (_foreign, lambda: _json(foreign.SAMPLE), "samples.jsonl", 60),
    "lm-eval results": (_foreign, lambda: _json(foreign.RESULTS), "res.json", 60),
    "guidellm": (
        _foreign,
        lambda: _json({"args": {}, "benchmarks": [GUIDELLM]}),
        "g.json",
        60,
    ),
    "promptfoo": (
        _foreign,
        lambda: _make(lambda path: promptfoo(path, [CELL])),
        "p.json",
        60,
    ),
    "inspect": (
        _foreign,
        lambda: _make(lambda path: inspect_eval(path, "m", "r")),
        "log.eval",
        40,
    ),
    "llama-perplexity": (_foreign, lambda: output().encode(), "demo.log", 60),
    **{
        f"llama-bench {path.suffix[1:]}": (_foreign, path.read_bytes, path.name, 40)
        for path in sorted((FIXTURES / "llama_bench").iterdir())
    },
    "preset": (
        lambda path: load_preset(str(path)),
        (shipped("presets") / "quickstart.toml").read_bytes,
        "preset.toml",
        40,
    ),
    "control profile": (
        lambda path: load_profile(str(path)),
        (shipped("presets") / "controls" / "desktop.toml").read_bytes,
        "profile.toml",
        40,
    ),
    "bank": (
        load_bank,
        (shipped("presets") / "tasks" / "quickstart.toml").read_bytes,
        "bank.toml",
        20,
    ),
    "manifest": (_rows, lambda: to_json(_sweep().sweep_row()), "m.jsonl", 60),
    "runs": (_rows, lambda: to_json(_sweep().runs[0]), "r.jsonl", 60),
    "events": (_rows, lambda: to_json(_sweep().events[0]), "e.jsonl", 40),
    "Parquet": (_parquet, _a_part, "part.parquet", 4),
    "bundle": (verify_bundle, lambda: _make(_a_bundle), "b.tar", 6),
    "journal": (_journal, lambda: to_json(_sweep().runs[0]) + b"\n", "j.jsonl", 60),
    "quarantine note": (_note, _a_note, "n.json", 60),
    "metrics": (_metrics, lambda: METRICS, "metrics", 100),
}
"""Name -> what reads a file, a whole one, its name, how many damaged ones to draw."""

REFUSED_WHOLE = {"lm-eval results"}
"""Those that hold aggregates alone: told by their content, and refused."""


WELLS = (
    b"[" * 99_999 + b"]" * 99_999,
    b'{"a":' * 99_999 + b"1" + b"}" * 99_999,
    b'{"schema_version": "1", "moved_at": ' + b"[" * 99_999,
)
"""What no reader that calls itself comes to the ground of."""


@cache
def _whole(name: str) -> bytes:
    return TARGETS[name][1]()


@pytest.mark.parametrize("name", TARGETS)
def test_a_whole_file_is_read_and_a_damaged_one_read_or_refused(name):
    read, _, file_name, ordinary = TARGETS[name]
    whole = _whole(name)

    def put(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file_name
            path.write_bytes(content)
            read(path)

    if name not in REFUSED_WHOLE:
        put(whole)

    @settings(
        max_examples=examples(ordinary),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(whole))
    def check(content: bytes) -> None:
        try_it(content)

    def try_it(content: bytes) -> None:
        try:
            put(content)
        except REFUSALS as error:
            assert "\n" not in str(error).strip()

    check()
    for well in WELLS:
        try_it(well)


def test_every_format_and_dataset_has_a_target():
    """A further one without a target fails here."""
    named = {name.partition(" ")[0] for name in TARGETS}
    assert {each.name for each in FORMATS} - {ORKET} <= named
    assert set(DATASETS) == {"sweeps", "runs", "sidecars", "fidelity", "events"}
