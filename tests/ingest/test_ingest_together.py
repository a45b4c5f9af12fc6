"""Result files of several quants of one model become one sweep with an answer."""

from __future__ import annotations

import json
import shutil
import sys
import tracemalloc
import zipfile

import pytest

from orket.cli.main import run_command
from orket.ingest.importer import ingest_file
from orket.ingest.origin import SourceOptions
from orket.warehouse import Warehouse

TASKS = 30


def lm_eval(folder, model, day, wrong=(), tasks=range(TASKS), **changes):
    """What lm-eval writes for a model in a folder: the file of samples."""
    folder.mkdir(parents=True, exist_ok=True)
    date = f"2026-01-{day:02}T12-00-00.1"
    results = {
        "results": {},
        "configs": {},
        "config": {"model": "hf", "model_args": f"pretrained=org/{model}"},
        "model_source": "hf",
        "date": 1767614400.0 + day,
    }
    (folder / f"results_{date}.json").write_text(json.dumps(results))
    path = folder / f"samples_gsm8k_{date}.jsonl"
    samples = [
        {
            "doc_id": task,
            "target": str(task),
            "arguments": {"gen_args_0": {"arg_0": "?", "arg_1": {"until": ["\n"]}}},
            "resps": [[f"It is {task + (task in wrong)}."]],
            "filtered_resps": [str(task)],
            "filter": "none",
            "metrics": ["exact_match"],
            "doc_hash": f"doc-{task}",
            "prompt_hash": f"prompt-{task}",
            "exact_match": float(task not in wrong),
            **changes,
        }
        for task in tasks
    ]
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return path


def inspect_sample(task, is_right, epoch=1, **changes):
    """One sample of a log of Inspect."""
    return {
        "id": f"q{task}",
        "epoch": epoch,
        "input": f"What is {task}?",
        "target": str(task),
        "messages": [],
        "output": {
            "model": "m",
            "choices": [
                {
                    "message": {
                        "role": "assistant",
                        "content": [
                            {"type": "reasoning", "reasoning": "hm"},
                            {"type": "text", "text": f"{task if is_right else 'no'}"},
                        ],
                    },
                    "stop_reason": "max_tokens",
                }
            ],
            "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13},
            "time": 1.5,
        },
        "scores": {"match": {"value": "C" if is_right else "I", "answer": "x"}},
        **changes,
    }


def inspect_header(model, run):
    """What a log of Inspect says of the whole."""
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": run,
            "run_id": run,
            "created": "2026-03-01T10:00:00+00:00",
            "task": "inspect_evals/arith",
            "model": model,
            "packages": {"inspect_ai": "0.3.150"},
        },
        "plan": {"name": "plan", "steps": []},
    }


def inspect_eval(path, model, run, wrong=(), compression=zipfile.ZIP_DEFLATED):
    """The same as the archive that Inspect writes."""
    with _zip_writer(path, compression) as archive:
        header = inspect_header(model, run)
        archive.writestr("_journal/start.json", json.dumps(header))
        for task in range(TASKS):
            sample = inspect_sample(task, task not in wrong)
            archive.writestr(f"samples/q{task}_epoch_1.json", json.dumps(sample))
        archive.writestr("summaries.json", "[]")
        archive.writestr("header.json", json.dumps(header))
    return path


def _zip_writer(path, compression):
    if compression == 93 and sys.version_info < (3, 14):
        from backports.zstd import zipfile as with_zstd

        return with_zstd.ZipFile(path, "w", compression)
    return zipfile.ZipFile(path, "w", compression)


def promptfoo_cell(provider, task, passed, **changes):
    """One cell of promptfoo's table."""
    return {
        "promptIdx": 0,
        "testIdx": task,
        "promptId": "p1",
        "provider": provider,
        "prompt": {"raw": f"Say {task}", "label": "Say {{n}}"},
        "vars": {"n": task},
        "testCase": {
            "vars": {"n": task},
            "description": f"says {task}",
            "assert": [{"type": "contains", "value": str(task)}],
        },
        "response": {
            "output": f"{task}" if passed else "no",
            "tokenUsage": {"total": 12, "prompt": 8, "completion": 4},
            "cached": False,
        },
        "success": passed,
        "score": int(passed),
        "failureReason": 0 if passed else 1,
        "latencyMs": 540,
        **changes,
    }


def promptfoo(path, cells):
    """The file of `promptfoo eval -o`."""
    summary = {"version": 3, "timestamp": "2026-02-01T10:00:00Z", "results": cells}
    document = {
        "evalId": "eval-1",
        "results": {**summary, "prompts": [], "stats": {"successes": 0}},
        "config": {},
        "shareableUrl": None,
        "metadata": {"promptfooVersion": "0.121.0"},
    }
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def orket(tmp_path, capsys):
    """Run a verb on a fresh warehouse: exit code, stdout, stderr."""
    folder = tmp_path / "warehouse"

    def call(*args):
        code = run_command([*map(str, args), "-w", str(folder)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    call.store = Warehouse.open(folder)  # type: ignore[attr-defined]
    return call


def read(store, query):
    with store.session() as session:
        return session.rows(query)


ASKED = (
    "SELECT quant_tag, runs.passed, is_eligible FROM v1.frontier INNER JOIN (SELECT "
    "sweep_id, quant_tag, count(*) FILTER (WHERE checks_passed = checks_total) AS "
    "passed FROM v1.runs GROUP BY ALL) AS runs USING (sweep_id, quant_tag) ORDER BY 1"
)


def test_lm_eval_files_of_three_quants_are_one_sweep_with_an_answer(tmp_path, orket):
    full = lm_eval(tmp_path / "fp16", "demo-7b", 5, wrong={3})
    half = lm_eval(tmp_path / "q8", "demo-7b-Q8_0", 6, wrong={4})
    small = lm_eval(tmp_path / "q3", "demo-7b-Q3_K_S", 7, wrong=set(range(12)))
    named = f"{tmp_path / 'fp16'}=F16"
    code, _, err = orket("ingest", full, half, small, "--quant", named)
    (sweep,) = orket.store.sweep_ids()
    (told,) = err.splitlines()
    assert (code, told.partition(";")[0]) == (
        0,
        f"orket: 3 files became one comparison, sweep {sweep}",
    )
    rows = read(orket.store, ASKED)
    assert [tuple(row.values()) for row in rows] == [
        ("F16", 29, True),
        ("Q3_K_S", 18, False),
        ("Q8_0", 29, True),
    ]
    (manifest,) = read(orket.store, "SELECT * FROM v1.manifest")
    assert (manifest["kind"], len(manifest["plan"])) == ("INGEST", 3 * TASKS)
    assert manifest["models"][0]["provider"] == "lm-eval:hf"
    _, shown, _ = orket("show", "latest")
    assert "Answers alone were judged, as by --quality-only: nothing is said" in shown
    assert "Q3_K_S" in shown
    _, why, _ = orket("why", "Q3_K_S")
    assert "it loses 11 of the 29 tasks that F16 passes" in why
    assert "lm-eval:gsm8k/0" in why
    _, report, _ = orket("report", "latest", "--format", "md", "-o", "-")
    assert "demo-7b" in report
    # The same files once more, in another order, are the same sweep and rows.
    again = orket("ingest", small, full, half, full, "--quant", named)
    assert again[0] == 0
    assert "the same as" in again[2]
    assert orket.store.sweep_ids() == [sweep]
    assert read(orket.store, ASKED) == rows


def test_everything_that_lm_eval_left_in_its_folders_may_be_given(tmp_path, orket):
    for day, model in ((5, "demo-7b-Q8_0"), (6, "demo-7b-Q2_K")):
        lm_eval(tmp_path / model, model, day)
    files = sorted(tmp_path.glob("demo-*/*"))
    code, out, err = orket("ingest", *files)
    assert code == 0
    assert err.count("read for what it says of the samples beside it") == 2
    assert out.count(f",lm-eval,{TASKS},") == 2
    # Without its samples it is what it always was: sums alone.
    (sums, *_) = tmp_path.glob("demo-7b-Q2_K/results_*")
    code, _, err = orket("ingest", sums)
    assert code == 2
    assert "--log_samples" in err


def test_what_no_other_quant_was_asked_is_left_out_and_told(tmp_path, orket):
    one = lm_eval(tmp_path, "demo-7b-Q8_0", 5)
    two = lm_eval(tmp_path, "demo-7b-Q4_K_M", 6, tasks=range(2, TASKS + 1))
    _, _, err = orket("ingest", one, two)
    first, second, _ = err.splitlines()
    assert "2 tests are not in the files of every quant and left out" in first
    assert "lm-eval:gsm8k/0, lm-eval:gsm8k/1" in first
    assert (
        f"1 test is not in the files of every quant and left out: lm-eval:gsm8k/{TASKS}"
        in second
    )
    (counted,) = read(orket.store, "SELECT len(tasks) AS tasks FROM v1.manifest")
    assert counted["tasks"] == TASKS - 2


def test_a_test_put_in_other_words_is_told_and_another_question_is_refused(
    tmp_path, orket
):
    one = lm_eval(tmp_path / "1", "demo-7b-Q8_0", 5)
    other = lm_eval(tmp_path / "2", "demo-7b-Q4_K_M", 6, prompt_hash="another")
    unlike = lm_eval(tmp_path / "3", "demo-7b-Q2_K", 7, doc_hash="another")
    _, _, err = orket("ingest", one, other)
    assert f"{TASKS} of {TASKS} tests were asked with another prompt" in err
    code, _, err = orket("ingest", one, unlike)
    assert code == 2
    assert "lm-eval:gsm8k/0 asks something else in" in err
    assert str(one) in err
    assert str(unlike) in err
    assert len(orket.store.sweep_ids()) == 1


def test_two_files_that_claim_one_quant_are_refused_by_name(tmp_path, orket):
    one = lm_eval(tmp_path, "demo-7b-Q8_0", 5)
    again = lm_eval(tmp_path, "demo-7b-Q8_0", 6, wrong={1})
    other = lm_eval(tmp_path, "demo-7b-Q4_K_M", 7)
    code, _, err = orket("ingest", one, again, other)
    assert code == 2
    assert f"{one} and {again} both claim to be Q8_0 of demo-7b" in err
    assert orket.store.sweep_ids() == []
    # Two tasks of one evaluation are no two claims.
    arc = one.with_name(one.name.replace("gsm8k", "arc"))
    arc.write_bytes(one.read_bytes() + b"\n")
    far = other.with_name(other.name.replace("gsm8k", "arc"))
    far.write_bytes(other.read_bytes() + b"\n")
    assert orket("ingest", one, arc, other, far)[0] == 0
    (counted,) = read(orket.store, "SELECT len(tasks) AS tasks FROM v1.manifest")
    assert counted["tasks"] == 2 * TASKS


@pytest.mark.parametrize(
    ("quants", "told"),
    [
        ((), "does not say which quant it is of: say it with --quant"),
        (("nowhere=F16",), "no file, folder or model is called nowhere"),
        (("F16", "Q8_0"), "are both said of all files"),
        (("=F16",), "give NAME=TAG"),
        (("a=F16", "a=Q8_0"), "says two quants of a"),
    ],
)
def test_a_quant_that_is_not_said_or_said_wrong_is_one_line(
    tmp_path, orket, quants, told
):
    one = lm_eval(tmp_path, "demo-7b", 5)
    two = lm_eval(tmp_path, "demo-7b-Q8_0", 6)
    options = [part for quant in quants for part in ("--quant", quant)]
    code, _, err = orket("ingest", one, two, *options)
    assert code == 2
    assert told in err
    assert len(err.splitlines()) == 1


def test_quants_of_several_models_are_refused_unless_they_are_one(tmp_path, orket):
    one = lm_eval(tmp_path, "demo-7b-it", 5)
    two = lm_eval(tmp_path, "Demo-7B-Instruct", 6)
    named = ("--quant", f"{one.name}=BF16", "--quant", f"{two}=Q4_0")
    code, _, err = orket("ingest", one, two, *named)
    assert code == 2
    assert "of several models (Demo-7B-Instruct, demo-7b-it)" in err
    assert orket("ingest", one, two, *named, "--model", "demo")[0] == 0
    rows = read(orket.store, ASKED)
    assert [row["quant_tag"] for row in rows] == ["BF16", "Q4_0"]


def test_files_of_one_quant_keep_the_sweep_they_always_had(tmp_path, orket):
    one = lm_eval(tmp_path, "demo-7b-Q8_0", 5)
    other = lm_eval(tmp_path, "else-7b-Q8_0", 6)
    orket("ingest", one, other)
    together = orket.store.sweep_ids()
    alone = Warehouse.open(tmp_path / "alone")
    for path in (one, other):
        ingest_file(alone, path)
    assert together == alone.sweep_ids()
    assert all(name.startswith("lm-eval-") for name in together)


def test_inspect_logs_as_archives_and_as_json_are_one_sweep(tmp_path, orket):
    full = inspect_eval(tmp_path / "a.eval", "hf/org/demo-7b-BF16", "r1", {3})
    packed = inspect_eval(
        tmp_path / "b.eval", "ollama/demo-7b:q4_K_M", "r2", {3}, compression=93
    )
    log = inspect_header("vllm/demo-7b", "r3")
    log["samples"] = [
        inspect_sample(task, task > 14, scores={"match": {"value": "P"}})
        if task == 15
        else inspect_sample(task, task > 14)
        for task in range(TASKS)
    ]
    log["samples"][0] |= {"error": {"message": "it broke\nbadly"}, "scores": None}
    plain = tmp_path / "c.json"
    plain.write_text(json.dumps(log, indent=2))
    code, out, err = orket("ingest", full, packed, plain, "--quant", f"{plain}=Q2_K")
    (told,) = err.splitlines()
    assert code == 0 and "3 files became one comparison" in told
    assert out.count(",inspect,30,") == 3
    rows = read(orket.store, ASKED)
    assert [(row["quant_tag"], row["passed"]) for row in rows] == [
        ("BF16", 29),
        ("Q2_K", 14),
        ("Q4_K_M", 29),
    ]
    (manifest,) = read(orket.store, "SELECT * FROM v1.manifest")
    assert manifest["models"][0]["model_id"] == "demo-7b"
    (run,) = read(
        orket.store,
        "SELECT * FROM v1.attempts WHERE quant_tag = 'Q2_K' AND test_id LIKE '%/q20'",
    )
    assert run["test_id"] == "inspect:inspect_evals.arith/q20"
    assert (run["answer_text"], run["stop_reason"]) == ("20", "length")
    assert (run["prompt_tokens"], run["completion_tokens"]) == (9, 4)
    assert (run["wall_ns"], run["decode_ns"]) == (None, None)
    (broken,) = read(
        orket.store,
        "SELECT outcome, error_class, error_message, checks_total FROM v1.attempts "
        "WHERE error_class IS NOT NULL",
    )
    assert broken == {
        "outcome": "FAILED",
        "error_class": "INSPECT_ERROR",
        "error_message": "it broke",
        "checks_total": None,
    }
    assert "Q4_K_M" in orket("show")[1]


def test_epochs_of_inspect_are_repetitions_and_odd_scores_no_verdict(tmp_path):
    log = inspect_header("hf/demo-Q8_0", "r1")
    log["samples"] = [
        inspect_sample(1, True, epoch=1),
        inspect_sample(1, False, epoch=2),
        inspect_sample(2, True, scores={"n": {"value": 37}, "t": {"value": "long"}}),
        inspect_sample(3, True, scores={"a": {"value": 0.25}, "b": {"value": True}}),
        {"epoch": 1},
        inspect_sample(
            4,
            True,
            output={
                "choices": [{"message": {"content": "attachment://abc"}}],
            },
            attachments={"abc": "the answer"},
        ),
    ]
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    warehouse = Warehouse.open(tmp_path / "warehouse")
    report = ingest_file(warehouse, path)
    assert (report.format, report.rejected) == ("inspect", 1)
    assert report.first_rejection is not None
    assert report.first_rejection.field == "samples[4].id"
    rows = read(
        warehouse,
        "SELECT test_id, repetition, checks_passed, checks_total, answer_text "
        "FROM v1.attempts ORDER BY ALL",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("inspect:inspect_evals.arith/q1", 1, 1_000_000, 1_000_000, "1"),
        ("inspect:inspect_evals.arith/q1", 2, 0, 1_000_000, "no"),
        ("inspect:inspect_evals.arith/q2", 1, None, None, "2"),
        ("inspect:inspect_evals.arith/q3", 1, 1_250_000, 2_000_000, "3"),
        ("inspect:inspect_evals.arith/q4", 1, 1_000_000, 1_000_000, "the answer"),
    ]


def test_a_figure_that_inspect_does_not_have_costs_no_log(tmp_path):
    log = inspect_header("hf/demo-Q8_0", "r1")
    log["eval"]["created"] = "2024-05-05T07:59:35"
    log["results"] = {"scores": [{"metrics": {"std": {"value": float("nan")}}}]}
    log["samples"] = [inspect_sample(1, True, scores={"s": {"value": float("nan")}})]
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    warehouse = Warehouse.open(tmp_path / "warehouse")
    assert ingest_file(warehouse, path).accepted == {"runs": 1}
    (row,) = read(warehouse, "SELECT checks_total, answer_text FROM v1.attempts")
    assert row == {"checks_total": None, "answer_text": "1"}


@pytest.mark.parametrize("content", [b"PK\x03\x04 no archive", b""])
def test_a_damaged_archive_is_one_rejection(tmp_path, content):
    path = tmp_path / "log.eval"
    path.write_bytes(content or _archive_without_header(path))
    report = ingest_file(Warehouse.open(tmp_path / "warehouse"), path)
    assert (report.format, report.accepted, report.rejected) == ("inspect", {}, 1)


def _archive_without_header(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samples/1_epoch_1.json", "{}")
    return path.read_bytes()


def refusal_of_bomb(path, *sizes: int, said: int | None = None) -> str:
    """Why a log is refused with samples that unpack to these sizes; MiB.

    `said` is what the archive claims of each instead, bytes.
    """
    inspect_eval(path, "hf/demo-Q8_0", "r")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for number, size in enumerate(sizes):
            name = f"samples/big{number}_epoch_1.json"
            with archive.open(name, "w", force_zip64=True) as entry:
                for _ in range(size):
                    entry.write(bytes(1 << 20))
            if said is not None:
                archive.getinfo(name).file_size = said
    tracemalloc.start()
    report = ingest_file(Warehouse.open(path.parent / "warehouse"), path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.first_rejection is not None and not report.accepted
    assert most < 32 << 20
    return report.first_rejection.reason


def test_an_archive_that_unpacks_to_more_than_there_may_be_is_not_unpacked(
    tmp_path, monkeypatch
):
    path = tmp_path / "log.eval"
    assert "big0_epoch_1.json is larger than 256 MiB" in refusal_of_bomb(path, 300)
    monkeypatch.setattr("orket.ingest.inspect_ai._MOST_BYTES_IN_ALL", 100 << 20)
    assert "it unpacks to more than 100 MiB" in refusal_of_bomb(path, 60, 60)
    # One that says to be small is read so far, and does not fit its checksum.
    assert "the archive is damaged" in refusal_of_bomb(path, 300, said=1000)


def test_providers_of_one_promptfoo_file_are_quants_of_one_sweep(tmp_path, orket):
    big = {"id": "ollama:chat:demo:7b-instruct-q8_0"}
    small = {"id": "openai:chat:demo:7b-instruct", "label": "Q2_K"}
    cells = [promptfoo_cell(big, task, True) for task in range(TASKS)]
    cells += [promptfoo_cell(small, task, task > 9) for task in range(TASKS)]
    cells[0]["response"]["cached"] = True
    cells[1] |= {"failureReason": 2, "error": "ECONNREFUSED\nat x", "success": False}
    cells[1]["response"] = {"error": "ECONNREFUSED"}
    path = promptfoo(tmp_path / "results.json", cells)
    code, _, err = orket("ingest", path)
    assert (code, err) == (0, "")
    rows = read(orket.store, ASKED)
    assert [tuple(row.values())[:2] for row in rows] == [("Q2_K", 20), ("Q8_0", 29)]
    runs = read(
        orket.store,
        "SELECT test_id, outcome, error_message, wall_ns, completion_tokens "
        "FROM v1.attempts WHERE quant_tag = 'Q8_0' ORDER BY order_index LIMIT 3",
    )
    cached, failed, plain = runs
    assert cached["wall_ns"] is None
    assert (failed["outcome"], failed["error_message"]) == ("FAILED", "ECONNREFUSED")
    assert (plain["wall_ns"], plain["completion_tokens"]) == (540_000_000, 4)
    assert plain["test_id"].startswith("promptfoo/says-2-")
    assert "it loses 9 of" in orket("why", "Q2_K")[1]


def test_promptfoo_files_are_paired_by_what_a_test_says(tmp_path, orket):
    big, small = "ollama:demo:7b-q8_0", "ollama:demo:7b"
    one = promptfoo(
        tmp_path / "a.json", [promptfoo_cell(big, n, True) for n in range(TASKS)]
    )
    # Filtered and in another order: the places of the tests are others.
    lines = [
        json.dumps(promptfoo_cell(small, n, n > 3) | {"testIdx": TASKS - n})
        for n in reversed(range(1, TASKS))
    ]
    two = tmp_path / "b.jsonl"
    two.write_text("\n".join(lines))
    code, _, err = orket("ingest", one, two, "--quant", f"{small}=Q4_0")
    assert code == 0
    assert "1 test is not in the files of every quant" in err
    rows = read(orket.store, ASKED)
    assert [tuple(row.values())[:2] for row in rows] == [("Q4_0", 26), ("Q8_0", 29)]


def test_guidellm_reports_of_two_quants_are_one_sweep_of_times(tmp_path, orket):
    def report(name, model, seconds):
        request = {
            "request_id": "r",
            "request_args": "{}",
            "output": "text",
            "prompt_tokens": 8,
            "output_tokens": 16,
            "start_time": 1767614400.0,
            "end_time": 1767614400.0 + seconds,
            "first_token_time": 1767614400.25,
        }
        document = {
            "args": {"model": model},
            "metadata": {"guidellm_version": "0.3.0"},
            "benchmarks": [
                {
                    "args": {"strategy": {"type_": "synchronous"}},
                    "requests": {"successful": [request], "errored": []},
                }
            ],
        }
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    one = report("a.json", "org/demo-7b-Q8_0", 4)
    two = report("b.json", "org/demo-7b-Q4_K_M", 2)
    assert orket("ingest", one, two)[0] == 0
    (sweep,) = orket.store.sweep_ids()
    walls = read(orket.store, "SELECT quant_tag, wall_ns FROM v1.runs ORDER BY 1")
    assert [tuple(row.values()) for row in walls] == [
        ("Q4_K_M", 2_000_000_000),
        ("Q8_0", 4_000_000_000),
    ]
    # It judged no answer: there is nothing to choose by, and that is what is said.
    (policy,) = read(orket.store, "SELECT DISTINCT quality_only FROM v1.policy")
    assert policy["quality_only"] is False
    assert "No recommendation" in orket("show", sweep)[1]


def test_two_imported_comparisons_stand_side_by_side(tmp_path, orket):
    sweeps: list[str] = []
    for number, wrong in enumerate((set(), set(range(15)))):
        folder = tmp_path / str(number)
        paths = [
            lm_eval(folder, "demo-7b-Q8_0", 5 + 2 * number),
            lm_eval(folder, "demo-7b-Q4_0", 6 + 2 * number, wrong=wrong),
        ]
        code, _, err = orket("ingest", *paths)
        assert code == 0
        assert ("is it another quant?" in err) == (not wrong)
        sweeps += set(orket.store.sweep_ids()) - set(sweeps)
    code, out, _ = orket("diff", *sweeps)
    assert code == 4
    assert "Q4_0" in out


def test_a_name_of_a_file_goes_before_that_of_a_folder(tmp_path):
    quants = (("runs", "F16"), ("a.json", "Q8_0"), ("openai:x", "Q2_K"))
    options = SourceOptions(quant_tag="Q4_0", quants=quants)
    path = tmp_path / "runs" / "a.json"
    assert options.naming(path).quant_tag == "Q8_0"
    assert options.naming(path, None, "openai:x").quant_tag == "Q2_K"
    assert options.naming(tmp_path / "b.json").quant_tag == "Q4_0"
    folder = (("x/runs", "F16"),)
    from pathlib import Path

    named = SourceOptions(quants=folder)
    assert named.naming(Path("x/runs/deep/b.json")).quant_tag == "F16"
    assert named.used == {"x/runs"}


@pytest.mark.parametrize("name", ["r.md", "r.html"])
def test_a_report_of_what_was_imported_offers_no_run(tmp_path, name):
    pytest.importorskip("altair")
    store = str(tmp_path / "w")
    files = [
        str(lm_eval(tmp_path / tag, f"X-{tag}", day))
        for day, tag in enumerate(("F16", "Q4_K_M"), start=1)
    ]
    assert run_command(["ingest", *files, "-w", store]) == 0
    page = tmp_path / name
    assert run_command(["report", "-w", store, "-o", str(page)]) == 0
    text = page.read_text()
    assert "orket ingest --format lm-eval FILE..." in text
    assert "orket run" not in text


def test_an_import_that_says_no_quant_says_so_and_can_be_taken_out(tmp_path, orket):
    file = lm_eval(tmp_path / "a", "demo-7b", 5)
    code, _, err = orket("ingest", file)
    (unknown,) = orket.store.sweep_ids()
    place = orket.store.place
    assert code == 0
    assert f"warning: {file} does not say its quant: its rows stand under" in err
    assert f"with --quant TAG, once the folders {place}/*/sweep_id={unknown} are" in err
    # As it is told: nothing of it is left, and nobody misses it.
    for folder in orket.store.path.glob(f"*/sweep_id={unknown}"):
        shutil.rmtree(folder)
    code, _, err = orket("ingest", file, "--quant", "Q6_K")
    assert (code, err) == (0, "")
    (known,) = orket.store.sweep_ids()
    assert known != unknown
    assert [row["quant_tag"] for row in read(orket.store, ASKED)] == ["Q6_K"]
    assert orket("verify")[0] == 0
    code, told, _ = orket("sweeps", "--format", "json")
    assert [row["sweep_id"] for row in json.loads(told)] == [known]


def test_what_is_there_already_is_not_said_to_have_become_anything(tmp_path, orket):
    files = [
        lm_eval(tmp_path / tag, f"X-{tag}", day)
        for day, tag in enumerate(("F16", "Q4_K_M"), start=1)
    ]
    assert "2 files became one comparison" in orket("ingest", *files)[2]
    code, _, err = orket("ingest", *files)
    (sweep,) = orket.store.sweep_ids()
    assert code == 0 and "became" not in err
    assert f"there already: nothing is new, sweep {sweep}; next: orket show" in err
    assert err.count(f"0 new of {TASKS}: all of them are there already") == 2


def test_a_comparison_is_named_with_what_shows_it(tmp_path, capsys, monkeypatch):
    store = str(tmp_path / "w")
    files = [
        str(lm_eval(tmp_path / tag, f"X-{tag}", day))
        for day, tag in enumerate(("F16", "Q4_K_M"), start=1)
    ]
    monkeypatch.setattr("orket.cli.output.is_terminal", lambda: True)
    assert run_command(["ingest", *files, "-w", store]) == 0
    shown = capsys.readouterr()
    (sweep_id,) = Warehouse.open(store).sweep_ids()
    said = (
        f"2 files became one comparison, sweep {sweep_id}; next: orket show {sweep_id}"
    )
    assert said in " ".join(shown.err.split())
    assert "runs" in shown.out
    # A column of zeros tells a person nothing.
    assert "sidecars" not in shown.out and "rejected" not in shown.out
    assert run_command(["ingest", files[0], "-w", str(tmp_path / "one")]) == 0
    assert "comparison" not in capsys.readouterr().err
