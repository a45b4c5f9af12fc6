"""The llama-bench sidecar: real outputs, old versions, and programs that misbehave."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from orket.errors import UsageError
from orket.records import SidecarRow, judge, to_json
from orket.sidecars import ModelFile, run_sidecar
from orket.sidecars.bench_output import (
    BadOutput,
    BenchTest,
    detect_bench_format,
    read_bench_output,
)
from orket.sidecars.llama_bench import BenchOptions, choose_profile
from tests.places import FIXTURES

FIXTURES = FIXTURES / "llama_bench"
FORMATS = ["json", "jsonl", "csv", "md", "sql"]


def read_all(text: str) -> list[BenchTest]:
    tests = []
    for _, found in read_bench_output(text):
        assert isinstance(found, BenchTest), found
        tests.append(found)
    return tests


def refusals(text: str) -> list[tuple[int, str | None, str]]:
    return [
        (line, found.field, found.reason)
        for line, found in read_bench_output(text)
        if isinstance(found, BadOutput)
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_every_recorded_format_gives_the_same_three_tests(name):
    text = (FIXTURES / f"llama-bench.{name}").read_text(encoding="utf-8")
    assert detect_bench_format(text) == name
    tests = read_all(text)
    shapes = [(t.test, t.prompt_tokens, t.generated_tokens) for t in tests]
    assert shapes == [("pp", 256, 0), ("tg", 0, 64), ("pg", 128, 32)]
    assert {t.threads for t in tests} == {2}
    assert {t.build for t in tests} == {"0c1e570 (1)"}
    assert {t.model_type for t in tests} == {"llama ?B Q4_K - Medium"}


def test_json_keeps_the_raw_samples():
    text = (FIXTURES / "llama-bench.json").read_text(encoding="utf-8")
    first = read_all(text)[0]
    assert first.samples_ns == (7544463, 7538825, 7418136)
    assert first.mean_ns == 7500474
    assert json.loads(first.raw)["avg_ts"] == 34133.244455


def test_csv_and_sql_say_a_mean_and_no_samples():
    for name, mean_ns in (("csv", 7900678), ("sql", 10813349)):
        text = (FIXTURES / f"llama-bench.{name}").read_text(encoding="utf-8")
        first = read_all(text)[0]
        assert (first.samples_ns, first.mean_ns) == (None, mean_ns)


def test_md_says_a_rate_and_no_time():
    text = (FIXTURES / "llama-bench.md").read_text(encoding="utf-8")
    first = read_all(text)[0]
    assert (first.samples_ns, first.mean_ns) == (None, None)
    assert first.rate_milli == 30_830_180


def test_the_first_versions_are_read_too():
    md = (
        "| model | size | params | backend | ngl | test | t/s |\n"
        "| --- | ---: | ---: | --- | --: | --- | ---: |\n"
        "| llama 7B mostly Q4_0 | 3.56 GiB | 6.74 B | CUDA | 99 | pp 512 "
        "| 2368.80 ± 93.24 |\n"
        "\nbuild: 6b3ae4d (1007)\n"
    )
    (test,) = read_all(md)
    assert (test.test, test.prompt_tokens) == ("pp", 512)
    assert (test.build, test.threads) == ("6b3ae4d (1007)", None)
    sql = (
        "CREATE TABLE IF NOT EXISTS test (\n  n_prompt INTEGER\n);\n\n"
        "INSERT INTO test (build_commit, build_number, cuda, n_batch, n_threads, "
        "f16_kv, n_prompt, n_gen, test_time, avg_ns) VALUES ('3469684', '1275', '1', "
        "'512', '16', '1', '0', '128', '2023-09-23T12:09:57Z', '2325000000');\n"
    )
    (test,) = read_all(sql)
    assert (test.test, test.generated_tokens) == ("tg", 128)
    assert test.mean_ns == 2_325_000_000
    assert test.depth_tokens is None


def test_depth_is_told_apart():
    md = (
        "| model | test | t/s |\n| --- | --- | --- |\n"
        "| qwen2 7B | tg128 @ d512 | 116.71 ± 0.60 |\n"
    )
    (test,) = read_all(md)
    assert (test.test, test.depth_tokens) == ("tg", 512)


def record(**changes: object) -> str:
    fields: dict[str, object] = {"n_prompt": 8, "n_gen": 0, "avg_ns": 5000}
    return json.dumps({**fields, **changes})


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        (record(avg_ns="x"), 1, "avg_ns"),
        (record(avg_ns=-5), 1, "avg_ns"),
        (record(avg_ns=0), 1, "avg_ns"),
        (record(avg_ns=1.5), 1, "avg_ns"),
        (record(avg_ns=2**63), 1, "avg_ns"),
        (record(n_prompt=True), 1, "n_prompt"),
        (record(n_prompt=0), 1, "n_gen"),
        (record(samples_ns=[1, 0]), 1, "samples_ns"),
        (record(samples_ns=7), 1, "samples_ns"),
        (record(test_time="yesterday"), 1, "test_time"),
        (record(test_time="2026-11-23T07:25:45"), 1, "test_time"),
        (record() + "\n" + '{"n_prompt": NaN}', 2, "n_prompt"),
        (record() + "\n" + '{"n_prompt": 1, "n_prompt": 2}', 2, None),
        (record() + "\n" + '{"n_prompt": 1, "n_g', 2, None),
        ("[\n", 2, None),
        ("[3]", 1, None),
        ("build_commit,n_prompt,n_gen,avg_ns\nabc,1,0\n", 2, None),
        ("| model | test | t/s |\n| m | pp512 | 0.00 ± 0.00 |", 2, "t/s"),
        ("| model | test | t/s |\n| m | pp512 | nan |", 2, "t/s"),
        ("| model | test | t/s |\n| m | xx512 | 1.0 |", 2, "test"),
        ("INSERT INTO test (n_prompt) VALUES ('it's')", 1, None),
    ],
)
def test_what_is_no_test_is_refused_with_line_and_field(text, line, field):
    (refused,) = refusals(text)
    assert refused[:2] == (line, field)


def test_a_damaged_line_does_not_take_the_next_one_along():
    text = f"{record()}\n{{broken\n{record(n_prompt=16)}\n"
    found = [item for _, item in read_bench_output(text)]
    kinds = [type(item).__name__ for item in found]
    assert kinds == ["BenchTest", "BadOutput", "BenchTest"]


def test_other_text_is_no_output_of_llama_bench():
    with pytest.raises(BadOutput, match="not output of llama-bench"):
        list(read_bench_output("Segmentation fault\n"))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "demo-Q4_K_M.gguf"
    path.write_bytes(b"GGUF")
    return ModelFile("demo", "Q4_K_M", path)


def fake_bench(folder: Path, body: str) -> Path:
    """A program that stands in for llama-bench."""
    program = folder / "fake-llama-bench"
    program.write_text(f"#!{sys.executable}\nimport sys, time, os\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def printing(path: Path) -> str:
    return f"sys.stdout.write(open({str(path)!r}).read())"


def run_one(model, program, **options) -> list[SidecarRow]:
    rows = run_sidecar(
        [model],
        "sweep-1",
        binary=program,
        profile="cpu",
        options=BenchOptions(**options),
    )
    for row in rows:
        judge(SidecarRow, to_json(row))
    return rows


pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fakes are Unix scripts")


def test_good_output_becomes_one_row_per_test(tmp_path, model):
    program = fake_bench(tmp_path, printing(FIXTURES / "llama-bench.json"))
    rows = run_one(model, program)
    assert [(row.status, row.test) for row in rows] == [
        ("OK", "pp"),
        ("OK", "tg"),
        ("OK", "pg"),
    ]
    first = rows[0]
    assert first.samples_ns == [7544463, 7538825, 7418136]
    assert (first.model_id, first.quant_tag, first.profile) == ("demo", "Q4_K_M", "cpu")
    assert first.raw is not None and "cpu_info" in first.raw
    assert first.telemetry is None


def test_the_program_is_asked_for_json_on_this_file(tmp_path, model):
    program = fake_bench(tmp_path, "print(sys.argv[1:], file=sys.stderr); sys.exit(1)")
    two_threads = ModelFile(model.model_id, model.quant_tag, model.path, threads=2)
    (row,) = run_one(two_threads, program, prompt_tokens=16)
    assert row.error_message == (
        f"exit code 1: ['-m', '{model.path}', '-o', 'json', '-p', '16', '-n', '128', "
        "'-r', '5', '-ngl', '0', '-t', '2']"
    )


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("print('hello')", "UNPARSEABLE", "not output of llama-bench"),
        ("pass", "UNPARSEABLE", "not output of llama-bench"),
        ("print('[]')", "UNPARSEABLE", "no test in the output"),
        ("print('[')", "UNPARSEABLE", "cut short"),
        (
            'print(\'[{"n_prompt": 1, "n_gen": 0, "avg_ns": 0}]\')',
            "UNPARSEABLE",
            "avg_ns: neither samples nor a mean time above 0 (line 1)",
        ),
        ("sys.stdout.buffer.write(bytes(range(256)) * 9)", "UNPARSEABLE", "not output"),
        (
            "print('[')\nprint('error: failed to load', file=sys.stderr)\nsys.exit(1)",
            "FAILED",
            "exit code 1: error: failed to load",
        ),
        ("os.kill(os.getpid(), 11)", "FAILED", "ended by signal 11"),
    ],
)
def test_a_misbehaving_program_is_a_status_and_no_figure(
    tmp_path, model, body, status, message
):
    (row,) = run_one(model, fake_bench(tmp_path, body))
    assert row.status == status
    assert row.error_message is not None and message in row.error_message
    assert (row.samples_ns, row.mean_ns, row.rate_milli) == (None, None, None)


def test_a_hanging_program_is_ended_with_its_children(tmp_path, model):
    body = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '99'])"
        f"\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\ntime.sleep(99)"
    )
    (row,) = run_one(model, fake_bench(tmp_path, body), timeout_seconds=1.0)
    assert row.status == "TIMEOUT"
    assert row.error_message == "no end within 1 s"
    assert is_gone(int((tmp_path / "pid").read_text()))


def is_gone(pid: int) -> bool:
    """Whether the process ended; its new parent may take a moment to collect it."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            state = "?"
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_flood_of_output_neither_blocks_nor_fills_memory(tmp_path, model):
    body = "for _ in range(400): sys.stdout.write('x' * 65536)"
    (row,) = run_one(model, fake_bench(tmp_path, body))
    assert row.status == "UNPARSEABLE"


def test_a_missing_program_is_a_status(tmp_path, model):
    (row,) = run_one(model, tmp_path / "nothing-here")
    assert row.status == "MISSING_BINARY"
    assert row.error_message is not None and "nothing-here" in row.error_message


def test_a_missing_name_on_path_is_a_status(monkeypatch, tmp_path, model):
    monkeypatch.setenv("PATH", str(tmp_path))
    (row,) = run_one(model, None)
    assert (row.status, row.error_message) == (
        "MISSING_BINARY",
        "no llama-bench on PATH",
    )


def test_a_file_that_is_no_program_is_a_status(tmp_path, model):
    program = tmp_path / "fake"
    program.write_bytes(b"\x7fnot a program")
    program.chmod(0o755)
    (row,) = run_one(model, program)
    assert row.status == "FAILED"
    assert row.error_message is not None and "cannot be started" in row.error_message


def test_a_model_without_a_file_is_a_status_and_the_others_go_on(tmp_path, model):
    program = fake_bench(tmp_path, printing(FIXTURES / "llama-bench.json"))
    gone = ModelFile("demo", "Q8_0", tmp_path / "gone.gguf")
    remote = ModelFile("demo", "F16", None)
    told: list[str] = []
    rows = run_sidecar(
        [gone, remote, model],
        "s",
        binary=program,
        profile="cpu",
        announce=told.append,
    )
    assert [row.status for row in rows] == ["FAILED", "FAILED", "OK", "OK", "OK"]
    assert told == [
        "llama-bench on demo Q8_0",
        "llama-bench on demo F16",
        "llama-bench on demo Q4_K_M",
    ]


def test_gpu_tools_are_kept_raw_before_and_after(monkeypatch, tmp_path, model):
    smi = fake_bench(tmp_path, "print('index, name'); print('0, Fake GPU')")
    smi.rename(tmp_path / "nvidia-smi")
    bench = fake_bench(tmp_path, printing(FIXTURES / "llama-bench.json"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert choose_profile("auto").name == "nvidia"
    rows = run_sidecar([model], "s", binary=bench, profile="nvidia")
    assert rows[0].telemetry is not None
    sample = {
        "tool": "nvidia-smi",
        "exit_code": 0,
        "output": "index, name\n0, Fake GPU\n",
    }
    assert json.loads(rows[0].telemetry) == {"before": [sample], "after": [sample]}


def test_a_failing_gpu_tool_harms_nothing(monkeypatch, tmp_path, model):
    smi = fake_bench(tmp_path, "print('no devices', file=sys.stderr); sys.exit(6)")
    smi.rename(tmp_path / "rocm-smi")
    bench = fake_bench(tmp_path, printing(FIXTURES / "llama-bench.json"))
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = run_sidecar([model], "s", binary=bench, profile="amd")
    assert [row.status for row in rows] == ["OK"] * 3
    assert rows[0].telemetry is not None
    before = json.loads(rows[0].telemetry)["before"]
    assert before == [{"tool": "rocm-smi", "exit_code": 6, "error": "no devices"}]


def test_without_gpu_tools_the_profile_is_cpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose_profile("auto").name == "cpu"


def test_an_unknown_profile_is_refused():
    with pytest.raises(UsageError, match="no sidecar profile 'tpu'"):
        run_sidecar([], "s", profile="tpu")
