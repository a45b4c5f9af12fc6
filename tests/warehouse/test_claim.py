"""One executor a sweep: a lock that dies with its owner, whoever asks for it next."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orket.errors import OrketError
from orket.warehouse import Warehouse

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
