"""Plans: the order of runs, their identity, and a hash of all that matters."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.errors import UsageError
from orket.planning.identity import (
    NONCE_LETTERS,
    attempt_id,
    make_nonce,
    new_sweep_id,
    prompt_hash,
)
from orket.planning.plan import CANARY_ONLY, DETERMINISM, build_plan
from orket.planning.preset import (
    Change,
    known_presets,
    load_preset,
    load_profile,
    override,
)
from orket.planning.readiness import (
    list_missing,
    warn_of_context,
    warn_of_copies,
)
from orket.planning.schedule import CanaryCell, PlannedModel, build_schedule
from orket.planning.targets import Target, resolve_target
from orket.policy import build_policy
from orket.providers.contract import ModelRef
from orket.quants import ollama_spelling
from orket.records import Controls, Policy, TaskEntry
from tests.live import demo_gguf
from tests.places import FIXTURES, ROOT

PRESET = """schema_version = 1
title = "Small"
repetitions = 3

[provider]
name = "embedded"
url = "{url}"

[[models]]
id = "m"
quants = ["F16", "Q4_K_M", "Q2_K"]
[models.names.embedded]
file = "{folder}/m-{{quant}}.gguf"

[tasks]
bank = "quickstart"
limit = 6

[labels]
lane = "{label}"
"""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def make(tmp_path):
    """Builds the plan of PRESET with some things changed."""

    def make_plan(*changes: Change, folder: str = "weights", label="a", url="u", **how):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for quant in ("F16", "Q4_K_M", "Q2_K"):
            file = place / f"m-{quant}.gguf"
            if not file.exists():
                file.write_bytes(quant.encode())
        path = tmp_path / f"preset-{folder}-{label}.toml"
        path.write_text(PRESET.format(folder=place, label=label, url=url))
        preset = override(load_preset(str(path)), changes)
        return build_plan(preset, "sweep-1", **how)

    return make_plan


def test_every_second_repetition_comes_from_the_other_end(make):
    runs = make().runs
    visits = [
        next(run for run in block if run.phase == "matrix")
        for _, block in (
            (index, list(group))
            for index, group in groupby(
                (run for run in runs if run.block_index > 0),
                key=lambda run: run.block_index,
            )
        )
    ]
    order = [(run.repetition, run.quant_tag) for run in visits]
    assert order == [
        (1, "F16"),
        (1, "Q4_K_M"),
        (1, "Q2_K"),
        (2, "Q2_K"),
        (2, "Q4_K_M"),
        (2, "F16"),
        (3, "F16"),
        (3, "Q4_K_M"),
        (3, "Q2_K"),
    ]


def test_grouped_order_finishes_a_quant_first(make):
    plan = make(Change("order", "grouped"))
    quants = [run.quant_tag for run in plan.runs if run.phase == "matrix"]
    assert [quant for quant, _ in groupby(quants)] == ["F16", "Q4_K_M", "Q2_K"]


def test_every_block_opens_with_its_warmups(make):
    plan = make(Change("controls.warmup", 2))
    for _, group in groupby(plan.runs, key=lambda run: run.block_index):
        phases = [run.phase for run in group]
        assert phases[:2] == ["warmup", "warmup"]
        assert "warmup" not in phases[2:]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("repetitions", 10**12),
        ("controls.warmup", 10**9),
        ("policy.canary_repetitions", 10**9),
    ],
)
def test_a_plan_that_no_memory_holds_is_refused_at_once(make, key, value):
    with pytest.raises(UsageError, match="runs is more than 1,000,000"):
        make(Change(key, value))


def test_the_plan_is_numbered_without_gaps_and_without_twins(make):
    runs = make().runs
    assert [run.order_index for run in runs] == list(range(len(runs)))
    assert len({run.run_id for run in runs}) == len(runs)
    cells = Counter(
        (run.quant_tag, run.test_id, run.repetition)
        for run in runs
        if run.phase == "matrix"
    )
    assert len(cells) == 3 * 6 * 3
    assert set(cells.values()) == {1}


def test_the_canary_is_the_popular_quant_on_the_first_logic_task(make):
    plan = make()
    assert [(c.quant_tag, c.test_id) for c in plan.canary] == [
        ("Q4_K_M", next(e.test_id for e in plan.task_entries if e.bucket == "logic"))
    ]
    assert [run.phase for run in plan.runs].count("canary") == 10
    assert plan.runs[1].phase == "canary"


def test_the_canary_falls_back_to_the_most_precise_quant(make):
    plan = make(Change("quants", ["Q2_K", "F16"], (("models", 0, "quants"),)))
    assert plan.canary[0].quant_tag == "F16"


def test_a_canary_task_that_the_bank_does_not_have_is_refused(make):
    with pytest.raises(UsageError, match="not in the bank"):
        make(Change("canary.task", "nothing"))


def test_a_canary_task_that_is_not_selected_gives_way(make):
    plan = make(Change("canary.task", "logic-max-006"), Change("tasks.limit", 2))
    assert plan.canary == make(Change("tasks.limit", 2)).canary


def test_skipping_the_canary_leaves_the_matrix(make):
    plan = make(skip_canary=True)
    assert {run.phase for run in plan.runs} == {"warmup", "matrix"}
    assert plan.plan_hash == make().plan_hash


def test_a_canary_alone_has_no_matrix(make):
    assert {run.phase for run in make(purpose=CANARY_ONLY).runs} == {"warmup", "canary"}


def test_determinism_shares_one_nonce_and_has_no_canary(make):
    plan = make(purpose=DETERMINISM)
    assert {run.phase for run in plan.runs} == {"warmup", "matrix"}
    assert plan.nonce_rule != make().nonce_rule


CHANGES_A_RESULT = {
    "quants": Change("quants", ["F16", "Q2_K"], (("models", 0, "quants"),)),
    "order of quants": Change(
        "quants", ["Q2_K", "Q4_K_M", "F16"], (("models", 0, "quants"),)
    ),
    "model": Change("models.0.id", "other", (("models", 0, "id"),)),
    "repetitions": Change("repetitions", 4),
    "order": Change("order", "grouped"),
    "seed": Change("controls.seed", 7),
    "temperature": Change("controls.temperature", 1),
    "threads": Change("controls.threads", 3),
    "affinity": Change("controls.affinity", "compact"),
    "warmup": Change("controls.warmup", 3),
    "context": Change("controls.context", 1024),
    "tasks": Change("tasks.limit", 5),
    "buckets": Change("tasks.buckets", ["logic"]),
    "sandbox": Change("tasks.sandbox", "process"),
    "streaming": Change("provider.streaming", False),
    "timeout": Change("provider.timeout_seconds", 5),
}
CHANGES_NO_RESULT = {
    "policy": Change("policy.adherence_threshold", 1),
    "canary limit": Change("policy.canary_max_latency_cv", 1),
    "labels": Change("labels.team", "x"),
    "url": Change("provider.url", "http://elsewhere:1"),
    "title": Change("title", "Other"),
    "retries": Change("polluted_retries", 3),
    "sidecar": Change("sidecar.tool", "llama-bench"),
    "same controls by another profile": Change("control_profile", "shared"),
}


@pytest.mark.parametrize("what", CHANGES_A_RESULT)
def test_the_hash_depends_on_all_that_can_change_a_result(make, what):
    assert make(CHANGES_A_RESULT[what]).plan_hash != make().plan_hash


@pytest.mark.parametrize("what", CHANGES_NO_RESULT)
def test_the_hash_depends_on_nothing_else(make, what):
    assert make(CHANGES_NO_RESULT[what]).plan_hash == make().plan_hash


def test_the_hash_depends_on_weights_and_not_on_where_they_lie(make, tmp_path):
    here = make()
    assert make(folder="elsewhere").plan_hash == here.plan_hash
    (tmp_path / "weights" / "m-Q2_K.gguf").write_bytes(b"other weights")
    assert make().plan_hash != here.plan_hash


def test_the_policy_has_a_hash_of_its_own(make):
    assert make().policy_hash == make(Change("controls.seed", 1)).policy_hash
    changed = make(Change("policy.adherence_threshold", 1))
    assert changed.policy_hash != make().policy_hash


def test_run_ids_follow_from_sweep_and_content(make):
    assert [run.run_id for run in make().runs] == [run.run_id for run in make().runs]
    moved = make(folder="elsewhere")
    assert [run.run_id for run in moved.runs] == [run.run_id for run in make().runs]


def test_a_plan_needs_no_files_and_says_what_is_missing(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(PRESET.format(folder=tmp_path / "none", label="a", url="u"))
    plan = build_plan(load_preset(str(path)), "s")
    assert len(list_missing(plan)) == 3
    assert "m F16: there is no file" in list_missing(plan)[0]


BROKEN_FILES = """schema_version = 1
[provider]
name = "embedded"
[[models]]
id = "sound"
quants = ["Q8_0"]
[models.names.embedded]
file = "sound-{{quant}}.gguf"
[[models]]
id = "broken"
quants = ["Q8_0", "Q4_K_M", "Q2_K"]
[models.names.embedded]
file = "{name}"
[tasks]
bank = "quickstart"
limit = 2
"""


def test_a_plan_says_which_files_of_weights_are_broken(tmp_path):
    whole = demo_gguf("Q8_0").read_bytes()
    (tmp_path / "sound-Q8_0.gguf").write_bytes(whole)
    (tmp_path / "broken-Q8_0.gguf").write_bytes(whole[:-1000])
    (tmp_path / "broken-Q4_K_M.gguf").write_bytes(b"<html>gone</html>" * 9)
    (tmp_path / "broken-Q2_K.gguf").write_bytes(whole[:500])
    path = tmp_path / "p.toml"
    path.write_text(BROKEN_FILES.format(name="broken-{quant}.gguf"))
    told = list_missing(build_plan(load_preset(str(path)), "s"))
    place = tmp_path.resolve()
    assert [line.partition(": ")[0] for line in told] == [
        "broken Q8_0",
        "broken Q4_K_M",
        "broken Q2_K",
    ]
    assert f"{place / 'broken-Q8_0.gguf'}: cut short: it has" in told[0]
    assert "not a GGUF file: an HTML page" in told[1]
    assert "cut short: it ends inside its header" in told[2]


def test_a_placeholder_that_is_none_is_told_with_the_model(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(BROKEN_FILES.format(name="broken-{quantt}.gguf"))
    demo = demo_gguf("Q8_0").read_bytes()
    (tmp_path / "sound-Q8_0.gguf").write_bytes(demo)
    with pytest.raises(UsageError, match=r"^broken Q8_0: the name 'broken-\{quantt"):
        build_plan(load_preset(str(path)), "s")


@pytest.mark.parametrize("name", sorted(known_presets()))
def test_every_shipped_preset_plans_for_every_provider_it_names(name):
    preset = load_preset(name)
    for provider in preset.table.models[0].names:
        plan = build_plan(override(preset, [Change("provider.name", provider)]), "s")
        repeated = {"repeat"} if plan.is_adaptive else set()
        asked = {"warmup", "canary", "matrix"} | repeated
        assert {run.phase for run in plan.runs} == asked
        quants = preset.table.models[0].quants
        assert {run.quant_tag for run in plan.runs} == set(quants)


def test_a_provider_without_a_name_for_the_model_is_refused():
    preset = override(load_preset("quickstart"), [Change("provider.name", "ollama")])
    with pytest.raises(UsageError, match="no name for the provider ollama"):
        build_plan(preset, "s")


@pytest.mark.parametrize(
    ("quant", "spelling"),
    [("Q4_K_M", "q4_K_M"), ("Q8_0", "q8_0"), ("F16", "fp16"), ("IQ4_XS", "iq4_XS")],
)
def test_ollama_spells_quants_its_own_way(quant, spelling):
    assert ollama_spelling(quant) == spelling


def test_an_unknown_placeholder_is_refused(tmp_path):
    model = load_preset("quickstart").table.models[0]
    names = {"x": model.names["embedded"].model_copy(update={"file": "{quants}.gguf"})}
    with pytest.raises(UsageError, match="unknown placeholder"):
        resolve_target(
            model.model_copy(update={"names": names}), "Q8_0", "x", None, tmp_path
        )


def test_a_pattern_must_match_one_file(tmp_path):
    model = load_preset("llama-3.1-8b").table.models[0]
    name = "Llama-3.1-8B-Instruct-Q8_0.gguf"
    (tmp_path / name).write_bytes(b"x")
    found = resolve_target(model, "Q8_0", "embedded", None, tmp_path)
    assert (found.ref.path, found.missing) == (tmp_path / name, None)
    (tmp_path / f"Meta-{name}").write_bytes(b"x")
    found = resolve_target(model, "Q8_0", "embedded", None, tmp_path)
    assert found.missing is not None
    assert "matches 2 files" in found.missing


def task_entry(number: int) -> TaskEntry:
    return TaskEntry(
        test_id=f"b/{number}",
        bank="b",
        task_id=str(number),
        bucket="logic",
        task_revision="r",
        checks_total=1,
        max_tokens=8,
    )


@given(
    quants=st.integers(1, 5),
    repetitions=st.integers(1, 7),
    tasks=st.integers(1, 4),
    models=st.integers(1, 3),
)
def test_rotation_is_fair(quants, repetitions, tasks, models):
    planned = [
        PlannedModel(
            f"m{number}",
            tuple(
                Target(ModelRef(f"m{number}", f"q{index}", "name"))
                for index in range(quants)
            ),
            Controls(warmup="1"),
            Policy(),
        )
        for number in range(models)
    ]
    entries = [task_entry(number) for number in range(tasks)]
    cell = [CanaryCell("m0", "q0", "b/0")]
    runs = build_schedule("s", planned, entries, repetitions, "rotated", cell)
    assert len({run.run_id for run in runs}) == len(runs)
    matrix = [run for run in runs if run.phase == "matrix"]
    assert len(matrix) == quants * repetitions * tasks * models
    starts = Counter(
        run.quant_tag
        for index, run in enumerate(matrix)
        if index % (quants * tasks) == 0 and run.model_id == "m0"
    )
    assert max(starts.values()) - min(starts.values(), default=0) <= 1


@given(quants=st.integers(1, 9), pairs=st.integers(1, 3))
def test_over_two_repetitions_every_quant_waits_as_long(quants, pairs):
    targets = [Target(ModelRef("m", f"q{n}", "name")) for n in range(quants)]
    planned = [PlannedModel("m", tuple(targets), Controls(warmup="1"), Policy())]
    runs = build_schedule("s", planned, [task_entry(0)], 2 * pairs, "reversed", [])
    places: Counter[str] = Counter()
    for place, run in enumerate(run for run in runs if run.phase == "matrix"):
        places[run.quant_tag] += place
    assert len(set(places.values())) == 1


def test_ids_of_sweeps_sort_by_time_and_differ():
    from datetime import UTC, datetime

    early = new_sweep_id("My Preset!", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    late = new_sweep_id("a", datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))
    assert early.startswith("20260102-030405-my-preset-")
    assert early < late
    assert new_sweep_id("a", datetime.now(UTC)) != new_sweep_id("a", datetime.now(UTC))


def test_attempts_differ_by_number_and_executor():
    from datetime import UTC, datetime

    start = datetime(2026, 1, 1, tzinfo=UTC)
    ids = {attempt_id("r", n, start) for n in (1, 2)}
    ids.add(attempt_id("r", 1, start.replace(second=1)))
    assert len(ids) == 3


@given(st.text(), st.integers())
def test_nonces_have_one_length_and_follow_from_their_task(revision, repetition):
    nonce = make_nonce(revision, repetition)
    assert nonce == make_nonce(revision, repetition)
    assert len(nonce.split(" ")) == NONCE_LETTERS
    assert all(len(letter) == 1 for letter in nonce.split(" "))


def test_nonces_differ_by_repetition_and_revision():
    made = {make_nonce(r, n) for r in ("a", "b") for n in range(20)}
    assert len(made) == 40


def test_the_hash_of_a_prompt_tells_system_and_prompt_apart():
    hashes = {prompt_hash("ab", None), prompt_hash("b", "a"), prompt_hash("ab", "")}
    assert len(hashes) == 3


TWO_MODELS = """schema_version = 1
control_profile = "desktop"
[provider]
name = "ollama"
[[models]]
id = "one"
quants = ["Q8_0"]
[models.names.ollama]
tag = "one"
[[models]]
id = "other"
quants = ["Q8_0"]
control_profile = "shared"
[models.controls]
context = 16
[models.names.ollama]
tag = "other"
[tasks]
bank = "quickstart"
limit = 2
"""


@pytest.fixture
def two_models(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(TWO_MODELS)
    return load_preset(str(path))


def test_a_model_may_have_a_control_profile_of_its_own(two_models):
    plan = build_plan(two_models, "s")
    names = {model: profile.name for model, profile in plan.profiles.items()}
    assert names == {"one": "desktop", "other": "shared"}
    limits = [model.policy.canary_max_latency_cv_ppm for model in plan.models]
    assert limits == [
        build_policy(load_profile(name).table.policy).canary_max_latency_cv_ppm
        for name in ("desktop", "shared")
    ]
    assert limits[0] != limits[1]


def test_a_control_profile_by_path_lies_beside_its_preset(tmp_path, monkeypatch):
    for name, spread in (("ours", 0.07), ("theirs", 0.08)):
        lines = f"schema_version = 1\n[policy]\ncanary_max_latency_cv = {spread}\n"
        (tmp_path / "lab").mkdir(exist_ok=True)
        (tmp_path / "lab" / f"{name}.toml").write_text(lines)
    text = TWO_MODELS.replace('"desktop"', '"ours.toml"')
    (tmp_path / "lab" / "two.toml").write_text(
        text.replace('"shared"', '"./theirs.toml"')
    )
    monkeypatch.chdir(tmp_path)
    plan = build_plan(load_preset("lab/two.toml"), "s")
    names = {model: profile.name for model, profile in plan.profiles.items()}
    assert names == {"one": "ours", "other": "theirs"}
    limits = [model.policy.canary_max_latency_cv_ppm for model in plan.models]
    assert limits == [70_000, 80_000]


def test_a_profile_of_the_command_line_holds_for_every_model(two_models):
    changed = override(
        two_models,
        [
            Change(
                "control_profile",
                "quiet",
                (("control_profile",), ("models", 1, "control_profile")),
            )
        ],
    )
    assert build_plan(changed, "s").control_profiles == ("quiet",)


def test_known_profiles_are_offered_unless_the_preset_sets_its_own_limit(two_models):
    limits = {
        limit.name: limit.canary_max_latency_cv_ppm
        for limit in build_plan(two_models, "s").profile_limits
    }
    assert limits["quiet"] < limits["desktop"] < limits["shared"]
    own = override(two_models, [Change("policy.canary_max_latency_cv", 1)])
    assert build_plan(own, "s").profile_limits == ()


def test_a_context_that_cannot_hold_a_task_is_told_with_its_model(two_models):
    plan = build_plan(two_models, "s")
    least = max(
        task.max_tokens + len(task.prompt.split()) + len((task.system or "").split())
        for task in plan.tasks
    )
    (said,) = warn_of_context(plan)
    assert said.startswith("other: a context of 16 tokens cannot hold quickstart/")
    assert said.endswith(f"give --context {least} or more")
    roomy = override(
        two_models,
        [Change("controls.context", least, (("models", 1, "controls", "context"),))],
    )
    assert warn_of_context(build_plan(roomy, "s")) == []


def test_the_same_bytes_under_two_names_are_told(two_models):
    plan = build_plan(two_models, "s")
    assert warn_of_copies(plan) == []
    first, *rest = plan.models
    own = replace(first.targets[0], digest="sha256:a")
    copy = replace(own, ref=replace(own.ref, quant_tag="Q2_K"))
    twice = replace(plan, models=(replace(first, targets=(own, copy)), *rest))
    (said,) = warn_of_copies(twice)
    assert said.startswith(f"{first.model_id}: {own.ref.quant_tag}, Q2_K are the same")


def test_the_embedded_engine_needs_a_file_for_each_quant(two_models):
    embedded = override(
        two_models,
        [
            Change("provider.name", "embedded"),
            *(
                Change("names", {"embedded": names}, (("models", index, "names"),))
                for index, names in enumerate(
                    ({"name": "one"}, {"file": "no-{quant}.gguf"})
                )
            ),
        ],
    )
    said = "\n".join(list_missing(build_plan(embedded, "s")))
    assert "one Q8_0: the embedded engine needs a file of weights" in said
    assert "other Q8_0: there is no file no-Q8_0.gguf" in said


def test_a_file_that_cannot_be_read_is_told_with_its_model(tmp_path):
    (tmp_path / "m-F16.gguf").mkdir()
    path = tmp_path / "p.toml"
    path.write_text(PRESET.format(folder=tmp_path, label="a", url="u"))
    (said, *_) = list_missing(build_plan(load_preset(str(path)), "s"))
    assert said.startswith("m F16: ")


def test_the_sweep_that_every_system_is_smoked_with_plans():
    plan = build_plan(load_preset(str(FIXTURES / "smoke.toml")), "s")
    assert len(plan.runs) < 40
    workflow = (ROOT / ".github" / "workflows" / "smoke.yml").read_text()
    assert "orket run tests/fixtures/smoke.toml" in workflow
    port = str(plan.server.options.url).rpartition(":")[2]
    assert f"orket mock-server ollama --port {port} " in workflow
