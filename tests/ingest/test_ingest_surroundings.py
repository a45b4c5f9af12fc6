"""Files as shells and tools leave them: read, or refused with what is in the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.errors import UsageError
from orket.ingest.formats import FORMATS
from orket.ingest.importer import FileReport, ingest_file
from orket.ingest.origin import SourceOptions
from orket.warehouse import Warehouse
from tests.nightly import nightly
from tests.raw_rows import make_run

_NS = 1_000_000_000
RECORD = {
    "build_commit": "abc1234",
    "build_number": 1,
    "model_filename": "models/demo-Q8_0.gguf",
    "model_type": "llama 1B Q8_0",
    "n_batch": 512,
    "n_threads": 4,
    "n_prompt": 512,
    "n_gen": 0,
    "avg_ns": 2 * _NS,
    "samples_ns": [2 * _NS],
}
JSON_TEXT = json.dumps([RECORD, RECORD | {"n_prompt": 0, "n_gen": 128}], indent=1)
JSONL_TEXT = "\n".join(json.dumps(row) for row in json.loads(JSON_TEXT)) + "\n"
TABLE = """\
| model         |     size |  params | backend | threads |  test |          t/s |
| ------------- | -------: | ------: | ------- | ------: | ----: | -----------: |
| llama 1B Q8_0 | 1.00 GiB |  1.00 B | CPU     |       4 | pp512 | 256.00 ± 1.0 |
| llama 1B Q8_0 | 1.00 GiB |  1.00 B | CPU     |       4 | tg128 |  64.00 ± 0.1 |
"""
CSV_TEXT = (
    "build_commit,model_filename,n_threads,n_prompt,n_gen,avg_ns\n"
    f'"abc1234","models/demo-Q8_0.gguf","4","512","0","{2 * _NS}"\n'
    f'"abc1234","models/demo-Q8_0.gguf","4","0","128","{2 * _NS}"\n'
)
WRAPPINGS: dict[str, Callable[[str], bytes]] = {
    "as it is": lambda text: text.encode(),
    "a mark of UTF-8": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16 of PowerShell": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16, the other way round": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "carriage returns": lambda text: text.replace("\n", "\r\n").encode(),
    "log lines before it": lambda text: (
        "ggml_cuda_init: found 1 CUDA devices:\n  Device 0: [card], 8 GiB\n" + text
    ).encode(),
    "a prompt before it": lambda text: f"$ llama-bench -m a.gguf\n{text}".encode(),
    "a fence of code": lambda text: f"Mine:\n\n```\n{text}```\nThanks!\n".encode(),
    "a moment before each line": lambda text: "".join(
        f"2026-01-31T12:00:00.1234567Z {line}\n" for line in text.splitlines()
    ).encode(),
    "moments in brackets": lambda text: "".join(
        f"[2026-01-31 12:00:00,123] {line}\n" for line in text.splitlines()
    ).encode(),
    "notes behind it": lambda text: f"{text}\n\nbuild: abc1234 (1)\nPS C:\\> ".encode(),
    "colours around it": lambda text: f"\x1b[1m\x1b[32m{text}\x1b[0m".encode(),
}


def take(path: Path, content: bytes) -> tuple[FileReport, Warehouse]:
    path.write_bytes(content)
    warehouse = Warehouse(path.parent / "warehouse")
    return ingest_file(warehouse, path, options=SourceOptions()), warehouse


def rows(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    with warehouse.session() as session:
        return session.rows(query)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(
    "text", [JSON_TEXT, *nightly(JSONL_TEXT), TABLE, *nightly(CSV_TEXT)]
)
def test_an_output_of_llama_bench_is_read_through_what_is_around_it(
    tmp_path, text, wrapping
):
    report, warehouse = take(tmp_path / "bench.txt", WRAPPINGS[wrapping](text))
    assert (report.format, report.accepted) == ("llama-bench", {"sidecars": 2})
    assert report.rejected == 0
    found = rows(warehouse, "SELECT * FROM raw.sidecars ORDER BY test")
    assert [row["test"] for row in found] == ["pp", "tg"]
    assert [row["threads"] for row in found] == [4, 4]
    # 512 tokens in 2 s, 128 tokens in 2 s; a table says the rate alone.
    said = [row["rate_milli"] or row["mean_ns"] for row in found]
    assert said == ([256_000, 64_000] if text is TABLE else [2 * _NS, 2 * _NS])


REPORT = json.dumps(
    {
        "args": {"model": "demo-Q8_0"},
        "benchmarks": [
            {
                "requests": {
                    "successful": [
                        {
                            "start_time": 1_750_000_000.0,
                            "end_time": 1_750_000_001.5,
                            "output": "yes",
                        }
                    ]
                }
            }
        ],
    },
    indent=2,
)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_report_in_json_is_read_through_what_is_around_it(tmp_path, wrapping):
    report, warehouse = take(tmp_path / "report.json", WRAPPINGS[wrapping](REPORT))
    assert (report.format, report.accepted) == ("guidellm", {"runs": 1})
    (row,) = rows(warehouse, "SELECT call.wall_ns AS wall_ns FROM raw.runs")
    assert row["wall_ns"] == 1_500_000_000


def test_a_fault_inside_is_told_by_its_line_in_the_file(tmp_path):
    torn = f"$ show\n{REPORT}".replace('"output": "yes"', '"output": yes')
    report, _ = take(tmp_path / "report.json", torn.encode())
    assert report.first_rejection is not None
    line = torn[: torn.index('"output"')].count("\n") + 1
    assert (report.first_rejection.line, report.accepted) == (line, {})


def test_rows_in_utf16_are_refused_with_what_to_do(tmp_path):
    from orket.records import to_json

    content = (to_json(make_run()).decode() + "\n").encode("utf-16")
    with pytest.raises(UsageError, match=r"is UTF-16, and .*iconv -f UTF-16 -t UTF-8"):
        take(tmp_path / "rows.jsonl", content)


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("| Model | Size | Params | Backend | Threads | Test | t/s |", None),
        ("| MODEL | SIZE | PARAMS | BACKEND | THREADS | TEST | T/S |", None),
        ("| **model** | size | params | backend | **threads** | test | t/s |", None),
        ("> | model | size | params | backend | threads | test | t/s |", None),
        ("| model | size | params | threads | threads | test | t/s |", 1),
        ("| model | size | params | backend | t/s | test | t/s |", 1),
    ],
)
def test_a_header_in_any_case_is_read_and_one_with_a_column_twice_is_not(
    tmp_path, head, line
):
    text = "\n".join([head, *TABLE.splitlines()[1:]])
    report, _ = take(tmp_path / "bench.md", text.encode())
    if line is None:
        assert (report.accepted, report.rejected) == ({"sidecars": 2}, 0)
        return
    assert (report.accepted, report.rejected) == ({}, 1)
    assert report.first_rejection is not None
    assert report.first_rejection.line == line
    assert report.first_rejection.reason == "the column stands twice"


@pytest.mark.parametrize(
    "name", ["build_commit,n_gen,n_prompt,n_gen,avg_ns", "Build_Commit,avg_ns,AVG_NS"]
)
def test_a_column_twice_in_csv_is_refused(tmp_path, name):
    report, _ = take(tmp_path / "bench.csv", f"{name}\na,1,2,3,4\n".encode())
    assert (report.accepted, report.rejected) == ({}, 1)


def test_a_rate_in_bold_and_a_cell_too_many_are_rejected_by_line(tmp_path):
    lines = TABLE.splitlines()
    bold = lines[2].replace("256.00", "**256.00**")
    shifted = lines[3] + " more |"
    text = "\n".join([*lines[:2], bold, shifted, lines[3]])
    report, _ = take(tmp_path / "bench.md", text.encode())
    assert (report.accepted, report.rejected) == ({"sidecars": 1}, 2)
    rejects = [
        json.loads(line)
        for line in (tmp_path / "bench.md.rejects.jsonl").read_text().splitlines()
    ]
    assert [(row["line"], row["field"]) for row in rejects] == [(3, "t/s"), (4, None)]
    assert rejects[1]["reason"] == "8 cells for 7 columns"


@pytest.mark.parametrize(
    ("record", "tool"),
    [
        (
            {"n_kv_max": 2048, "pp": 128, "speed_pp": 9.5, "speed_tg": 4.5, "t": 3.1},
            "llama-batched-bench",
        ),
        ({"request_throughput": 1.0, "mean_ttft_ms": 3.0}, "vLLM's benchmark"),
    ],
)
def test_output_of_another_tool_is_named(tmp_path, record, tool):
    with pytest.raises(UsageError, match=f"is output of {tool}"):
        take(tmp_path / "bench.jsonl", json.dumps(record).encode())


def sample(**changes: Any) -> dict[str, Any]:
    """A sample of lm-eval."""
    return {
        "doc_id": 0,
        "arguments": [["2 + 2 =", {"until": ["\n"]}]],
        "resps": [["4"]],
        "filtered_resps": ["4"],
        "doc_hash": "d",
        "prompt_hash": "p",
        "target_hash": "t",
        "exact_match": 1.0,
    } | changes


CHOICE = [["q", " a"]]


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, "4"),
        ({"resps": ["4"], "arguments": None, "input": "q"}, "4"),
        ({"resps": [["-4"]]}, "-4"),
        ({"resps": [[["-17.5", "False"]], [["-2.5", "True"]]]}, None),
        ({"resps": [[[-1.5, False]], [[-2.5, True]]]}, None),
        ({"resps": [["(-17.5, False)"]], "arguments": CHOICE}, None),
        ({"resps": [["-17.5"]], "arguments": [["a text"]]}, None),
        ({"resps": [[-17.5]], "arguments": [["a text"]]}, None),
        ({"resps": [[["-inf", "False"]]]}, None),
        ({"resps": [["(b, False)"]]}, "(b, False)"),
        ({"resps": [["-17.5 degrees"]], "arguments": CHOICE}, "-17.5 degrees"),
    ],
)
def test_a_log_likelihood_is_no_answer_however_it_is_written(tmp_path, changes, answer):
    content = json.dumps(sample(**changes)).encode()
    report, warehouse = take(tmp_path / "samples_a_2026-01-05T12-00-00.jsonl", content)
    assert report.accepted == {"runs": 1}
    (row,) = rows(warehouse, "SELECT call.answer_text AS said, checks FROM raw.runs")
    assert row["said"] == answer
    assert (row["checks"]["checks_passed"], row["checks"]["checks_total"]) == (1, 1)


def test_two_filters_are_two_tasks(tmp_path):
    lines = [sample(filter=name) for name in ("strict-match", "flexible-extract")]
    content = "\n".join(json.dumps(line) for line in lines).encode()
    _, warehouse = take(tmp_path / "samples_a_2026-01-05T12-00-00.jsonl", content)
    found = rows(warehouse, "SELECT test_id FROM raw.runs ORDER BY test_id")
    assert [row["test_id"] for row in found] == [
        "lm-eval:a:flexible-extract/0",
        "lm-eval:a:strict-match/0",
    ]


def _baseline(run: str) -> dict[str, Any]:
    return {
        "baseline_metadata": {"test_run_id": run, "created_at": "2026-01-05T12:00:00Z"},
        "gold_telemetry": {"adherence_score": 0.5},
    }


HALF = "\ud800"
HALVES: dict[str, tuple[str, list[str], str, dict[str, int]]] = {
    "baseline": (
        "001.json",
        [json.dumps({"test_id": "1", "history": [_baseline(HALF), _baseline("b")]})],
        "history[0].baseline_metadata.test_run_id",
        {"events": 1},
    ),
    "determinism": (
        "report.json",
        [
            json.dumps(
                {
                    "schema_version": "1.1.3",
                    "test_runs": [
                        {"test_id": "1", "outcome": "pass", "hash": HALF},
                        {"test_id": "1", "outcome": "pass", "hash": "aa"},
                    ],
                }
            )
        ],
        "test_runs[0].hash",
        {"runs": 1},
    ),
    "lm-eval": (
        "samples_a_2026-01-05T12-00-00.jsonl",
        [json.dumps(sample(resps=[[HALF]])), json.dumps(sample(doc_id=1))],
        "resps[0][0]",
        {"runs": 1},
    ),
    "guidellm": (
        "report.json",
        [
            json.dumps(
                {
                    "args": {},
                    "benchmarks": [
                        {"requests": {"successful": [{"output": HALF}, {"output": ""}]}}
                    ],
                }
            )
        ],
        "benchmarks[0].requests.successful[0].output",
        {"runs": 1},
    ),
    "llama-bench": (
        "bench.json",
        [json.dumps([{**json.loads(JSON_TEXT)[0], "build_commit": HALF}])[:-1]]
        + [f",{json.dumps(json.loads(JSON_TEXT)[1])}]"],
        "build_commit",
        {"sidecars": 1},
    ),
}


@pytest.mark.parametrize("name", HALVES)
def test_half_a_surrogate_costs_its_own_row_alone(tmp_path, name):
    file, lines, field, accepted = HALVES[name]
    report, _ = take(tmp_path / file, "\n".join(lines).encode())
    assert (report.accepted, report.rejected) == (accepted, 1)
    assert report.rejects_path is not None
    (reject,) = map(json.loads, report.rejects_path.read_text().splitlines())
    assert (reject["line"], reject["field"]) == (1, field)
    assert "half a surrogate pair" in reject["reason"]


@pytest.mark.parametrize("name", ["auto", *(each.name for each in FORMATS)])
def test_a_file_as_deep_as_a_well_is_no_fault_of_ours(tmp_path, name, capsys):
    path = tmp_path / "deep.json"
    path.write_bytes(b"[" * 99_999 + b"]" * 99_999)
    place = ["-w", str(tmp_path / "w")]
    assert run_command(["ingest", str(path), "--format", name, *place]) in (2, 3, 4)
    told = capsys.readouterr().err
    assert "fault" not in told
    assert path.name in told


def test_guidellm_moments_and_times_beyond_all_bounds_are_rejected_by_field(tmp_path):
    good = {"start_time": 1_750_000_000, "end_time": 1_750_000_001}
    bad = [
        {"start_time": 9e15, "end_time": 9e15},
        {"start_time": 1_750_000_000, "end_time": "HUGE"},
        {"start_time": 1_750_000_000, "time_to_first_token_ms": "HUGE"},
        {"start_time": 1_750_000_000, "first_token_time": 1_740_000_000},
        {"start_time": 1_750_000_000, "end_time": 1_760_000_000},
    ]
    requests = {"successful": [*bad, good]}
    document = {"args": {}, "benchmarks": [{"requests": requests}]}
    text = json.dumps(document).replace('"HUGE"', "1e999999999")
    report, _ = take(tmp_path / "report.json", text.encode())
    assert (report.accepted, report.rejected) == ({"runs": 1}, 5)
    assert report.rejects_path is not None
    found = map(json.loads, report.rejects_path.read_text().splitlines())
    fields = [row["field"].rpartition(".")[2] for row in found]
    first = "time_to_first_token_ms"
    assert fields == ["start_time", "end_time", first, first, "wall_ns"]


@pytest.mark.parametrize("requests", [None, {}, {"successful": [], "errored": []}])
def test_an_import_that_yields_nothing_says_so_and_exits_2(tmp_path, requests, capsys):
    path = tmp_path / "report.json"
    benchmark = {"requests": requests, "run_stats": {}}
    path.write_text(json.dumps({"args": {}, "benchmarks": [benchmark]}))
    place = ["-w", str(tmp_path / "warehouse")]
    for more in ([], ["--allow-rejects"]):
        assert run_command(["ingest", str(path), *place, *more]) == 2
        said = capsys.readouterr().err
        assert "nothing was taken" in said
        assert "--sample-requests" in said


def test_a_file_without_a_row_is_no_silent_success(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n\n")
    place = ["-w", str(tmp_path / "warehouse"), "--format", "orket"]
    assert run_command(["ingest", str(path), *place]) == 2
    assert "nothing was taken: it holds no rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "holds nothing"), (b" \n\n", "holds nothing"), (bytes(4000), "only zeros")],
)
def test_a_file_of_nothing_is_called_that(tmp_path, content, said):
    path = tmp_path / "bench.md"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        ingest_file(Warehouse.open(tmp_path / "w"), path)
