"""Ingest of foreign files: each field compared with what the file says."""

from __future__ import annotations

import json
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.errors import UsageError
from orket.ingest.detect import detect_format
from orket.ingest.formats import FORMATS, NAMES, ORKET
from orket.ingest.importer import FileReport, ingest_file
from orket.ingest.origin import SourceOptions, split_source_name
from orket.warehouse import Warehouse
from tests.places import FIXTURES

BENCH = FIXTURES / "llama_bench"

TELEMETRY: dict[str, Any] = {
    "execution_lane": "lab",
    "init_latency": None,
    "total_latency": 1.25,
    "peak_memory_rss": 512.5,
    "adherence_score": 0.85,
    "internal_model_seconds": 1.0,
    "orchestration_overhead_ratio": 0.2,
    "run_quality_status": "CLEAN",
    "run_quality_reasons": [],
    "experimental_controls": {
        "seed": 7,
        "threads": 4,
        "affinity_policy": "none",
        "warmup_steps": 1,
    },
    "token_metrics_status": "OK",
    "token_metrics": {
        "status": "OK",
        "counts": {"prompt_tokens": 100, "output_tokens": 20, "total_tokens": 120},
        "latencies": {"prefill_seconds": 0.25, "decode_seconds": 0.75},
        "throughput": {"generation_tokens_per_second": 26.67},
        "audit": {"raw_usage": {}, "raw_timings": {}},
    },
    "vibe_metrics": {"code_density": 0.5, "gen_retries": 2},
}
UNMEASURED: dict[str, Any] = {
    "total_latency": 0.5,
    "peak_memory_rss": 0.0,
    "adherence_score": None,
    "experimental_controls": {"affinity_policy": ""},
    "token_metrics": {"counts": {}, "latencies": {"prefill_seconds": None}},
}
REPORT: dict[str, Any] = {
    "schema_version": "1.1.3",
    "report_generated_at": "2026-02-18T00:38:45.5Z",
    "task_bank": "benchmarks/task_bank/v1/tasks.json",
    "details": {
        "001": {
            "tier": 2,
            "unique_hashes": 2,
            "deterministic": False,
            "avg_latency_ms": 900.0,
            "hashes": ["aa", "bb"],
            "runs": [
                {
                    "run_index": 1,
                    "exit_code": 0,
                    "outcome": "pass",
                    "hash": "aa",
                    "duration_ms": 1300.125,
                    "telemetry": TELEMETRY,
                },
                {
                    "run_index": 2,
                    "exit_code": 3,
                    "outcome": "fail",
                    "hash": "bb",
                    "duration_ms": 500.0,
                    "telemetry": UNMEASURED,
                },
            ],
        }
    },
    "test_runs": [
        {"test_id": "001", "outcome": "pass", "telemetry": TELEMETRY},
        {"test_id": "001", "outcome": "fail", "telemetry": UNMEASURED},
        {"test_id": "002", "outcome": "pass", "telemetry": TELEMETRY},
    ],
}

BASELINES: dict[str, Any] = {
    "test_id": "001",
    "history": [
        {
            "baseline_metadata": {
                "test_run_id": "ref-new",
                "model_id": "qwen",
                "model_hash": "sha256:ab",
                "quant_tag": "Q4_K_M",
                "hardware_fingerprint": "linux-6|cpu|8c|32gb|none",
                "task_revision": "v1",
                "created_at": "2026-02-01T00:00:00Z",
                "pinned": True,
            },
            "gold_telemetry": {
                "adherence_score": 0.9,
                "peak_memory_rss": 2800.0,
                "total_latency": 9.5,
            },
        },
        {
            "baseline_metadata": {
                "test_run_id": "ref-old",
                "model_id": "unknown",
                "model_hash": "",
                "quant_tag": "unspecified",
                "hardware_fingerprint": "unknown",
                "task_revision": "v1",
                "created_at": "2026-01-01T00:00:00Z",
            },
            "gold_telemetry": {
                "adherence_score": 1.0,
                "peak_memory_rss": 0.0,
                "total_latency": 10.0,
            },
        },
    ],
}

SAMPLE: dict[str, Any] = {
    "doc_id": 17,
    "doc": {"question": "6 x 7?"},
    "target": "42",
    "arguments": {"gen_args_0": {"arg_0": "6 x 7?"}},
    "resps": [["It is 42."]],
    "filtered_resps": ["42"],
    "filter": "strict-match",
    "metrics": ["exact_match"],
    "doc_hash": "d" * 64,
    "prompt_hash": "p" * 64,
    "target_hash": "t" * 64,
    "exact_match": 1.0,
}
RESULTS: dict[str, Any] = {
    "results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.5}},
    "configs": {"gsm8k": {}},
    "config": {
        "model": "hf",
        "model_args": "pretrained=org/Demo-GGUF,gguf_file=demo-7b-Q4_K_M.gguf",
    },
    "lm_eval_version": "0.4.9",
    "model_source": "hf",
    "date": 1767614400.25,
}
DATE = "2026-01-05T12-00-00.000001"

REQUEST_02: dict[str, Any] = {
    "type_": "generative_text_response",
    "request_id": "r1",
    "prompt": "When?",
    "output": "In 2000.",
    "prompt_tokens": 8,
    "output_tokens": 16,
    "start_time": 1759354691.5,
    "end_time": 1759354695.5,
    "first_token_time": 1759354692.75,
    "request_latency": 4.0,
    "time_to_first_token_ms": 1250.0,
}
REQUEST_NEW: dict[str, Any] = {
    "type_": "generative_request_stats",
    "request_id": "r2",
    "output": "In 2001.",
    "info": {
        "timings": {
            "request_start": 1759354691.5,
            "first_token_iteration": 1759354692.0,
            "request_end": 1759354693.5,
        }
    },
    "input_metrics": {"text_tokens": 9, "total_tokens": 9},
    "output_metrics": {"text_tokens": 17, "total_tokens": 17},
}


def save(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return path


def take(path: Path, **options: Any) -> tuple[FileReport, Warehouse]:
    warehouse = Warehouse.open(path.parent / "warehouse")
    report = ingest_file(warehouse, path, options=SourceOptions(**options))
    return report, warehouse


def rows(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    with warehouse.session() as session:
        return session.rows(query)


def raw_runs(warehouse: Warehouse) -> list[dict[str, Any]]:
    return rows(warehouse, "SELECT * FROM raw.runs ORDER BY order_index")


def reject_of(report: FileReport) -> dict[str, Any]:
    assert report.rejects_path is not None
    (line,) = report.rejects_path.read_text(encoding="utf-8").splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_every_format_is_told_by_its_content(tmp_path):
    cases = {
        "determinism": REPORT,
        "baseline": BASELINES,
        "guidellm": {"metadata": {}, "args": {}, "benchmarks": [{"run_id": "x"}]},
        "lm-eval": RESULTS,
    }
    for name, document in cases.items():
        assert detect_format(save(tmp_path / "file.json", document)) == name
    bare = save(tmp_path / "file.json", BASELINES["history"])
    assert detect_format(bare) == "baseline"
    samples = tmp_path / "samples.jsonl"
    samples.write_text(json.dumps(SAMPLE) + "\n")
    assert detect_format(samples) == "lm-eval"
    assert {detect_format(path) for path in BENCH.iterdir()} == {"llama-bench"}


def test_every_format_but_rows_has_a_reader_that_is_there():
    """A further one needs its module and its entry alone."""
    unread = []
    for each in FORMATS:
        if each.reader is None:
            unread.append(each.name)
            continue
        module, _, function = each.reader.partition(":")
        assert callable(getattr(import_module(f"orket.ingest.{module}"), function))
        assert each.keys or each.text, f"nothing tells {each.name}"
    assert unread == [ORKET]
    assert len(set(NAMES)) == len(FORMATS)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_report_that_orket_wrote_is_nothing_to_import(tmp_path, indent, capsys):
    report = {"sweep_id": "s", "plan_hash": "h", "runs_per_task": 5, "tasks": []}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report, indent=indent))
    warehouse = tmp_path / "warehouse"
    assert run_command(["ingest", str(path), "-w", str(warehouse)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a determinism report that Orket wrote" in line
    assert line.endswith("there is nothing to import")
    assert {entry.name for entry in tmp_path.iterdir()} == {"report.json"}


def test_a_determinism_report_field_by_field(tmp_path):
    report, warehouse = take(
        save(tmp_path / "report.json", REPORT), model_id="demo", quant_tag="Q4_K_M"
    )
    assert (report.format, report.accepted, report.rejected) == (
        "determinism",
        {"runs": 3},
        0,
    )
    first, second, third = raw_runs(warehouse)
    assert [run["test_id"] for run in (first, second, third)] == ["001", "001", "002"]
    assert (first["repetition"], second["repetition"]) == (1, 2)
    assert (first["model_id"], first["quant_tag"]) == ("demo", "Q4_K_M")
    call = first["call"]
    assert call["outcome"] == "OK"
    assert call["wall_ns"] == 1_250_000_000
    assert (call["prompt_tokens"], call["completion_tokens"]) == (100, 20)
    assert (call["prefill_ns"], call["decode_ns"]) == (250_000_000, 750_000_000)
    assert (call["answer_hash"], call["answer_text"]) == ("aa", None)
    assert call["generation_retries"] == 2
    assert json.loads(call["raw_figures"])["orchestration_overhead_ratio"] == 0.2
    assert first["checks"]["checks_passed"] == 850_000
    assert first["checks"]["checks_total"] == 1_000_000
    assert first["peak_server_rss_bytes"] == 512 * 1024**2 + 512 * 1024
    assert first["requested"] == {
        "seed": 7,
        "temperature_milli": None,
        "threads": "4",
        "affinity": "none",
        "warmup": "1",
        "context_tokens": None,
        "batch_tokens": None,
        "kv_cache": None,
        "thinking": None,
    }
    assert (first["started_ns"], first["prompt_sha256"]) == (None, None)
    failed = second["call"]
    assert (failed["outcome"], failed["error_class"]) == ("FAILED", "RUNNER_FAILED")
    assert (second["checks"], second["peak_server_rss_bytes"]) == (None, None)
    assert (failed["prompt_tokens"], failed["prefill_ns"]) == (None, None)
    assert second["requested"]["affinity"] is None
    (manifest,) = rows(warehouse, "SELECT * FROM v1.manifest")
    assert [(task["test_id"], task["tier"]) for task in manifest["tasks"]] == [
        ("001", 2),
        ("002", 1),
    ]
    assert manifest["quants"][0]["quant_key"] == "Q4_K_M"


def test_a_report_from_before_telemetry_gives_what_it_says(tmp_path):
    old = {
        "generated_at_utc": "2026-02-18T00:38:45+00:00",
        "details": {
            "001": {
                "tier": 1,
                "hashes": ["cc"],
                "runs": [{"run_index": 1, "exit_code": 0, "duration_ms": 71.158}],
            }
        },
    }
    _, warehouse = take(save(tmp_path / "report.json", old))
    (run,) = raw_runs(warehouse)
    assert run["call"]["wall_ns"] == 71_158_000
    assert run["call"]["answer_hash"] == "cc"
    assert (run["checks"], run["model_id"]) == (None, "unknown")


def test_determinism_of_imported_answers_is_judged_by_their_hashes(tmp_path):
    document: dict[str, Any] = deepcopy(REPORT)
    for test_id, hashes in (("001", "ab"), ("003", "cc")):
        runs = [
            {"run_index": place, "exit_code": 0, "hash": value, "duration_ms": 1.0}
            for place, value in enumerate(hashes, start=1)
        ]
        document["details"][test_id] = {"hashes": list(hashes), "runs": runs}
    _, warehouse = take(save(tmp_path / "report.json", document))
    groups = rows(warehouse, "SELECT * FROM v1.determinism ORDER BY test_id")
    told = [(row["test_id"], row["is_deterministic"]) for row in groups]
    # The run of 002 came without a hash: its answer is unknown, not empty.
    assert told == [("001", False), ("003", True)]


def test_imported_runs_are_judged_as_unobserved(tmp_path):
    _, warehouse = take(save(tmp_path / "report.json", REPORT))
    judged = rows(
        warehouse,
        "SELECT outcome, run_quality_status, run_quality_reasons FROM v1.runs "
        "ORDER BY order_index",
    )
    assert [row["run_quality_status"] for row in judged] == ["POLLUTED"] * 3
    assert judged[0]["run_quality_reasons"] == ["ENVIRONMENT_UNOBSERVED"]
    assert judged[1]["outcome"] == "FAILED"


@pytest.mark.parametrize(
    ("where", "value", "field"),
    [
        (("telemetry", "total_latency"), -1.0, "total_latency"),
        (("telemetry", "total_latency"), "fast", "total_latency"),
        (("telemetry", "adherence_score"), 1.5, "adherence_score"),
        (("telemetry", "token_metrics"), [], "token_metrics"),
        (("telemetry", "peak_memory_rss"), True, "peak_memory_rss"),
    ],
)
def test_a_bad_run_of_a_report_is_rejected_by_field(tmp_path, where, value, field):
    document: dict[str, Any] = deepcopy(REPORT)
    run = document["details"]["001"]["runs"][0]
    run[where[0]] = {**run[where[0]], where[1]: value}
    report, _ = take(save(tmp_path / "report.json", document))
    assert (report.accepted, report.rejected) == ({"runs": 2}, 1)
    assert reject_of(report)["field"] == f"details.001.runs[0].telemetry.{field}"


def test_legacy_baselines_field_by_field(tmp_path):
    report, warehouse = take(save(tmp_path / "001.json", BASELINES))
    assert (report.format, report.accepted) == ("baseline", {"events": 3})
    new, old = rows(
        warehouse, "SELECT * FROM v1.baseline_record ORDER BY measured_at DESC"
    )
    facts = {
        "test_id": "001",
        "model_id": "qwen",
        "model_digest": "sha256:ab",
        "quant_tag": "Q4_K_M",
        "hardware_fingerprint": "linux-6|cpu|8c|32gb|none",
        "fingerprint_version": "legacy",
        "task_revision": "v1",
        "source_run_ids": ["ref-new"],
        "runs": 1,
        "checks_passed": 900_000,
        "checks_total": 1_000_000,
        "latency_median_ns": 9_500_000_000,
        "latency_mad_ns": None,
        "memory_bytes": 2800 * 1024**2,
        "control_profile": None,
        "run_quality_status": None,
        "sweep_id": None,
        "imported_from": "001.json",
        "pinned": True,
        "pruned": False,
    }
    assert {name: new[name] for name in facts} == facts
    assert f"{new['measured_at']:%Y-%m-%d %H:%M:%S}" == "2026-02-01 00:00:00"
    missing = ("model_id", "model_digest", "quant_tag", "hardware_fingerprint")
    assert [old[name] for name in (*missing, "memory_bytes")] == [None] * 5
    assert (old["pinned"], old["latency_median_ns"]) == (False, 10_000_000_000)


def test_a_bare_list_takes_its_test_from_the_file_name(tmp_path):
    _, warehouse = take(save(tmp_path / "077.json", BASELINES["history"]))
    found = rows(warehouse, "SELECT DISTINCT test_id FROM v1.baseline_record")
    assert found == [{"test_id": "077"}]


def test_legacy_baselines_twice_count_once_and_an_unpin_stays(tmp_path):
    from orket.baselines import list_records, unpin

    path = save(tmp_path / "001.json", BASELINES)
    _, warehouse = take(path)
    unpin(warehouse, "ref-new")
    take(path)
    records = list_records(warehouse)
    assert [record["pinned"] for record in records] == [False, False]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"baseline_metadata": None}, "history[0].baseline_metadata"),
        ({"gold_telemetry": {"adherence_score": 2}}, "adherence_score"),
        ({"gold_telemetry": {"total_latency": -3}}, "total_latency"),
        ({"baseline_metadata": {"created_at": "soon"}}, "created_at"),
        ({"baseline_metadata": {"created_at": "2026-01-01T00:00:00"}}, "created_at"),
    ],
)
def test_a_bad_legacy_baseline_is_rejected_by_field(tmp_path, change, field):
    document: dict[str, Any] = deepcopy(BASELINES)
    document["history"][0].update(change)
    report, _ = take(save(tmp_path / "001.json", document))
    assert (report.accepted, report.rejected) == ({"events": 1}, 1)
    assert reject_of(report)["field"].endswith(field)


@pytest.mark.parametrize(
    "text", ["{", "[1", '{"history": 7}', '{"history": [], "history": []}', '"x"']
)
def test_a_document_that_cannot_be_read_is_one_rejection(tmp_path, text):
    path = tmp_path / "001.json"
    path.write_text(text)
    warehouse = Warehouse.open(tmp_path / "warehouse")
    report = ingest_file(warehouse, path, format_name="baseline")
    assert (report.accepted, report.rejected) == ({}, 1)


def test_lm_eval_samples_with_their_results_beside(tmp_path):
    save(tmp_path / f"results_{DATE}.json", RESULTS)
    wrong = {**SAMPLE, "doc_id": 18, "exact_match": 0.0}
    path = tmp_path / f"samples_gsm8k_{DATE}.jsonl"
    path.write_text(json.dumps(SAMPLE) + "\n" + json.dumps(wrong) + "\n")
    report, warehouse = take(path)
    assert (report.format, report.accepted) == ("lm-eval", {"runs": 2})
    first, second = raw_runs(warehouse)
    assert first["test_id"] == "lm-eval:gsm8k:strict-match/17"
    assert (first["model_id"], first["quant_tag"]) == ("demo-7b", "Q4_K_M")
    assert (first["checks"]["checks_passed"], first["checks"]["checks_total"]) == (1, 1)
    assert second["checks"]["checks_passed"] == 0
    assert first["call"]["answer_text"] == "It is 42."
    assert first["task_revision"] == SAMPLE["doc_hash"]
    assert first["prompt_sha256"] == SAMPLE["prompt_hash"]
    silent = ("wall_ns", "prompt_tokens", "prefill_ns", "ttft_ns")
    assert [first["call"][name] for name in silent] == [None] * 4
    assert f"{first['started_at']}" == "2026-01-05 12:00:00"


def test_lm_eval_log_likelihoods_and_other_metrics(tmp_path):
    sample = {
        **SAMPLE,
        "filter": "none",
        "resps": [[[-2.5, False]], [[-0.3, True]]],
        "metrics": ["acc", "acc_norm", "bleu"],
        "acc": 1.0,
        "acc_norm": 0.0,
        "bleu": 31.5,
    }
    path = tmp_path / f"samples_arc_easy_{DATE}.jsonl"
    path.write_text(json.dumps(sample) + "\n")
    _, warehouse = take(path, model_id="m", quant_tag="F16")
    (run,) = raw_runs(warehouse)
    checks = run["checks"]
    assert run["test_id"] == "lm-eval:arc_easy/17"
    assert (checks["checks_passed"], checks["checks_total"]) == (1, 2)
    assert json.loads(checks["check_details"])["bleu"] == 31.5
    assert run["call"]["answer_text"] is None


def test_two_sample_files_of_one_evaluation_are_one_sweep(tmp_path):
    save(tmp_path / f"results_{DATE}.json", RESULTS)
    for task in ("gsm8k", "arc"):
        path = tmp_path / f"samples_{task}_{DATE}.jsonl"
        path.write_text(json.dumps(SAMPLE) + "\n")
        _, warehouse = take(path)
    assert len(warehouse.sweep_ids()) == 1
    (manifest,) = rows(warehouse, "SELECT * FROM v1.manifest")
    assert (len(manifest["plan"]), len(manifest["tasks"])) == (2, 2)
    assert manifest["models"][0]["provider"] == "lm-eval:hf"


def test_lm_eval_aggregates_alone_are_rejected_with_what_to_do(tmp_path):
    report, _ = take(save(tmp_path / f"results_{DATE}.json", RESULTS))
    assert (report.accepted, report.rejected) == ({}, 1)
    assert "--log_samples" in reject_of(report)["reason"]


def test_lm_eval_results_with_samples_inside(tmp_path):
    inside = {**RESULTS, "samples": {"gsm8k": [SAMPLE, {"doc_id": None}]}}
    report, _ = take(save(tmp_path / "evaluation.json", inside))
    assert (report.accepted, report.rejected) == ({"runs": 1}, 1)
    assert reject_of(report)["field"] == "samples.gsm8k[1].doc_id"


@pytest.mark.parametrize(
    ("request_stats", "figures"),
    [
        (REQUEST_02, (4_000_000_000, 1_250_000_000, 8, 16)),
        (REQUEST_NEW, (2_000_000_000, 500_000_000, 9, 17)),
    ],
)
def test_guidellm_requests_of_several_versions(tmp_path, request_stats, figures):
    document = {
        "args": {"model": "org/demo-7b-Q8_0"},
        "benchmarks": [
            {
                "args": {"strategy": {"type_": "concurrent"}},
                "requests": {
                    "successful": [request_stats],
                    "errored": [{**request_stats, "error": "HTTP 500"}],
                    "incomplete": [],
                },
            }
        ],
    }
    report, warehouse = take(save(tmp_path / "benchmarks.json", document))
    assert (report.format, report.accepted) == ("guidellm", {"runs": 2})
    good, bad = raw_runs(warehouse)
    call = good["call"]
    names = ("wall_ns", "ttft_ns", "prompt_tokens", "completion_tokens")
    assert tuple(call[name] for name in names) == figures
    assert (call["prefill_ns"], call["decode_ns"], good["checks"]) == (None, None, None)
    assert (good["model_id"], good["quant_tag"]) == ("demo-7b", "Q8_0")
    assert (good["test_id"], bad["repetition"]) == ("guidellm/concurrent-1", 2)
    assert (bad["call"]["outcome"], bad["call"]["error_message"]) == (
        "FAILED",
        "HTTP 500",
    )


def test_guidellm_end_before_start_is_rejected(tmp_path):
    request = {**REQUEST_02, "end_time": 1.0}
    document = {
        "args": {},
        "benchmarks": [{"requests": {"successful": [request, REQUEST_02]}}],
    }
    path = save(tmp_path / "benchmarks.json", document)
    report, _ = take(path)
    assert (report.accepted, report.rejected) == ({"runs": 1}, 1)
    assert "negative duration" in reject_of(report)["reason"]


@pytest.mark.parametrize("path", sorted(BENCH.iterdir()), ids=lambda path: path.suffix)
def test_llama_bench_files_become_sidecar_rows(tmp_path, path):
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    report, warehouse = take(copy)
    assert report.accepted == {"sidecars": 3}
    take(copy)
    found = rows(
        warehouse,
        "SELECT DISTINCT ON (sidecar_id) * FROM raw.sidecars ORDER BY sidecar_id",
    )
    assert sorted(row["test"] for row in found) == ["pg", "pp", "tg"]
    assert {row["quant_tag"] for row in found} == {"Q4_K_M"}
    told = [row["samples_ns"] or row["mean_ns"] or row["rate_milli"] for row in found]
    assert all(told)


def test_llama_bench_joins_the_sweep_it_is_said_to_belong_to(tmp_path):
    from tests.raw_rows import make_run, store_sweep

    warehouse = Warehouse.open(tmp_path / "warehouse")
    sweep_id = store_sweep(warehouse, [make_run()])
    path = tmp_path / "bench.json"
    path.write_bytes((BENCH / "llama-bench.json").read_bytes())
    take(path, sweep_id=sweep_id, model_id="demo", quant_tag="Q4_K_M")
    (row,) = rows(warehouse, "SELECT * FROM v1.sidecar")
    assert (row["status"], row["gates"]) == ("OK", False)
    # 256 tokens over the median sample of 7,538,825 ns.
    assert row["prefill_tps_milli"] == 33_957_546


@pytest.mark.parametrize(
    ("name", "prefill_tps_milli", "samples"),
    [
        # 256 tokens over the median of 3 samples, over a mean, and the own word.
        ("llama-bench.json", 33_957_546, 3),
        ("llama-bench.csv", 32_402_282, None),
        ("llama-bench.md", 30_830_180, None),
    ],
)
def test_a_rate_comes_from_the_best_that_a_file_says(
    tmp_path, name, prefill_tps_milli, samples
):
    path = tmp_path / name
    path.write_bytes((BENCH / name).read_bytes())
    _, warehouse = take(path)
    (row,) = rows(warehouse, "SELECT * FROM v1.sidecar")
    assert (row["prefill_tps_milli"], row["prefill_samples"]) == (
        prefill_tps_milli,
        samples,
    )


def test_a_test_behind_a_filled_cache_is_no_rate(tmp_path):
    path = tmp_path / "bench.jsonl"
    path.write_text('{"n_prompt":512,"n_gen":0,"n_depth":512,"avg_ns":1000000}\n')
    _, warehouse = take(path, model_id="m", quant_tag="Q8_0")
    (row,) = rows(warehouse, "SELECT * FROM v1.quant_sidecar")
    assert (row["status"], row["prefill_tps_milli"]) == ("OK", None)
    # It stands beside the setting that gave it alone.
    (own,) = rows(warehouse, "SELECT * FROM v1.sidecar")
    assert (own["depth_tokens"], own["prefill_tps_milli"]) == (512, 512_000_000)


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [
        ("b.jsonl", '{"n_prompt":512,"n_gen":0,"samples_ns":[9,900000]}', "samples_ns"),
        ("b.jsonl", '{"n_prompt":0,"n_gen":128,"avg_ns":1}', "avg_ns"),
        ("b.md", "| model | test | t/s |\n|--|--|--|\n| x | tg1 | 10000001.0 |", "t/s"),
    ],
)
def test_a_rate_that_no_machine_reaches_is_rejected(tmp_path, name, text, field):
    path = tmp_path / name
    path.write_text(f"{text}\n")
    report, _ = take(path, model_id="m", quant_tag="Q8_0")
    assert (report.accepted, report.rejected) == ({}, 1)
    reject = json.loads((tmp_path / f"{name}.rejects.jsonl").read_text())
    assert reject["field"] == field
    assert "no machine makes" in reject["reason"]


def test_a_table_of_several_settings_keeps_each_rate_with_its_own(tmp_path):
    path = tmp_path / "bench.md"
    head = "| model | ngl | n_ubatch | sm | ts | test | t/s |\n|--|--|--|--|--|--|--|\n"
    cells = [
        ("256 | layer | 1.00/1.00 | pp512", "500.00 ± 5.00"),
        ("256 | layer | 1.00/1.00 | tg128", "30.00 ± 0.01"),
        ("256 | layer | 1.00/1.00 | pp512 @ d8192", "470.00 ± 4.00"),
        ("512 | tensor | 1.00/1.00 | pp512", "400.00 ± 3.00"),
        ("512 | layer | 1.00/1.00 | tg128", "45.00 ± 0.10"),
    ]
    table = "".join(f"| m Q8_0 | -1 | {own} | {rate} |\n" for own, rate in cells)
    path.write_text(head + table, encoding="utf-8")
    report, warehouse = take(path)
    assert (report.accepted, report.rejected) == ({"sidecars": 5}, 0)
    found = {
        (row["depth_tokens"], row["prefill_tps_milli"], row["decode_tps_milli"])
        for row in rows(warehouse, "SELECT * FROM v1.sidecar")
    }
    assert found == {
        (0, 500_000, 30_000),
        (8192, 470_000, None),
        (0, 400_000, None),
        (0, None, 45_000),
    }


def test_a_damaged_llama_bench_file_gives_what_is_whole(tmp_path):
    text = (BENCH / "llama-bench.json").read_text(encoding="utf-8")
    path = tmp_path / "bench.json"
    path.write_text(text[: text.rindex("{") + 200])
    report, _ = take(path)
    assert (report.accepted, report.rejected) == ({"sidecars": 2}, 1)


def test_an_empty_warehouse_stays_empty_when_nothing_is_taken(tmp_path):
    path = tmp_path / "bench.csv"
    path.write_text("build_commit,n_prompt\nabc,x\n")
    report, warehouse = take(path)
    assert (report.accepted, report.rejected) == ({}, 1)
    assert warehouse.sweep_ids() == []


def test_an_unknown_format_name_is_refused(tmp_path):
    path = save(tmp_path / "x.json", {})
    with pytest.raises(UsageError, match="no format 'xml'"):
        ingest_file(Warehouse.open(tmp_path), path, format_name="xml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gguf/tiny-Q4_K_M.gguf", ("tiny", "Q4_K_M")),
        ("llama 7B mostly Q4_0", ("llama 7B", "Q4_0")),
        ("llama ?B Q4_K - Medium", ("llama ?B", "Q4_K_M")),
        ("qwen2 7B Q2_K - Medium", ("qwen2 7B", "Q2_K")),
        ("llama3.2:1b-instruct-q8_0", ("llama3.2:1b-instruct", "Q8_0")),
        ("org/Qwen2.5-7B-Instruct", ("Qwen2.5-7B-Instruct", None)),
        ("m-F16-00001-of-00003.gguf", ("m", "F16")),
        ("a-IQ3_XXS.gguf", ("a", "IQ3_XXS")),
        ("C:\\models\\X-8B-Q2_0_g64.gguf", ("X-8B", "Q2_0_g64")),
        ("hf.co/unsloth/X-GGUF:UD-Q4_K_XL", ("X-GGUF", "UD-Q4_K_XL")),
        ("org/Model-7B-AWQ", ("Model-7B", "AWQ")),
        ("qwen3moe 30B.A3B IQ4_XS - 4.25 bpw", ("qwen3moe 30B.A3B", "IQ4_XS")),
    ],
)
def test_model_and_quant_of_a_name(name, expected):
    assert split_source_name(name) == expected


def test_a_name_without_a_quant_has_none():
    assert split_source_name("Qwen2.5-7B") == ("Qwen2.5-7B", None)
    assert split_source_name(None) == ("unknown", None)


def bench_file(path, *tests):
    """JSON of llama-bench: (file, type, bytes) of each test."""
    rows = [
        {
            "build_commit": "d403f00",
            "model_filename": name,
            "model_type": said,
            "model_size": size,
            "model_n_params": 8_000_000_000,
            "n_prompt": 0,
            "n_gen": 128,
            "avg_ns": 1_000_000_000 + number,
            "test_time": "2026-01-01T00:00:00Z",
        }
        for number, (name, said, size) in enumerate(tests)
    ]
    path.write_text(json.dumps(rows))
    return path


TAGS = "SELECT model_id, quant_tag FROM raw.sidecars ORDER BY ALL"


def test_the_finer_of_file_name_and_type_names_the_rates(tmp_path):
    described = "qwen3moe 30B.A3B Q4_K - Medium"
    _, warehouse = take(
        bench_file(
            tmp_path / "bench.json",
            ("/m/Qwen3-30B-A3B-UD-Q4_K_XL.gguf", described, 17_000),
            ("/m/Qwen3-30B-A3B-Q4_K_M.gguf", described, 18_000),
            ("/m/Qwen3-30B-A3B-UD-IQ2_M.gguf", "qwen3moe 30B.A3B Q2_K - Small", 9_000),
            ("/m/Qwen3-30B-A3B.gguf", "qwen3moe 30B.A3B IQ4_NL - 4.5 bpw", 16_000),
        )
    )
    assert [tuple(row.values()) for row in rows(warehouse, TAGS)] == [
        ("Qwen3-30B-A3B", tag) for tag in ("IQ4_NL", "Q4_K_M", "UD-IQ2_M", "UD-Q4_K_XL")
    ]


def test_rates_of_two_files_of_one_name_stay_apart(tmp_path):
    _, warehouse = take(
        bench_file(
            tmp_path / "bench.json",
            ("/m/unsloth/X/X-Q8_0.gguf", "llama 8B Q8_0", 8_600),
            ("/m/bartowski/X/X-Q8_0.gguf", "llama 8B Q8_0", 8_500),
            ("/m/bartowski/X/X-Q8_0.gguf", "llama 8B Q8_0", 8_500),
        )
    )
    found = [row["quant_tag"] for row in rows(warehouse, TAGS)]
    assert found == ["Q8_0@bartowski", "Q8_0@bartowski", "Q8_0@unsloth"]


def test_rates_whose_names_contradict_are_rejected_with_both(tmp_path):
    path = bench_file(
        tmp_path / "bench.json",
        ("/m/X-Q8_0.gguf", "llama 8B Q4_K - Medium", 4_900),
        ("/m/X-Q4_0.gguf", "llama 8B Q4_0", 4_600),
    )
    report, warehouse = take(path)
    assert (report.accepted, report.rejected) == ({"sidecars": 1}, 1)
    assert [row["quant_tag"] for row in rows(warehouse, TAGS)] == ["Q4_0"]


def test_the_word_of_the_user_may_be_finer_but_not_another(tmp_path):
    path = bench_file(tmp_path / "b.json", ("/m/x.gguf", "llama 8B Q4_K - Medium", 1))
    _, warehouse = take(path, quant_tag="UD-Q4_K_XL")
    assert [row["quant_tag"] for row in rows(warehouse, TAGS)] == ["UD-Q4_K_XL"]
    report, _ = take(path, quant_tag="Q8_0")
    assert (report.accepted, report.rejected) == ({}, 1)
