"""The table of sensors, from the declaration of `orket.records.Counters`."""

from __future__ import annotations

from orket.machine.registry import list_sensors
from orket.warehouse.reasons import code_of
from tools.docs.pages import markdown_table


def sensors_table() -> str:
    """One row for each sensor: what it is, where it comes from, what it pollutes."""
    headers = ["sensor", "meaning", "unit", "kind", "source", "where", "pollutes"]
    rows = [
        [
            f"`{sensor.field}`",
            sensor.meaning,
            sensor.unit,
            sensor.kind,
            sensor.source,
            ", ".join(sensor.platforms),
            ", ".join(f"`{code_of('run', signal)}`" for signal in sensor.pollutes),
        ]
        for sensor in list_sensors()
    ]
    return markdown_table(headers, rows)
