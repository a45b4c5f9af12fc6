"""Writes every generated part of docs/: `python tools/docs/build.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    # Run as a script, Python looks for neighbours in this folder only.
    sys.path.insert(0, str(ROOT))

from tools.docs.cli_reference import cli_reference  # noqa: E402
from tools.docs.human_units_table import human_units  # noqa: E402
from tools.docs.pages import fill_block  # noqa: E402
from tools.docs.reasons import reasons  # noqa: E402
from tools.docs.sensors_table import sensors_table  # noqa: E402
from tools.docs.summary_fields import summary_fields, summary_schema  # noqa: E402
from tools.docs.telemetry_columns import telemetry_columns  # noqa: E402
from tools.docs.thresholds import thresholds  # noqa: E402
from tools.docs.view_columns import view_columns, view_map  # noqa: E402

COMMAND = "python tools/docs/build.py"

FILES: dict[str, Callable[[], str]] = {
    "docs/sweep_summary.schema.json": summary_schema,
}
"""Files that are generated whole."""

BLOCKS: dict[tuple[str, str], Callable[[], str]] = {
    ("docs/cli.md", "commands"): cli_reference,
    ("docs/measurement.md", "sensors"): sensors_table,
    ("docs/presets.md", "thresholds"): thresholds,
    ("docs/runbook.md", "reasons"): reasons,
    ("docs/summary.md", "fields"): summary_fields,
    ("docs/telemetry.md", "columns"): telemetry_columns,
    ("docs/views.md", "units"): human_units,
    ("docs/views.md", "map"): view_map,
    ("docs/views.md", "views"): view_columns,
}
"""(Page, block) -> what stands in the block."""


def build_documents() -> dict[str, str]:
    """Path -> content of every page with a generated part, as it should be."""
    documents = {path: generate() for path, generate in FILES.items()}
    for (path, block), generate in BLOCKS.items():
        page = documents.get(path) or (ROOT / path).read_text(encoding="utf-8")
        documents[path] = fill_block(page, block, generate())
    return documents


def main() -> None:
    """Write what changed, and name it."""
    for path, content in build_documents().items():
        target = ROOT / path
        if not target.exists() or target.read_text(encoding="utf-8") != content:
            target.write_text(content, encoding="utf-8", newline="\n")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
