"""Whether a quant may go on being used: the checks, as a CI system reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from orket.errors import UsageError
from orket.exports.figures import count_runs
from orket.text import nearest, printable

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

Row = dict[str, Any]

PASSED, FAILED = "PASSED", "FAILED"
_KINDS = {FAILED: "failure", "NOT_JUDGED": "error"}
"""State -> element of a JUnit case that has not passed."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One quant of one model with its checks: rows of `v1.gate_check`."""

    sweep_id: str
    model_id: str
    quant_tag: str
    checks: list[Row]
    disturbed_runs: int = 0
    """Runs of it and of the reference that count although they were disturbed."""
    untimed: str | None = None
    """That answers alone were judged; None where times were too."""

    @property
    def notes(self) -> list[str]:
        """What is to be minded: what was not judged, or by disturbed runs."""
        told = [self.untimed] if self.untimed else []
        if self.disturbed_runs:
            runs = count_runs(self.disturbed_runs)
            verb = "counts" if self.disturbed_runs == 1 else "count"
            told.append(
                f"Its figures rest on disturbed runs: {runs} of it and of the "
                f"reference {verb} by include_polluted, so this is a first impression."
            )
        return told

    @property
    def missed(self) -> list[Row]:
        """Checks that have not passed: what was not measured passes nothing."""
        return [check for check in self.checks if check["state"] != PASSED]

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each check, under ROW_KEYS."""
        whole = self.document()
        gate = {key: whole[key] for key in _OF_GATE}
        return [gate | check for check in whole["checks"]]

    def document(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "sweep_id": self.sweep_id,
            "model_id": self.model_id,
            "quant_tag": self.quant_tag,
            "passed": not self.missed,
            "disturbed_runs": self.disturbed_runs,
            "notes": self.notes,
            "checks": [
                {
                    "check": check["check_name"],
                    **{key: check[key] for key in _KEYS},
                }
                for check in self.checks
            ],
        }


_DISTURBED = """
SELECT own.model_id, own.quant_tag, TRY_CAST(sum(used.polluted_used) AS BIGINT) AS runs
FROM v1.quant_aggregate AS own
INNER JOIN v1.choice AS choice USING (sweep_id, model_id)
INNER JOIN v1.quant_aggregate AS used
    ON used.sweep_id = own.sweep_id AND used.model_id = own.model_id
    AND used.quant_tag IN (own.quant_tag, choice.baseline_quant_tag)
GROUP BY ALL
"""
_KEYS = ("state", "words", "remedy", "worse_tests", "judged_tests", "tests")
_OF_GATE = ("sweep_id", "model_id", "quant_tag")
ROW_KEYS = (*_OF_GATE, "check", *_KEYS)
"""Of a check, as a file of comma-separated values has it."""


def read_gates(
    warehouse: Warehouse,
    sweep_id: str,
    quants: Sequence[str],
    model: str | None = None,
    with_baseline: bool = True,
    overrides: Mapping[str, object] | None = None,
) -> list[Gate]:
    """The checks of these quants, for each model that has one.

    Tags are read without regard to case. Raises UsageError naming what there is.
    """
    with warehouse.session(sweep_id, overrides) as session:
        rows = session.rows(
            "SELECT * FROM v1.gate_check ORDER BY model_id, quant_tag, place"
        )
        disturbed = {
            (row["model_id"], row["quant_tag"]): int(row["runs"])
            for row in session.rows(_DISTURBED)
        }
        untimed = {
            row["model_id"]: row["untimed"]
            for row in session.rows("SELECT model_id, untimed FROM v1.answer_line")
        }
    models = list(dict.fromkeys(row["model_id"] for row in rows))
    if model is not None and model not in models:
        raise UsageError(f"no model {model!r} in this sweep", nearest(model, models))
    here = [row for row in rows if model in (None, row["model_id"])]
    found: list[Gate] = []
    for quant in quants:
        named = [row for row in here if row["quant_tag"].casefold() == quant.casefold()]
        if not named:
            tags = dict.fromkeys(row["quant_tag"] for row in here)
            raise UsageError(f"no quant {quant!r} in this sweep", nearest(quant, tags))
        for gate in _gates(named, with_baseline, disturbed, untimed):
            if gate not in found:
                found.append(gate)
    return found


def _gates(
    rows: Iterable[Row],
    with_baseline: bool,
    disturbed: Mapping[tuple[str, str], int],
    untimed: Mapping[str, str | None],
) -> Iterator[Gate]:
    cells: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        key = (row["sweep_id"], row["model_id"], row["quant_tag"])
        if with_baseline or not row["is_against_baseline"]:
            cells.setdefault(key, []).append(row)
    for key, checks in cells.items():
        yield Gate(*key, checks, disturbed.get(key[1:], 0), untimed.get(key[1]))


def render_junit(gates: Sequence[Gate]) -> bytes:
    """JUnit XML: a suite for each quant, a case for each check.

    A check that could not be judged is an error, one that is not met a failure.
    """
    root = ElementTree.Element("testsuites", name="orket gate")
    for gate in gates:
        states = [check["state"] for check in gate.checks]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=printable(f"{gate.model_id} {gate.quant_tag}"),
            tests=str(len(states)),
            failures=str(states.count(FAILED)),
            errors=str(len(gate.missed) - states.count(FAILED)),
            skipped="0",
        )
        if notes := gate.notes:
            properties = ElementTree.SubElement(suite, "properties")
            for note in notes:
                ElementTree.SubElement(
                    properties, "property", name="note", value=printable(note)
                )
        for check in gate.checks:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=printable(f"orket.{gate.model_id}.{gate.quant_tag}"),
                name=check["check_name"].lower(),
            )
            if check["state"] != PASSED:
                said = ElementTree.SubElement(
                    case, _KINDS[check["state"]], message=printable(check["words"])
                )
                said.text = "\n".join(map(printable, _detail(check)))
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _detail(check: Row) -> Iterator[str]:
    yield check["words"]
    yield from check["worse_tests"]
    if check["remedy"]:
        yield check["remedy"]


def github_lines(gates: Sequence[Gate]) -> Iterator[str]:
    """Workflow commands that annotate a run: an error for each check not passed."""
    for gate in gates:
        name = f"orket gate: {gate.model_id} {gate.quant_tag}"
        if not gate.missed:
            words = f"passes {len(gate.checks)} of {len(gate.checks)} checks"
            yield _command("notice", name, words)
        for note in gate.notes:
            yield _command("warning", name, note)
        for check in gate.missed:
            title = f"{name}, {check['check_name'].lower()}"
            yield _command("error", title, "\n".join(_detail(check)))


def _command(kind: str, title: str, message: str) -> str:
    # Line by line: each is made printable, and the breaks between them are ours.
    told = "%0A".join(
        _escape_data(printable(line)) for line in message.split("\n") if line
    )
    return f"::{kind} title={_escape_property(printable(title))}::{told}"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
