"""Imports point downward only: the picture in docs/architecture.md stays true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import orket
from orket.cli.main import VERBS

PACKAGE = Path(orket.__file__).parent

FLOORS = {
    "cli": 5,
    "exports": 5,
    "report": 5,
    "sweep": 4,
    "planning": 3,
    "ingest": 3,
    "baselines": 3,
    "providers": 2,
    "tasks": 2,
    "machine": 2,
    "sidecars": 2,
    "mockserver": 2,
    "records": 1,
    "row_types": 1,
    "admission": 1,
    "limits": 1,
    "warehouse": 1,
    "policy": 1,
    "evidence": 1,
    "quants": 1,
    "levels": 1,
    "gguf": 1,
    "identity": 1,
    "text": 1,
    "toml_source": 1,
    "urls": 1,
    "errors": 1,
    "file_names": 1,
    "resources": 1,
}

SIDEWAYS = {
    ("cli", "exports"),  # a verb prints what an exporter rendered
    ("cli", "report"),  # ... or writes what a report became
    (
        "report",
        "exports",
    ),  # a report shows the summary, and figures as people read them
    ("providers", "machine"),  # an engine that Orket starts is pinned and observed
}
"""Imports on one floor that are allowed; floor 1 is one ground."""

WINGS = {
    "http": set(),
    "reading": {"http"},
    "serving": {"http", "reading"},
    "llamacpp": {"http", "reading", "serving"},
    "ollama": {"http", "reading"},
    "lmstudio": {"http", "reading"},
    "tgi": {"http", "reading"},
}
"""Wing of `providers/` -> the other wings that it may stand on."""

OWNERS = {
    "httpx": {"providers"},
    "duckdb": {"warehouse"},
    "pyarrow": {"warehouse"},
    "rich": {"cli"},
    "click": {"cli"},
    "altair": {"report"},
    "vl_convert": {"report"},
    "jinja2": {"report"},
}
"""Library -> the rooms that may import it."""

PUBLIC = (PACKAGE / "__init__.py", PACKAGE / "__main__.py")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path not in PUBLIC)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of all imports: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


IMPORTS = [(path, name) for path in MODULES for name in imports_of(path)]


def file_of(name: str) -> Path | None:
    """The file of Orket that an imported name comes from."""
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        place = PACKAGE.joinpath(*parts[1:length])
        if place.with_suffix(".py").is_file():
            return place.with_suffix(".py")
        if (place / "__init__.py").is_file():
            return place / "__init__.py"
    return None


def file_graph() -> dict[Path, set[Path]]:
    graph: dict[Path, set[Path]] = {path: set() for path in MODULES}
    for path, name in IMPORTS:
        if name.startswith("orket.") and (target := file_of(name)):
            graph[path].add(target)
    return graph


def is_downward(room: str, target: str) -> bool:
    same_ground = FLOORS[room] == FLOORS[target] == 1
    return same_ground or FLOORS[target] < FLOORS[room]


def test_every_room_has_a_floor():
    assert {room_of(path) for path in MODULES} == set(FLOORS)


def test_imports_point_downward():
    wrong = []
    for path, name in IMPORTS:
        top, _, rest = name.partition(".")
        room, target = room_of(path), rest.partition(".")[0]
        if top != "orket" or target in (room, "__version__"):
            continue
        if not is_downward(room, target) and (room, target) not in SIDEWAYS:
            wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_no_two_files_import_each_other_in_a_circle():
    graph = file_graph()
    assert sum(map(len, graph.values())) > len(graph), "the imports were not read"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(str(path.relative_to(PACKAGE)) for path in error.args[1])
        raise AssertionError(f"files import each other: {circle}") from None


def test_wings_of_the_adapters_stand_on_each_other_downward():
    providers = PACKAGE / "providers"
    wrong = []
    for path, targets in file_graph().items():
        wing = path.relative_to(PACKAGE).parts[1:2]
        if path.parent.parent != providers or wing[0] not in WINGS:
            continue
        for target in targets:
            other = target.parent.name
            if other in WINGS and other not in WINGS[wing[0]] | {wing[0]}:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {other}")
    assert wrong == []
    assert {path.name for path in providers.iterdir() if path.is_dir()} - {
        "__pycache__"
    } == set(WINGS)


def test_verbs_do_not_import_verbs():
    verbs = {PACKAGE.parent / verb_file(target) for target, _ in VERBS.values()}
    assert len(verbs) == len(VERBS)
    wrong = [
        f"{path.stem} imports {target.stem}"
        for path, targets in file_graph().items()
        for target in targets & verbs
        if path in verbs or path.parent == PACKAGE / "cli"
    ]
    assert wrong == []


def verb_file(target: str) -> Path:
    return Path(*target.partition(":")[0].split(".")).with_suffix(".py")


def test_libraries_stay_in_their_rooms():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path, name in IMPORTS
        if room_of(path) not in OWNERS.get(name.partition(".")[0], {room_of(path)})
    ]
    assert wrong == []


def test_the_package_never_imports_what_made_it():
    outside = {"tools", "tests", "benchmarks"}
    assert not [name for _, name in IMPORTS if name.partition(".")[0] in outside]
