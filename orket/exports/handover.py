"""What it takes to run a measured quant: what the views say of it, made into lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orket.errors import UsageError
from orket.providers.handover import HandOver, Measured, hand_over
from orket.providers.serving.shells import SHELLS, shell_line
from orket.text import nearest

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.session import Session

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The quant of one model that is handed over, if there is one."""

    model_id: str
    best_value_quant: str | None
    use: Row | None
    """Its row of `v1.quant_use`; None where none is advised."""
    settings: list[Row]
    """Its rows of `v1.quant_setting`."""
    how: HandOver
    answer: str = ""
    """What to use of this model, in the words of the recommendation."""
    untimed: str | None = None
    """That answers alone were judged; None where times were too."""

    def lines(self, shell: str) -> list[str] | None:
        """The commands as lines of a shell; None where one cannot be written safely."""
        lines = [shell_line(words, shell) for words in self.how.commands]
        return None if None in lines else [line for line in lines if line is not None]

    def document(self) -> dict[str, Any]:
        """The same as plain values."""
        use = self.use or {}
        return {
            "sweep_id": use.get("sweep_id"),
            "model_id": self.model_id,
            "quant_tag": use.get("quant_tag"),
            "is_advised": use.get("is_advised", False),
            "advised_quant": use.get("advised_quant"),
            "best_value_quant": self.best_value_quant,
            "answer": self.answer,
            "untimed": self.untimed,
            **{key: use.get(key) for key in _IDENTITY},
            "commands": self.how.commands,
            "lines": {shell: self.lines(shell) for shell in SHELLS},
            "modelfile": self.how.modelfile,
            "settings": {
                row["setting"]: {
                    "value": row["value"],
                    "status": row["status"],
                    "asked": row["asked"],
                    "verified": row["verified"],
                    "in_command": row["setting"] in self.how.used,
                }
                for row in self.settings
            },
            "notes": list(self.how.notes),
        }


_IDENTITY = (
    "provider",
    "provider_version",
    "endpoint",
    "server_name",
    "name_source",
    "file",
    "model_digest",
    "model_bytes",
    "publisher",
)


def read_handovers(
    warehouse: Warehouse,
    sweep_id: str,
    quant: str | None = None,
    model: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[Chosen]:
    """The advised quant of each model, or `quant` of each model that has it.

    The tag is read without regard to case. Raises UsageError naming what there is.
    """
    with warehouse.session(sweep_id, overrides) as session:
        rows = session.rows(
            "SELECT * FROM v1.quant_use ORDER BY model_id, quant_rank DESC, quant_tag"
        )
        models = list(dict.fromkeys(row["model_id"] for row in rows))
        if model is not None and model not in models:
            raise UsageError(
                f"no model {model!r} in this sweep", nearest(model, models)
            )
        here = [row for row in rows if model in (None, row["model_id"])]
        if quant is not None:
            found = [_chosen(session, row) for row in _named(here, quant)]
        else:
            found = [
                _advised(session, [row for row in here if row["model_id"] == name])
                for name in models
                if model in (None, name)
            ]
        said = {
            row["model_id"]: row
            for row in session.rows(
                "SELECT model_id, what, untimed FROM v1.answer_line"
            )
        }
    return [
        replace(chosen, answer=row["what"], untimed=row["untimed"])
        for chosen in found
        if (row := said[chosen.model_id])
    ]


def _named(rows: list[Row], quant: str) -> list[Row]:
    exact = [row for row in rows if row["quant_tag"] == quant]
    folded = [row for row in rows if row["quant_tag"].casefold() == quant.casefold()]
    if not (found := exact or folded):
        tags = dict.fromkeys(row["quant_tag"] for row in rows)
        raise UsageError(f"no quant {quant!r} in this sweep", nearest(quant, tags))
    return found


def _advised(session: Session, rows: list[Row]) -> Chosen:
    for row in rows:
        if row["is_advised"]:
            return _chosen(session, row)
    first = rows[0]
    return Chosen(first["model_id"], first["best_value_quant"], None, [], HandOver())


def _chosen(session: Session, use: Row) -> Chosen:
    settings = session.rows(
        "SELECT * FROM v1.quant_setting WHERE model_id = ? AND quant_tag = ? "
        "ORDER BY place",
        [use["model_id"], use["quant_tag"]],
    )
    measured = Measured(
        provider=use["provider"],
        model_id=use["model_id"],
        quant_tag=use["quant_tag"],
        name=use["server_name"],
        file=use["file"],
        endpoint=use["endpoint"],
        serve_command=use["serve_command"],
        settings={
            row["setting"]: row["value"] for row in settings if row["value"] is not None
        },
    )
    return Chosen(
        use["model_id"], use["best_value_quant"], use, settings, hand_over(measured)
    )
