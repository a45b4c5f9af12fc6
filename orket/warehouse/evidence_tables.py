"""Fills the raw tables of evidence, for the thresholds and levels in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import duckdb

from orket import evidence
from orket.warehouse.statements import statement
from orket.warehouse.view_files import over_rows

Connection = duckdb.DuckDBPyConnection


def _question(name: str) -> str:
    return over_rows(statement("evidence", name))


_LEVELS = _question("levels")
_CLAIMS = _question("claims")
_FAMILIES = _question("families")
_ADAPTIVE = _question("adaptive")
_REACH = _question("reach")
_STAKES = _question("stakes")
_MOST_TASKS = _question("most_tasks")
_MOST_PAIRS = _question("most_pairs")
_CHANCE_SHARES = (1, 2)
"""Parts of the chance of error: with one chain of proofs, and with two."""

NUMBERS: Mapping[str, int] = MappingProxyType(
    {_MOST_TASKS: evidence.MOST_TASKS, _MOST_PAIRS: 0}
)
"""Question for how many there are -> how many a table is made for in any case."""


def _fill_retention(connection: Connection) -> None:
    most = max(evidence.MOST_TASKS, _number(connection, _MOST_TASKS))
    rows: list[tuple[int | None, ...]] = []
    for threshold, level, quants in connection.execute(_CLAIMS).fetchall():
        for claims in _shares(quants):
            table = evidence.retention_table(threshold, level, claims, most)
            rows += [
                (
                    threshold,
                    level,
                    claims,
                    row.losses,
                    row.least_passes,
                    row.powered_loss_ppm,
                )
                for row in table
            ]
    _insert(connection, "retention", rows)


def _fill_families(connection: Connection) -> None:
    most = max(evidence.MOST_TASKS, _number(connection, _MOST_TASKS))
    rows = [
        (threshold, correlation, tasks, worth)
        for threshold, correlation in connection.execute(_FAMILIES).fetchall()
        for tasks, worth in enumerate(
            evidence.family_table(threshold, correlation, most), start=1
        )
    ]
    _insert(connection, "family", rows)


def _fill_bets(connection: Connection) -> None:
    thresholds = {row[0] for row in connection.execute(_CLAIMS).fetchall()}
    rows = [
        (
            threshold,
            bet.stake_ppm,
            bet.from_nano,
            bet.to_nano,
            bet.from_log_nano,
            bet.to_log_nano,
        )
        for threshold in sorted(thresholds)
        for bet in evidence.bet_table(threshold)
    ]
    _insert(connection, "bet", rows)


def _fill_levels(connection: Connection) -> None:
    rows = {
        (level, claims, evidence.bet_needed_nano(level, claims))
        for _, level, quants in connection.execute(_CLAIMS).fetchall()
        for claims in _shares(quants)
    }
    _insert(connection, "evidence_level", sorted(rows))


def _fill_proofs(connection: Connection) -> None:
    rows = [
        (threshold, level, tasks, shares, losses, passes)
        for threshold, level, tasks in connection.execute(_ADAPTIVE).fetchall()
        for shares in _CHANCE_SHARES
        for losses, passes in enumerate(
            evidence.proof_min_passes(threshold, level, tasks, shares)
        )
    ]
    _insert(connection, "proof", rows)


def _fill_reach(connection: Connection) -> None:
    rows: list[tuple[int | None, ...]] = []
    for threshold, level, worth, tasks in connection.execute(_REACH).fetchall():
        for needed in evidence.proof_min_passes(threshold, level, worth)[:1]:
            rows += [
                (threshold, level, worth, tasks, needed, asked, most)
                for asked, most in evidence.reach_table(tasks, needed, level)
            ]
    _insert(connection, "reach", rows)


def _fill_stakes(connection: Connection) -> None:
    thresholds = {row[0] for row in connection.execute(_STAKES).fetchall()}
    rows = [
        (
            threshold,
            stake.stake_ppm,
            stake.lost_nano,
            stake.both_nano,
            stake.gain_nano,
        )
        for threshold in sorted(thresholds)
        for stake in evidence.stake_table(threshold)
    ]
    _insert(connection, "stake", rows)


def _fill_signs(connection: Connection) -> None:
    most = _number(connection, _MOST_PAIRS)
    rows = [
        (level, pairs, wins)
        for (level,) in connection.execute(_LEVELS).fetchall()
        for pairs, wins in evidence.sign_table(level, most)
    ]
    _insert(connection, "sign", rows)


def _fill_spreads(connection: Connection) -> None:
    rows = [
        (level, row.degrees, row.t_milli, row.upper_milli)
        for (level,) in connection.execute(_LEVELS).fetchall()
        for row in evidence.spread_table(level)
    ]
    _insert(connection, "spread", rows)


COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "retention": (
            "adherence_threshold_ppm",
            "evidence_level_ppm",
            "claims",
            "losses",
            "least_passes",
            "powered_loss_ppm",
        ),
        "family": (
            "adherence_threshold_ppm",
            "family_correlation_ppm",
            "tasks",
            "worth_micro",
        ),
        "bet": (
            "adherence_threshold_ppm",
            "stake_ppm",
            "from_nano",
            "to_nano",
            "from_log_nano",
            "to_log_nano",
        ),
        "evidence_level": ("evidence_level_ppm", "claims", "bet_needed_nano"),
        "proof": (
            "adherence_threshold_ppm",
            "evidence_level_ppm",
            "tasks",
            "shares",
            "losses",
            "least_passes",
        ),
        "reach": (
            "adherence_threshold_ppm",
            "evidence_level_ppm",
            "worth_tasks",
            "tasks",
            "least_passes",
            "asked_tasks",
            "most_passes",
        ),
        "stake": (
            "adherence_threshold_ppm",
            "stake_ppm",
            "lost_nano",
            "both_nano",
            "gain_nano",
        ),
        "sign": ("evidence_level_ppm", "pairs", "least_wins"),
        "spread": ("evidence_level_ppm", "degrees", "t_milli", "upper_milli"),
    }
)
"""Raw table -> its columns; all are BIGINT."""

FILLERS: Mapping[str, Callable[[Connection], None]] = MappingProxyType(
    {
        "retention_table": _fill_retention,
        "family_table": _fill_families,
        "bet_table": _fill_bets,
        "evidence_level": _fill_levels,
        "proof_table": _fill_proofs,
        "reach_table": _fill_reach,
        "stake_table": _fill_stakes,
        "sign_table": _fill_signs,
        "spread_table": _fill_spreads,
    }
)
"""View -> what makes the rows it shows, once the policies are known."""
FILLERS_READ: Mapping[str, frozenset[str]] = MappingProxyType(
    {"sign_table": frozenset(["runs"])}
)
"""View -> the datasets that its filler reads beside the views of policies."""


def create_tables(connection: Connection) -> None:
    """Create the raw tables of evidence, still empty."""
    for table, columns in COLUMNS.items():
        declared = ", ".join(f"{column} BIGINT" for column in columns)
        connection.execute(f"CREATE TABLE raw.{table} ({declared})")


def clear_table(connection: Connection, view: str) -> None:
    """Empty the raw table that a view of FILLERS shows."""
    connection.execute(f"DELETE FROM raw.{view.removesuffix('_table')}")


def _shares(quants: int) -> Iterable[int]:
    """By how many claims the chance of error is divided: 1, and 2, 4, ... of Holm."""
    return [1, *range(2, 2 * max(quants - 1, 1) + 1, 2)]


def _number(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _insert(
    connection: Connection, table: str, rows: Sequence[tuple[int | None, ...]]
) -> None:
    """Many rows as one statement: one by one takes a millisecond each."""
    columns = COLUMNS[table]
    if rows:
        lists = [list(column) for column in zip(*rows, strict=True)]
        marks = ", ".join(f"unnest(CAST(? AS BIGINT[])) AS {name}" for name in columns)
        connection.execute(f"INSERT INTO raw.{table} SELECT {marks}", lists)
