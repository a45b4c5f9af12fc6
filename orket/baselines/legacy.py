"""Stored baselines as the files of the earlier Orket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orket.baselines.records import ALL, Selection, as_utc, list_records
from orket.errors import UsageError
from orket.file_names import file_stems

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_MIB = 1024 * 1024


def export_legacy(
    warehouse: Warehouse, folder: Path, selection: Selection = ALL
) -> list[Path]:
    """Write stored baselines as the earlier `{test_id}.json` files, newest first.

    Raises UsageError where a file is there already.
    """
    by_test: dict[str, list[dict[str, Any]]] = {}
    for record in list_records(warehouse, selection):
        by_test.setdefault(record["test_id"], []).append(record)
    paths = {
        test: folder / f"{stem}.json" for test, stem in file_stems(by_test).items()
    }
    for path in paths.values():
        if path.exists():
            raise UsageError(f"{path} is there already", "name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    for test_id, records in by_test.items():
        records.sort(key=_newest_first)
        document = {
            "test_id": test_id,
            "history": [_legacy_entry(record) for record in records],
        }
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        paths[test_id].write_text(text, encoding="utf-8", newline="\n")
    return list(paths.values())


def _newest_first(record: Mapping[str, Any]) -> tuple[float, str]:
    measured_at = record["measured_at"]
    moment = as_utc(measured_at).timestamp() if measured_at else 0.0
    return -moment, record["event_id"]


def _legacy_entry(record: Mapping[str, Any]) -> dict[str, Any]:
    runs = record["source_run_ids"] or []
    measured_at = record["measured_at"]
    passed, checks = record["checks_passed"], record["checks_total"]
    memory, latency = record["memory_bytes"], record["latency_median_ns"]
    metadata = {
        "test_run_id": runs[0] if len(runs) == 1 else record["event_id"],
        "model_id": record["model_id"],
        "model_hash": record["model_digest"],
        "quant_tag": record["quant_tag"],
        "hardware_fingerprint": record["hardware_fingerprint"],
        "task_revision": record["task_revision"],
        "created_at": f"{as_utc(measured_at):%Y-%m-%dT%H:%M:%S.%fZ}"
        if measured_at
        else None,
        "pinned": record["pinned"],
    }
    telemetry = {
        "adherence_score": round(passed / checks, 6) if checks else None,
        "peak_memory_rss": round(memory / _MIB, 6) if memory else None,
        "total_latency": round(latency / 1e9, 9) if latency else None,
    }
    return {"baseline_metadata": metadata, "gold_telemetry": telemetry}
