"""The servers of a sweep: what they held once they hold to the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.machine.clock import SystemClock
from orket.mockserver import MockModel, MockServer, Profile, parse_fault
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import load_preset
from orket.providers.http.problems import IdentityMismatch
from orket.records import Controls
from orket.sweep.resume import read_progress
from orket.sweep.servers import Servers
from orket.warehouse import Warehouse

TWO = Profile(models=(MockModel("m:q8_0", "Q8_0"), MockModel("m:q4_0", "Q4_0")))


def plan_at(url: str, folder: Path) -> Plan:
    path = folder / "p.toml"
    path.write_text(
        f'schema_version = 1\n[provider]\nname = "ollama"\nurl = "{url}"\n'
        '[[models]]\nid = "m"\nquants = ["Q8_0", "Q4_0"]\n'
        '[models.names.ollama]\ntag = "m:{quant_ollama}"\n'
        '[tasks]\nbank = "quickstart"\nlimit = 1\n'
    )
    return build_plan(load_preset(str(path)), "sweep")


def test_other_weights_under_a_name_that_was_measured_are_refused(tmp_path):
    with MockServer("ollama", TWO) as mock:
        plan = plan_at(mock.url, tmp_path)
        first, second = (plan.target("m", quant) for quant in ("Q8_0", "Q4_0"))
        with Servers(plan, SystemClock()) as servers:
            held = servers.load(first, Controls())
            assert held.digest
            # An earlier executor of the sweep met other weights under the second name.
            servers.expect(first, held.digest)
            servers.expect(second, "sha256:what-was-measured")
            servers.forget(first)
            assert servers.load(first, Controls()).digest == held.digest
            with pytest.raises(IdentityMismatch, match=r"m:q4_0 has other weights now"):
                servers.load(second, Controls())


def test_a_resume_remembers_the_weights_of_each_quant(tmp_path, capsys):
    with MockServer("ollama", TWO) as mock:
        plan = plan_at(mock.url, tmp_path)
        command = ["run", str(tmp_path / "p.toml"), "--no-canary", "--runs", "1"]
        folder = tmp_path / "w"
        assert run_command([*command, "-w", str(folder)]) in (0, 1, 3)
        capsys.readouterr()
    warehouse = Warehouse.open(folder)
    (sweep_id,) = warehouse.sweep_ids()
    with warehouse.session(sweep_id) as session:
        (kept,) = session.rows(
            "SELECT plan_hash, policy_hash, hardware_fingerprint FROM raw.sweeps"
        )
    same = replace(
        plan,
        sweep_id=sweep_id,
        plan_hash=kept["plan_hash"],
        policy_hash=kept["policy_hash"],
    )
    progress = read_progress(warehouse, same, kept["hardware_fingerprint"])
    assert progress.digests == {
        ("m", model.quant): f"sha256:{model.digest}" for model in TWO.models
    }


def test_what_a_server_refuses_at_the_end_is_told_and_costs_nothing(tmp_path):
    heard: list[str] = []
    with MockServer("ollama", TWO) as mock:
        plan = plan_at(mock.url, tmp_path)
        with Servers(plan, SystemClock(), tell=heard.append) as servers:
            servers.load(plan.target("m", "Q8_0"), Controls())
            mock.set_faults(parse_fault("http-500:on=all"))
    (said,) = heard
    assert "unloading m:q8_0" in said


def test_a_model_that_was_removed_is_let_go_of(tmp_path):
    heard: list[str] = []
    with MockServer("ollama", TWO) as mock:
        plan = plan_at(mock.url, tmp_path)
        first, second = (plan.target("m", quant) for quant in ("Q8_0", "Q4_0"))
        with Servers(plan, SystemClock(), tell=heard.append) as servers:
            servers.load(first, Controls())
            mock.engine.profile = replace(TWO, models=TWO.models[1:])
            # The one that is left is measured; what nobody can name is not waited for.
            assert servers.load(second, Controls()).digest
    assert heard == []
