"""What v1.telemetry makes of one call's facts: the view itself, on one row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import msgspec

from orket.records import CallFacts, Policy
from orket.resources import shipped

COLUMNS = {
    "sweep_id": "VARCHAR",
    "attempt_id": "VARCHAR",
    "run_id": "VARCHAR",
    "model_id": "VARCHAR",
    "quant_tag": "VARCHAR",
    "prompt_tokens": "BIGINT",
    "cached_prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "prefill_ns": "BIGINT",
    "decode_ns": "BIGINT",
    "load_ns": "BIGINT",
    "wall_ns": "BIGINT",
    "ttft_ns": "BIGINT",
    "last_token_ns": "BIGINT",
    "streamed": "BOOLEAN",
    "decode_clock": "VARCHAR",
    "prefill_kind": "VARCHAR",
    "prompt_cache": "VARCHAR",
}


class TelemetryView:
    """v1.telemetry over one row at a time."""

    def __init__(self) -> None:
        self._db = duckdb.connect()
        self._db.execute("CREATE SCHEMA v1")
        folder = shipped("sql") / "v1"
        self._db.execute((folder / "macros.sql").read_text())
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        self._db.execute(f"CREATE TABLE v1.attempts ({columns})")
        values = msgspec.structs.asdict(Policy())
        limits = {name: value for name, value in values.items() if type(value) is int}
        named = ", ".join(f"{value} AS {name}" for name, value in limits.items())
        self._db.execute(
            f"CREATE TABLE v1.policy AS "
            f"SELECT 's' AS sweep_id, 'm' AS model_id, {named}"
        )
        self._db.execute(_telemetry_file(folder).read_text())

    def read(self, facts: CallFacts) -> dict[str, Any]:
        """The view's row for these facts."""
        values = msgspec.structs.asdict(facts) | {
            "sweep_id": "s",
            "attempt_id": "a",
            "run_id": "r",
            "model_id": "m",
            "quant_tag": "q",
        }
        marks = ", ".join("?" for _ in COLUMNS)
        self._db.execute("DELETE FROM v1.attempts")
        self._db.execute(
            f"INSERT INTO v1.attempts VALUES ({marks})",
            [values[name] for name in COLUMNS],
        )
        cursor = self._db.execute("SELECT * FROM v1.telemetry")
        names = [column[0] for column in cursor.description or ()]
        return dict(zip(names, cursor.fetchall()[0], strict=True))

    def status(self, facts: CallFacts) -> str:
        """The row's token status."""
        return str(self.read(facts)["token_metrics_status"])

    def close(self) -> None:
        self._db.close()


def at_its_pace(facts: CallFacts) -> CallFacts:
    """The facts as a client saw them that waited: a replay takes no time at all."""
    times = (facts.load_ns, facts.prefill_ns, facts.decode_ns)
    wall_ns = sum(time for time in times if time is not None) + 1_000_000_000
    return msgspec.structs.replace(
        facts, wall_ns=wall_ns, ttft_ns=None, last_token_ns=None
    )


def _telemetry_file(folder: Path) -> Path:
    (found,) = folder.glob("*_telemetry.sql")
    return found
