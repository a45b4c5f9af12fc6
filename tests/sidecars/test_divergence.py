"""What llama-perplexity prints of a KL divergence: read as it stands, kept by quant."""

from __future__ import annotations

import pytest

from orket.ingest.importer import ingest_file
from orket.ingest.origin import SourceOptions
from orket.sidecars.perplexity_output import BadDivergence, read_divergence
from orket.warehouse import Warehouse
from tests.built_sweep import Sweep

LOG = """\
build: 6123 (abc1234) with cc for x86_64
llama_model_loader: loaded meta data with 30 pairs from /m/demo-Q4_K_M.gguf (V3)
print_info: file type   = Q4_K - Medium
chunk      PPL        ln(PPL(Q)/PPL(base))   KL Divergence      Same top p
   1       6.6 ± 0.3  0.00000 ± 0.00003      0.01 ± 0.00000     99.000 ± 0.000 %
"""
STATISTICS = """
====== Perplexity statistics ======
Mean PPL(Q)                   :   5.886524 ±   0.398426
Cor(ln(PPL(Q)), ln(PPL(base))):  99.31%

====== KL divergence statistics ======
Mean    KLD:   {kld}
Maximum KLD:   0.885166
99.9%   KLD:   0.821833
Minimum KLD:  -0.000002

====== Token probability statistics ======
Mean    Δp: -1.956 ± 0.004 %
RMS Δp    :  5.243 ± 0.394 %
Same top p: {top}
"""


def output(kld="0.030165 ±   0.002043", top="91.529 ± 0.780 %"):
    return LOG + STATISTICS.format(kld=kld, top=top)


@pytest.mark.parametrize(
    ("kld", "top", "figures"),
    [
        (
            "0.030165 ±   0.002043",
            "91.529 ± 0.780 %",
            (30_165_000, 2_043_000, 915_290, 7800),
        ),
        ("-0.000002 +/- 0.000001", "100.000 %", (-2000, 1000, 1_000_000, None)),
        ("0.144 ± -nan", "87.189", (144_000_000, None, 871_890, None)),
        ("-nan ± -nan", "92.5 ± 0.1 %", (None, None, 925_000, 1000)),
    ],
)
def test_figures_are_those_that_were_printed(kld, top, figures):
    found = read_divergence(output(kld, top))
    assert figures == (
        found.kld_nnats,
        found.kld_error_nnats,
        found.same_top_ppm,
        found.same_top_error_ppm,
    )
    assert (found.build, found.model_filename) == (
        "abc1234 (6123)",
        "/m/demo-Q4_K_M.gguf",
    )
    assert "Maximum KLD:   0.885166" in found.raw
    assert "Cor(ln(PPL(Q))" in found.raw


def test_lines_behind_a_moment_and_a_level_are_read_too():
    lines = output().splitlines()
    marked = "\n".join(f"0.13.291.205 I {line}" for line in lines)
    assert read_divergence(marked).kld_nnats == 30_165_000


@pytest.mark.parametrize(
    "text", [LOG, "", output() + output("0.1"), output("1e999999999")]
)
def test_without_one_divergence_it_is_refused(text):
    with pytest.raises(BadDivergence):
        read_divergence(text)


def ingest(tmp_path, warehouse, name, text, **said):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return ingest_file(warehouse, path, options=SourceOptions(**said))


def rows(warehouse, query):
    with warehouse.session() as session:
        return session.rows(query)


def test_divergences_join_the_quants_of_a_sweep(tmp_path):
    sweep = Sweep(model_id="demo").fill().finish()
    warehouse = sweep.store(tmp_path / "warehouse")
    joined = {"sweep_id": "sweep-1"}
    bare = STATISTICS.format(kld="0.5 ± 0.01", top="70.0 ± 1.0 %")
    reports = [
        ingest(tmp_path, warehouse, "q4.txt", output(), **joined),
        ingest(tmp_path, warehouse, "again.txt", output(), **joined),
        ingest(
            tmp_path,
            warehouse,
            "q2.log",
            bare,
            model_id="demo",
            quant_tag="Q2_K",
            **joined,
        ),
    ]
    assert [report.format for report in reports] == ["llama-perplexity"] * 3
    found = rows(
        warehouse,
        "SELECT quant_tag, status, kld_nnats, same_top_ppm FROM v1.quant_divergence "
        "ORDER BY 1",
    )
    assert [tuple(row.values()) for row in found] == [
        ("F16", "NOT_RUN", None, None),
        ("Q2_K", "OK", 500_000_000, 700_000),
        ("Q4_K_M", "OK", 30_165_000, 915_290),
    ]
    # A divergence is no throughput, and llama-bench's rows stay what they were.
    sidecars = rows(warehouse, "SELECT DISTINCT status FROM v1.sidecar")
    assert [row["status"] for row in sidecars] == ["NOT_RUN"]
    # Over another text the same quant has other figures: none of both is its own.
    ingest(tmp_path, warehouse, "other.txt", output("0.02 ± 0.001"), **joined)
    (several,) = rows(
        warehouse, "SELECT * FROM v1.quant_divergence WHERE quant_tag = 'Q4_K_M'"
    )
    assert (several["status"], several["kld_nnats"]) == ("SEVERAL_SETTINGS", None)


def test_alone_it_is_a_sweep_and_a_log_cut_short_is_rejected(tmp_path):
    warehouse = Warehouse.open(tmp_path / "warehouse")
    report = ingest(tmp_path, warehouse, "kl.txt", output())
    assert report.accepted == {"sidecars": 1}
    (row,) = rows(warehouse, "SELECT model_id, quant_tag FROM v1.quant_divergence")
    assert row == {"model_id": "demo", "quant_tag": "Q4_K_M"}
    cut = ingest(tmp_path, warehouse, "cut.txt", LOG)
    assert (cut.format, cut.accepted, cut.rejected) == ("llama-perplexity", {}, 1)
    contradicted = ingest(tmp_path, warehouse, "q8.txt", output(), quant_tag="Q8_0")
    assert contradicted.rejected == 1
