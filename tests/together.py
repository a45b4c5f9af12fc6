"""Tests that look at views together: what all of a file ask is computed once.

A look at a warehouse costs the same for one small sweep as for fifty: it is the SQL of
the views that has to be planned. A test under `together` is a generator that yields the
sweep it wants looked at, and is given what the views say of it:

    @together
    def test_it(tasks):
        seen = yield Sweep(...).fill()
        (row,) = seen.view("recommendation")
        assert row[...]

When the first test of a file is run, all that were selected of it are begun, and each
time all of them wait, their sweeps go into one warehouse under names of their own and
are looked at at once. A test fails by its own assertions alone.
"""

from __future__ import annotations

import functools
import inspect
import re
import shutil
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orket.warehouse import Warehouse
from orket.warehouse.session import Session
from tests.built_sweep import Sweep

Sight = Generator[Any, Any, Any]
"""A test that yields a sweep, or several, and is sent a `Seen` for each."""

_VIEW = re.compile(r"\bv1\.(\w+)\b(?!\()")
_Outcome = BaseException | None


class Seen:
    """What the views say of one sweep among others, under the name it was given."""

    def __init__(self, session: Session, stored_as: str, name: str) -> None:
        self._session = session
        self._stored_as = stored_as
        self._name = name

    def rows(
        self, query: str, parameters: Sequence[object] = ()
    ) -> list[dict[str, Any]]:
        """The rows of a query, in which `v1.<view>` has only rows of this sweep."""
        return self._session.rows(_VIEW.sub(self._own, query), parameters)

    def view(self, name: str) -> list[dict[str, Any]]:
        """The rows of a view that are of this sweep, in its own order."""
        return self.rows(f"SELECT * FROM v1.{name}")

    def stage_all(self) -> None:
        """Compute every view there is."""
        self._session.stage(self._session.view_names())

    def _own(self, view: re.Match[str]) -> str:
        """This sweep's rows of a view; all rows of one that knows no sweeps."""
        name = view.group(1)
        columns = self._session.look(
            lambda duckdb: duckdb.execute(
                "SELECT column_name FROM duckdb_columns() "
                "WHERE schema_name = 'v1' AND table_name = ?",
                [name],
            ).fetchall(),
            [name],
        )
        if ("sweep_id",) not in columns:
            return view.group(0)
        return (
            f"(SELECT * REPLACE ('{self._name}' AS sweep_id) FROM v1.{name} "
            f"WHERE sweep_id = '{self._stored_as}')"
        )


def together(body: Callable[..., Sight]) -> Callable[..., None]:
    """A test that waits for its looks with all others of its file."""

    @functools.wraps(body)
    def test(**given: Any) -> None:
        outcome = given["looked_together"](given["request"].node)
        if outcome is not None:
            raise outcome

    own = inspect.signature(body).parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
        for name in ("request", "looked_together")
    ]
    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    signature = inspect.Signature([*named, *added])
    test.__signature__ = signature  # type: ignore[attr-defined]
    return test


@pytest.fixture(scope="module")
def looked_together(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[pytest.Function], _Outcome]:
    """Runs all tests of the file that look together, and knows how each came out."""
    outcomes: dict[str, _Outcome] = {}

    def outcome(node: pytest.Function) -> _Outcome:
        if node.nodeid not in outcomes:
            bodies = {
                item.nodeid: _begun(item)
                for item in request.session.items
                if item.path == node.path and _is_together(item)
            }
            outcomes.update(run(bodies, tmp_path_factory.mktemp("together")))
        return outcomes[node.nodeid]

    return outcome


def _is_together(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "looked_together" in item.fixturenames


def _begun(item: pytest.Item) -> Sight:
    assert isinstance(item, pytest.Function)
    given = item.callspec.params if hasattr(item, "callspec") else {}
    sight: Sight = item.function.__wrapped__(**given)
    return sight


def run(bodies: dict[str, Sight], folder: Path) -> dict[str, _Outcome]:
    """Let all go on from look to look until each has ended; how each ended."""
    outcomes: dict[str, _Outcome] = {}
    waiting: dict[str, Any] = {}

    def go_on(name: str, seen: Any) -> None:
        try:
            waiting[name] = bodies[name].send(seen)
        except StopIteration:
            outcomes[name] = None
        except (Exception, pytest.fail.Exception) as error:
            outcomes[name] = error

    for name in bodies:
        go_on(name, None)
    while waiting:
        asked, waiting = waiting, {}
        place = folder / "warehouse"
        warehouse = Warehouse(place)
        stored = {
            name: [
                _store(warehouse, sweep, f"{number}.{index}")
                for index, sweep in enumerate(_several(wanted))
            ]
            for number, (name, wanted) in enumerate(asked.items())
        }
        with warehouse.session() as session:
            for name, wanted in asked.items():
                seen = [
                    Seen(session, stored_as, sweep.sweep_id)
                    for stored_as, sweep in zip(
                        stored[name], _several(wanted), strict=True
                    )
                ]
                go_on(name, seen if isinstance(wanted, list) else seen[0])
        shutil.rmtree(place)
    return outcomes


def _several(wanted: Sweep | list[Sweep]) -> list[Sweep]:
    return wanted if isinstance(wanted, list) else [wanted]


def _store(warehouse: Warehouse, sweep: Sweep, name: str) -> str:
    """Store a sweep under another name, and give that."""
    named = msgspec.structs.replace
    rows: dict[str, list[Any]] = {
        "sweeps": [named(sweep.sweep_row(), sweep_id=name)],
        "runs": [named(run, sweep_id=name) for run in sweep.runs],
        "sidecars": [named(row, sweep_id=name) for row in sweep.sidecars],
        "fidelity": [named(row, sweep_id=name) for row in sweep.fidelity],
        # One event of a name counts, whatever its sweep.
        "events": [
            named(event, sweep_id=name, event_id=f"{name}: {event.event_id}")
            for event in sweep.events
        ],
    }
    for dataset, own in rows.items():
        if own:
            warehouse.append(dataset, own, None if dataset == "events" else name)
    return name
