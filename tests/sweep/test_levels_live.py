"""Two levels of two files on the real engine: each is asked, verified and kept."""

from __future__ import annotations

import json

import pytest

from orket.cli.main import run_command
from orket.warehouse import Warehouse
from tests.live import demo_gguf

pytestmark = pytest.mark.live

QUANTS = "F16,F16@kv=q8_0,Q4_K_M,Q4_K_M@kv=q8_0/f16,ctx=256"
VERIFIED = [
    ("F16", "f16", 512),
    ("F16@kv=q8_0", "q8_0", 512),
    ("Q4_K_M", "f16", 512),
    ("Q4_K_M@kv=q8_0/f16,ctx=256", "q8_0/f16", 256),
]


@pytest.fixture
def line(tmp_path):
    preset = tmp_path / "small.toml"
    preset.write_text(
        'schema_version = 1\nextends = "quickstart"\npolluted_retries = 0\n'
        "repetitions = 1\n[canary]\nenabled = false\n"
        "[tasks]\nlimit = 2\n"
        "[policy]\nquality_only = true\nstalled_share = 0\n"
        '[[models]]\nid = "orket-demo"\nquants = ["F16", "Q4_K_M"]\n'
        "[models.names.embedded]\n"
        f'file = "{demo_gguf("F16").parent}/orket-demo-{{quant}}.gguf"\n'
    )
    where = ["-w", str(tmp_path / "w"), "-o", str(tmp_path / "s.json")]
    return ["run", str(preset), "--quants", QUANTS, *where], tmp_path


def test_each_level_is_measured_under_its_own_name(line, capsys):
    command, folder = line
    assert run_command(command) == 0
    shown = capsys.readouterr().out
    assert "KV cache" in shown
    with Warehouse.open(folder / "w").session() as session:
        rows = session.rows(
            "SELECT DISTINCT quant_tag, effective.kv_cache AS kv, "
            "effective.context_tokens AS context FROM v1.attempts "
            "WHERE outcome = 'OK' ORDER BY quant_tag"
        )
        counted = session.rows(
            "SELECT quant_tag, count(*) AS runs FROM v1.attempts "
            "WHERE phase = 'matrix' GROUP BY ALL ORDER BY quant_tag"
        )
        digests = session.rows(
            "SELECT DISTINCT quant_tag[1:3] AS file, model_digest FROM v1.attempts"
        )
    assert [tuple(row.values()) for row in rows] == VERIFIED
    assert [tuple(row.values()) for row in counted] == [
        (quant, 2) for quant, _, _ in VERIFIED
    ]
    # Four entries, two files.
    assert len({row["model_digest"] for row in digests}) == len(digests) == 2
    document = json.loads((folder / "s.json").read_bytes())
    (session_entry,) = document["sessions"]
    quants = {quant["quant_tag"]: quant for quant in session_entry["per_quant"]}
    assert list(quants) == ["F16", "F16@kv=q8_0", "Q4_K_M", VERIFIED[3][0]]
    assert quants["F16"]["kv_cache_bytes"] == 384 * 2 * 512 * 2
    assert quants["F16@kv=q8_0"]["kv_cache_bytes"] == 384 * 2 * 512 * 34 // 32
    # Each level is told apart; what all had alike is told for the session.
    assert session_entry["effective_controls"]["kv_cache"] is None


def test_a_sweep_of_levels_goes_on_by_its_id_alone(line, monkeypatch):
    command, folder = line
    assert run_command(command) == 0
    warehouse = Warehouse.open(folder / "w")
    (sweep_id,) = warehouse.sweep_ids()
    again = ["run", "--resume", sweep_id, "-w", str(folder / "w")]
    monkeypatch.chdir(folder)
    assert run_command(again) == 0
    assert warehouse.sweep_ids() == [sweep_id]
