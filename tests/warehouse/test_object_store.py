"""A warehouse in an object store: against a server that speaks S3 over HTTP."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.errors import OrketError, UsageError, WarehouseError
from orket.mockserver import MockModel, MockServer, Profile
from orket.warehouse import Warehouse
from orket.warehouse.locks import Holder
from orket.warehouse.mirror import mirror_folder
from orket.warehouse.object_store import ObjectStore
from tests.built_sweep import Sweep
from tests.places import ROOT

pytest.importorskip("s3fs", reason="the extra s3 is not installed")
pytest.importorskip("moto.server", reason="there is no S3 server to test on")

URL = "s3://measured/on all/machines"
BY_ROUNDS = ["--budget", "1h", "--no-fidelity", "--tasks"]
PRESET = """schema_version = 1
control_profile = "shared"
repetitions = 1
polluted_retries = 0

[provider]
name = "ollama"
url = "{url}"
timeout_seconds = 30

[[models]]
id = "demo"
quants = ["Q8_0"]
[models.names.ollama]
tag = "demo:{{quant_ollama}}"

[tasks]
bank = "quickstart"

[policy]
allow_unobserved = true
include_polluted = "always"
canary_max_latency_cv = 100
max_foreign_cpu_share = 1
max_load_per_cpu = 1000
"""


def enter(monkeypatch, tmp_path: Path, machine: str) -> None:
    """Go on as another machine: nothing of the last one is there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / machine))


def measure(name: str = "s", place: Path | str = URL) -> Warehouse:
    sweep = Sweep(sweep_id=name).fill()
    sweep.score("F16", "t1", [{1: 0.5, 2: 0.25}])
    return sweep.finish().store(place)


def shown(capsys, *args: str) -> str:
    capsys.readouterr()
    assert run_command(list(args)) == 0
    out: str = capsys.readouterr().out
    return out


def test_another_machine_sees_the_same_bytes(bucket, monkeypatch, tmp_path, capsys):
    folder = str(tmp_path / "folder")
    measure("a b/ü"), measure("a b/ü", folder)
    enter(monkeypatch, tmp_path, "second")
    for verb in (
        ["export", "a b/ü", "-o", "-"],
        ["sql", "--format", "csv", "SELECT count(*), sum(wall_ns) FROM v1.attempts"],
    ):
        assert shown(capsys, *verb, "-w", URL) == shown(capsys, *verb, "-w", folder)


def test_only_what_a_command_looks_at_is_fetched(bucket, monkeypatch, tmp_path, capsys):
    measure("one"), measure("two")
    enter(monkeypatch, tmp_path, "second")
    shown(capsys, "show", "one", "-w", URL)
    here = mirror_folder(URL)
    assert [path.name for path in (here / "runs").iterdir()] == ["sweep_id=one"]
    assert [path.name for path in (here / "sweeps").iterdir()] == ["sweep_id=one"]
    shown(capsys, "show", "latest", "-w", URL)
    assert len(list((here / "sweeps").iterdir())) == 2


def test_what_was_ingested_is_stored(bucket, monkeypatch, tmp_path, capsys):
    bench = str(ROOT / "tests" / "fixtures" / "llama_bench" / "llama-bench.json")
    assert run_command(["ingest", bench, "-w", URL]) == 0
    enter(monkeypatch, tmp_path, "reader")
    (sweep,) = Warehouse.open(URL).sweep_ids()
    assert run_command(["verify", "-w", URL]) == 0
    asked = "SELECT count(*) > 0 AS found FROM v1.sidecar"
    told = shown(capsys, "sql", "--format", "csv", asked, "-w", URL)
    assert told.split() == ["found", "true"]


def test_what_one_machine_began_another_ends(bucket, monkeypatch, tmp_path, capsys):
    model = MockModel("demo:q8_0", "Q8_0")
    profile = Profile(models=(model,), prefill_rate=1e6, decode_rate=1e5)
    monkeypatch.chdir(tmp_path)
    preset = tmp_path / "p.toml"
    with MockServer("ollama", profile) as served:
        preset.write_text(PRESET.format(url=served.url))
        assert run_command(["run", str(preset), *BY_ROUNDS, "2", "-w", URL]) == 0
        enter(monkeypatch, tmp_path, "second")
        (sweep,) = Warehouse.open(URL).sweep_ids()
        again = ["run", "--resume", sweep, "--tasks", "3", "-w", URL]
        assert run_command(again) == 0
    enter(monkeypatch, tmp_path, "reader")
    with Warehouse.open(URL).session(sweep) as session:
        (row,) = session.rows(
            "SELECT count(*) AS runs, count(DISTINCT test_id) AS tasks "
            "FROM v1.attempts WHERE phase = 'matrix'"
        )
    assert row == {"runs": 3, "tasks": 3}


def test_of_two_who_create_one_object_one_is_told(bucket):
    stores = [ObjectStore(URL) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(
                lambda number: stores[number].create("x", b"%d" % number), range(8)
            )
        )
    assert made.count(True) == 1
    assert int(bucket.cat(f"{URL}/x")) == made.index(True)


WRITER = """
import sys
from tests.warehouse.test_object_store import URL, measure
for number in range(3):
    measure(f"{sys.argv[1]}-{number}")
"""


def test_many_machines_write_at_once(bucket, monkeypatch, tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"machine{number}"],
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / f"w{number}")},
        )
        for number in range(3)
    ]
    assert [writer.wait(120) for writer in writers] == [0] * 3
    enter(monkeypatch, tmp_path, "reader")
    store = Warehouse.open(URL)
    assert len(store.sweep_ids()) == 9
    with store.session() as session:
        (row,) = session.rows("SELECT count(*) AS rows FROM v1.attempts")
    with measure("s", tmp_path / "one").session() as session:
        (one,) = session.rows("SELECT count(*) AS rows FROM v1.attempts")
    assert row["rows"] == 9 * one["rows"]


def test_a_store_that_is_gone_for_a_while_loses_nothing(
    bucket, monkeypatch, tmp_path, capsys
):
    mirror = mirror_folder(URL)

    def fail(*_: object) -> bool:
        raise WarehouseError("the network is gone")

    with monkeypatch.context() as cut:
        cut.setattr(ObjectStore, "create", fail)
        store = measure("s")
        with pytest.raises(WarehouseError, match="the network is gone"):
            store.publish()
    assert ObjectStore(URL).sizes("") == {}
    assert len(list(mirror.rglob("part-*.parquet"))) == 4
    # The next command of this machine on this warehouse stores it.
    assert run_command(["sweeps", "-w", URL]) == 0
    enter(monkeypatch, tmp_path, "second")
    assert Warehouse.open(URL).sweep_ids() == ["s"]
    assert run_command(["verify", "-w", URL]) == 0


def test_what_was_stored_and_not_noted_is_no_conflict(bucket):
    store = measure("s")
    before = ObjectStore(URL).sizes("")
    (store.path / ".stored").unlink()
    Warehouse.open(URL).publish()
    assert ObjectStore(URL).sizes("") == before


def test_nobody_answers_is_one_line(bucket, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert run_command(["sweeps", "-w", URL]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and URL in told and "AWS_ENDPOINT_URL" in told
    assert "a-very-secret-key" not in told


@pytest.mark.parametrize(
    ("variable", "proxy"),
    [
        ("ALL_PROXY", "http://127.0.0.1:9"),
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTP_PROXY", "socks5h://127.0.0.1:9"),
    ],
)
def test_a_proxy_that_its_client_would_pass_over_is_refused(
    variable, proxy, bucket, monkeypatch, capsys
):
    monkeypatch.setenv(variable, proxy)
    assert run_command(["sweeps", "-w", URL]) == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://far.example.org:9000")
    capsys.readouterr()
    assert run_command(["sweeps", "-w", URL]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert variable in line and "name an HTTP proxy in HTTP_PROXY" in line


def test_a_bucket_that_is_not_there_is_told(bucket, capsys):
    assert run_command(["show", "latest", "-w", "s3://not-there/w"]) == 1
    told = capsys.readouterr().err
    assert "s3://not-there/w cannot be read" in told and told.count("\n") == 1


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:secret@bucket/w",
        "s3://bucket/w?secret=1",
        "s3://bucket/w#secret",
        "s3:///w",
        "nothing://bucket/w",
    ],
)
def test_a_url_that_is_no_place_is_refused(url, bucket, capsys):
    assert run_command(["sweeps", "-w", url]) == 2
    assert "secret@" not in capsys.readouterr().err


def test_strangers_objects_are_let_be(bucket, monkeypatch, tmp_path):
    measure("s")
    for name in (
        "runs/sweep_id=x/.part-1.parquet.tmp",
        "runs/sweep_id=x/sub/part-1.parquet",
        "runs/../../part-1.parquet",
        "runs/sweep_id=../part-1/../../x.parquet",
        "events/.events.parquet",
        "events/part-1.parquet.bak",
        "elsewhere/part-1.parquet",
    ):
        bucket.pipe_file(f"{URL}/{name}", b"no part")
    enter(monkeypatch, tmp_path, "second")
    store = Warehouse.open(URL)
    assert store.sweep_ids() == ["s"]
    assert run_command(["verify", "-w", URL]) == 0
    outside = [
        path
        for path in (tmp_path / "second").rglob("*")
        if path.is_file() and not path.is_relative_to(store.path)
    ]
    assert outside == []
    assert not list(store.path.rglob("*.bak"))


def test_a_part_that_is_not_whole_here_is_told(bucket, capsys):
    store = measure("s")
    (part,) = store.folder("runs", "s").glob("part-*")
    part.write_bytes(part.read_bytes()[:-10])
    assert run_command(["show", "s", "-w", URL]) == 1
    assert "one of them is damaged" in capsys.readouterr().err


def test_parts_of_others_are_not_moved(bucket, capsys):
    measure("s")
    before = ObjectStore(URL).sizes("")
    assert run_command(["verify", "--quarantine", "-w", URL]) == 2
    assert "are for others too" in capsys.readouterr().err
    assert ObjectStore(URL).sizes("") == before


def test_whether_another_machine_runs_a_sweep_is_not_known(
    bucket, monkeypatch, tmp_path
):
    measure("s")
    with Warehouse.open(URL).claim("s"):
        assert Warehouse.open(URL).executor("s").is_running
        enter(monkeypatch, tmp_path, "second")
        assert Warehouse.open(URL).executor("s").holder is Holder.UNKNOWN


def test_of_two_machines_one_runs_a_sweep(bucket, monkeypatch, tmp_path, capsys):
    """The other is refused with a name until it ended, or it is told to go on."""
    store = Warehouse.open(URL)
    with store.lease("s"):
        enter(monkeypatch, tmp_path, "second")
        other = Warehouse.open(URL)
        with pytest.raises(OrketError, match="is being run by process") as refused:
            other.lease("s").__enter__()
        assert "--take-over" in str(refused.value.hint)
        with other.lease("another"):
            pass
    with other.lease("s"):
        pass
    store.lease("s").__enter__()  # And killed: it never ends.
    with pytest.raises(OrketError, match="is being run"), other.lease("s"):
        pass
    with store.lease("s"):
        pass
    store.lease("s").__enter__()
    with other.lease("s", take_over=True):
        pass


def test_of_two_machines_that_begin_at_once_one_is_refused(
    bucket, monkeypatch, tmp_path
):
    looked = threading.Barrier(2)

    class Together(ObjectStore):
        def sizes(self, prefix: str) -> dict[str, int]:
            found = super().sizes(prefix)
            looked.wait(timeout=60)
            return found

    monkeypatch.setattr("orket.warehouse.mirror.ObjectStore", Together)
    leases = []
    for machine in ("first", "second"):
        enter(monkeypatch, tmp_path, machine)
        leases.append(Warehouse.open(URL).lease("s"))

    def begin(lease: Any) -> bool:
        try:
            lease.__enter__()
        except OrketError as error:
            assert "is being run by process" in error.message
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(begin, leases)) == [False, True]


def test_a_lease_ends_after_all_parts_are_stored(bucket, monkeypatch, tmp_path):
    """Without the network it is held, and the next command that has it ends it."""

    def fail(*_: object) -> bool:
        raise WarehouseError("the network is gone")

    store = Warehouse.open(URL)
    with monkeypatch.context() as cut:
        with store.lease("s"):
            cut.setattr(ObjectStore, "create", fail)
            Sweep(sweep_id="s").fill().finish().store(store.path)
        with pytest.raises(WarehouseError, match="the network is gone"):
            store.publish()
    assert [name for name in ObjectStore(URL).sizes("") if "part-" in name] == []
    enter(monkeypatch, tmp_path, "second")
    with (
        pytest.raises(OrketError, match="is being run"),
        Warehouse.open(URL).lease("s"),
    ):
        pass
    enter(monkeypatch, tmp_path, "first")
    assert run_command(["sweeps", "-w", URL]) == 0
    enter(monkeypatch, tmp_path, "second")
    other = Warehouse.open(URL)
    with other.lease("s"):
        assert other.sweep_ids() == ["s"]


def test_a_lost_mirror_is_fetched_again(bucket, capsys):
    store = measure("s")
    before = shown(capsys, "export", "s", "-o", "-", "-w", URL)
    shutil.rmtree(store.path)
    assert shown(capsys, "export", "s", "-o", "-", "-w", URL) == before


def test_without_the_extra_it_is_told_how_to_get_it(bucket, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert run_command(["sweeps", "-w", URL]) == 2
    assert 'pip install "orket[s3]"' in capsys.readouterr().err


def test_two_stores_have_two_mirrors(bucket, monkeypatch):
    one = mirror_folder(URL)
    assert mirror_folder(URL + "/") == one != mirror_folder(URL + "2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert mirror_folder(URL) != one


def test_a_url_is_no_folder():
    with pytest.raises(UsageError, match="names no bucket"):
        Warehouse.open("s3://")
