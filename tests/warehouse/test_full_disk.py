"""A disk without room, to DuckDB as to everybody else: one line, and nothing left."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from orket.records import to_json
from orket.warehouse.damage import full_disk
from tests.built_sweep import Sweep
from tests.places import ROOT
from tests.raw_rows import make_run

FULL = Path("/dev/full")
SMALL = """
set -e
mount -t tmpfs -o size=200k tmpfs small
cp -a warehouse small/
head -c 200000 /dev/zero > small/fill 2>/dev/null || true
cd small
set +e
"{python}" -m orket "$@"
code=$?
ls -A . warehouse
exit $code
"""


@pytest.mark.skipif(not FULL.exists(), reason="this system has no full device")
def test_what_duckdb_says_of_a_full_disk_is_understood():
    with duckdb.connect() as connection:
        with pytest.raises(duckdb.Error) as full:
            connection.execute(f"COPY (SELECT 1) TO '{FULL}' (USE_TMP_FILE false)")
        with pytest.raises(duckdb.Error) as other:
            connection.execute("FROM read_parquet('/nowhere.parquet')")
    found = full_disk(full.value)
    assert found is not None and found.errno == errno.ENOSPC
    assert full_disk(other.value) is None


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no room of its own")
@pytest.mark.parametrize("verb", ["ingest", "export"])
def test_where_duckdb_writes_to_a_full_disk_one_line_says_so(tmp_path, verb):
    Sweep(sweep_id="a", quants=("F16",)).fill().finish().store(tmp_path / "warehouse")
    rows = [make_run("b", f"logic/{number}", order=number) for number in range(2000)]
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b"".join(to_json(row) + b"\n" for row in rows))
    (tmp_path / "small").mkdir()
    act = {"ingest": [str(source)], "export": ["--duckdb", "x.duckdb"]}[verb]
    script = SMALL.format(python=sys.executable)
    made = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", verb, *act, "-w", "warehouse"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "unshare:" in made.stderr or "mount:" in made.stderr:
        pytest.skip(f"no file system can be made here: {made.stderr.strip()}")
    assert made.returncode == 1, made
    (line,) = made.stderr.splitlines()
    assert line.startswith("orket: error: cannot write")
    assert "(No space left on device)" in line
    assert "x.duckdb" not in made.stdout and ".copy-" not in made.stdout
