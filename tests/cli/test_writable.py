"""What cannot be written is told before the work, whichever command would write it."""

from __future__ import annotations

import os

import pytest

from orket.cli.main import run_command
from orket.cli.writable import check_folder, check_output, check_warehouse
from orket.errors import OrketError, WarehouseError
from orket.warehouse import Warehouse

# None of these has anything to work on: whoever began with that would say so.
WRITING_FILES = (
    ("report", "nosuch", "-o"),
    ("report", "nosuch", "--format", "md", "-o"),
    ("export", "nosuch", "-o"),
    ("bundle", "nosuch", "-o"),
    ("matrix", "--format", "csv", "-o"),
    ("gate", "nosuch", "--quant", "Q4_K_M", "--junit"),
    ("determinism", "nosuch", "-o"),
    ("run", "nosuch", "-o"),
    ("ingest", "nosuch.json", "--rejects"),
)
WRITING_ROWS = (
    ("run", "nosuch"),
    ("run", "--resume", "nosuch"),
    ("canary", "nosuch"),
    ("determinism", "nosuch"),
    ("ingest", "nosuch.json"),
    ("derive",),
    ("baseline", "import", "nosuch.json"),
    ("baseline", "pin", "nosuch"),
    ("baseline", "unpin", "nosuch"),
    ("baseline", "prune", "--apply"),
    ("baseline", "prune", "--undo", "latest"),
)


@pytest.mark.parametrize("command", WRITING_FILES, ids=lambda words: words[0])
def test_a_file_that_cannot_be_written_is_told_first(command, tmp_path, capsys):
    store = ("-w", str(tmp_path / "w"))
    place = tmp_path / "gone" / "file"
    assert run_command([*command, str(place), *store]) in (1, 2)
    shown = capsys.readouterr()
    assert f"cannot write {place}" in shown.err
    assert len(shown.err.splitlines()) == 1 and shown.out == ""


def test_a_preset_that_cannot_be_written_is_told_first(tmp_path, capsys):
    assert run_command(["init", "nosuch", "-o", str(tmp_path / "gone" / "a.toml")]) == 1
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("command", WRITING_ROWS, ids=lambda words: words[0])
def test_a_warehouse_that_cannot_be_written_is_told_first(command, tmp_path, capsys):
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "warehouse"
    assert run_command([*command, "-w", str(place)]) == 1
    shown = capsys.readouterr()
    assert f"cannot write to the warehouse {place}" in shown.err
    assert "name another with -w" in shown.err
    assert len(shown.err.splitlines()) == 1 and shown.out == ""


def test_what_can_be_written_is_left_as_it_was(tmp_path):
    store = Warehouse.open(tmp_path / "a" / "b")
    check_warehouse(store)
    check_output(tmp_path / "x.html")
    check_output("-")
    check_folder(tmp_path / "c" / "d", "name another")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OrketError, match="it is a folder"):
        check_output(tmp_path)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere"
)
def test_a_dataset_that_is_read_only_is_told(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs").chmod(0o500)
    with pytest.raises(WarehouseError, match="Permission denied"):
        check_warehouse(Warehouse.open(tmp_path))
