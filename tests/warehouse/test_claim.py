"""One executor a sweep: a lock that dies with its owner, whoever asks for it next."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orket.errors import OrketError
from orket.warehouse import Warehouse
from orket.warehouse.locks import Holder

HOLDER = """
import sys, time
from pathlib import Path
from orket.warehouse import Warehouse
with Warehouse(Path(sys.argv[1])).claim("s") as claim:
    print("held" if claim.is_held else "not held", flush=True)
    time.sleep(60)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_claim_is_refused_with_who_holds_it_and_ends_with_its_owner(tmp_path):
    warehouse = Warehouse(tmp_path)
    holder = hold(tmp_path)
    try:
        with pytest.raises(OrketError) as refused, warehouse.claim("s"):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert f"sweep s is being run by process {holder.pid} on " in str(refused.value)
    with warehouse.claim("s") as claim:
        assert claim.is_held


def test_two_sweeps_of_one_warehouse_run_at_once(tmp_path):
    warehouse = Warehouse(tmp_path)
    with warehouse.claim("one") as one, warehouse.claim("other") as other:
        assert one.is_held
        assert other.is_held


def test_a_claim_can_be_taken_again_by_the_same_process(tmp_path):
    warehouse = Warehouse(tmp_path)
    for _ in range(2):
        with warehouse.claim("s") as claim:
            assert claim.is_held
    assert warehouse.sweep_ids() == []


def test_who_runs_a_sweep_is_seen_without_taking_it_from_them(tmp_path):
    warehouse = Warehouse(tmp_path)
    assert warehouse.executor("s").holder is Holder.NONE
    holder = hold(tmp_path)
    try:
        for _ in range(2):
            found = warehouse.executor("s")
            assert found.holder is Holder.LIVING
            assert f"run by process {holder.pid} on " in found.name
        assert warehouse.executor("other").holder is Holder.NONE
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert warehouse.executor("s").holder is Holder.NONE


def test_a_lock_that_another_machine_took_last_says_nothing_here(tmp_path):
    warehouse = Warehouse(tmp_path)
    with warehouse.claim("s"):
        pass
    lock = tmp_path / "runs" / "sweep_id=s" / ".executor.lock"
    lock.write_text("process 7 on elsewhere since 2026-01-01 00:00 UTC\n")
    found = warehouse.executor("s")
    assert found.holder is Holder.UNKNOWN and "elsewhere" in found.name
