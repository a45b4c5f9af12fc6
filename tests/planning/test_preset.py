"""Preset files: strict, layered, and every mistake told with file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orket.errors import UsageError
from orket.planning.preset import (
    Change,
    known_presets,
    known_profiles,
    load_preset,
    load_profile,
    override,
)

SMALL = """schema_version = 1
repetitions = 2

[provider]
name = "embedded"

[[models]]
id = "m"
quants = ["Q8_0", "Q4_K_M"]
[models.names.embedded]
file = "m-{quant}.gguf"

[tasks]
bank = "quickstart"

[policy]
latency_ceiling_seconds = 2
"""


@pytest.fixture
def write(tmp_path):
    def write_preset(text: str, name: str = "small.toml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_preset


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("repetitions", "repetitons", "did you mean repetitions?"),
        ("quants =", "quant =", "did you mean quants?"),
        ("bank =", "bnak =", "did you mean bank?"),
        (
            "latency_ceiling_seconds",
            "latency_ceilng_seconds",
            "latency_ceiling_seconds?",
        ),
        ("file =", "fil =", "did you mean file?"),
    ],
)
def test_a_typo_names_the_nearest_key_with_file_and_line(write, right, wrong, said):
    text = SMALL.replace(right, wrong)
    path = write(text)
    with pytest.raises(UsageError) as caught:
        load_preset(path)
    message = str(caught.value)
    assert f"{path}, line {line_of(text, wrong)}: " in message
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("repetitions = 2", "repetitions = 0", "greater than or equal to 1"),
        ("repetitions = 2", 'repetitions = "2"', "valid integer"),
        ('name = "embedded"', "name = 3", "valid string"),
        ("= 2\n\n[provider]", '= 2\norder = "random"\n\n[provider]', "rotated"),
        ("ceiling_seconds = 2", "ceiling_seconds = 0.0000000001", "finest step"),
        ("schema_version = 1", "schema_version = 2", "1"),
        ("ceiling_seconds = 2", "ceiling_seconds = 0", "above 0"),
        ("ceiling_seconds = 2", "ceiling_seconds = 1e17", "up to 1000000"),
        ("repetitions = 2", f"repetitions = {'9' * 30}", "less than or equal to"),
        ("quants =", "parameters_billions = 1e300\nquants =", "less than or equal to"),
        (
            "latency_ceiling_seconds = 2",
            "adherence_threshold = 95",
            "for 95 % give 0.95",
        ),
        (
            'bank = "quickstart"',
            'bank = "quickstart"\nbuckets = ["logik"]',
            "no bucket named 'logik'; did you mean logic?",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_line(write, right, wrong, said):
    with pytest.raises(UsageError, match=r"line \d+: ") as caught:
        load_preset(write(SMALL.replace(right, wrong)))
    assert said in str(caught.value)


def test_all_mistakes_are_told_at_once(write):
    text = SMALL.replace("repetitions", "reps").replace("bank =", "banc =")
    with pytest.raises(UsageError) as caught:
        load_preset(write(text))
    assert len(re.findall(r"line \d+", str(caught.value))) == 2


@pytest.mark.parametrize("text", ["a = = 1", "schema_version = 1\nx = '\udc80'"])
def test_what_is_no_toml_is_one_line(tmp_path, text):
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        load_preset(str(path))
    assert str(path) in str(caught.value)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(UsageError) as caught:
        load_preset("quikstart")
    assert "did you mean quickstart?" in str(caught.value)
    assert all(name in str(caught.value) for name in known_presets())


def test_a_missing_file_is_not_taken_for_a_name():
    with pytest.raises(UsageError, match="there is no preset file"):
        load_preset("nowhere/my.toml")


def test_extends_merges_tables_and_replaces_lists(write):
    write(SMALL)
    path = write(
        'schema_version = 1\nextends = "small.toml"\nrepetitions = 5\n'
        "[policy]\nmin_valid_runs = 2\n[tasks]\nlimit = 3\n",
        "over.toml",
    )
    table = load_preset(path).table
    assert table.repetitions == 5
    assert table.policy == {"latency_ceiling_seconds": 2, "min_valid_runs": 2}
    assert (table.tasks.bank, table.tasks.limit) == ("quickstart", 3)
    assert [model.id for model in table.models] == ["m"]


def test_a_shipped_preset_can_be_extended(write):
    path = write('schema_version = 1\nextends = "quickstart"\nrepetitions = 3\n')
    preset = load_preset(path)
    assert preset.table.repetitions == 3
    assert preset.table.provider.name == "embedded"
    assert preset.name == "small"


def test_extends_in_a_circle_is_refused(write):
    write('schema_version = 1\nextends = "b.toml"\n', "a.toml")
    path = write('schema_version = 1\nextends = "a.toml"\n', "b.toml")
    with pytest.raises(UsageError, match="circle"):
        load_preset(path)


@pytest.mark.parametrize("part", ["[provider]", "[[models]]", "[tasks]"])
def test_what_a_sweep_cannot_do_without_is_asked_for(write, part):
    start = SMALL.index(part)
    following = SMALL.find("\n\n[", start)
    text = SMALL[:start] + (SMALL[following:] if following > 0 else "")
    with pytest.raises(UsageError, match="missing"):
        load_preset(write(text))


def test_two_models_of_one_id_are_refused(write):
    model = SMALL[SMALL.index("[[models]]") : SMALL.index("[tasks]")]
    with pytest.raises(UsageError, match="share an id"):
        load_preset(write(SMALL + model))


def test_a_quant_listed_twice_is_refused(write):
    with pytest.raises(UsageError, match="twice"):
        load_preset(write(SMALL.replace('"Q4_K_M"', '"Q8_0"')))


def test_an_override_is_recorded_with_the_value_it_replaced(write):
    preset = override(load_preset(write(SMALL)), [Change("repetitions", 7)])
    assert preset.table.repetitions == 7
    (entry,) = preset.overrides
    assert (entry.key, entry.value, entry.preset_value) == ("repetitions", "7", "2")


def test_an_override_with_the_value_that_stands_is_none(write):
    preset = override(load_preset(write(SMALL)), [Change("repetitions", 2)])
    assert preset.overrides == ()


def test_an_override_that_does_not_fit_is_refused(write):
    with pytest.raises(UsageError, match="command line: repetitions"):
        override(load_preset(write(SMALL)), [Change("repetitions", 0)])


@pytest.mark.parametrize("name", sorted(known_presets()))
def test_every_shipped_preset_says_what_it_is(name):
    preset = load_preset(name)
    assert preset.table.title
    assert preset.table.description
    assert (preset.table.control_profile or "quiet") in known_profiles()


@pytest.mark.parametrize("name", ["quiet", "desktop", "shared"])
def test_every_shipped_profile_sets_the_controls_that_must_have_a_value(name):
    controls = load_profile(name).table.controls
    values = (controls.seed, controls.threads, controls.affinity, controls.warmup)
    assert None not in values


def test_shipped_files_stay_within_a_screen():
    for path in (*known_presets().values(), *known_profiles().values()):
        widest = max(map(len, path.read_text(encoding="utf-8").splitlines()))
        assert widest <= 90, path


def test_a_users_profile_is_found_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv("ORKET_HOME", str(tmp_path))
    folder = tmp_path / "controls"
    folder.mkdir()
    (folder / "mine.toml").write_text("schema_version = 1\n[controls]\nseed = 5\n")
    assert load_profile("mine").table.controls.seed == 5


def test_a_typo_in_a_profile_is_told(tmp_path):
    path = Path(tmp_path) / "p.toml"
    path.write_text("schema_version = 1\n[controls]\nthread = 4\n")
    with pytest.raises(UsageError, match=r"line 3: .*did you mean threads\?"):
        load_profile(str(path))
