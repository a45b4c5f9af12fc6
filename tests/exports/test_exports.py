"""The exporter writes exact, stable bytes; schema, model and goldens agree."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orket
from orket.errors import OrketError, WarehouseError
from orket.exports.figures import decimals
from orket.exports.json_text import (
    moment_text,
    plain_decimal,
    read_json,
    render_json,
)
from orket.exports.load import write_file
from orket.exports.model import json_schema
from orket.exports.scale import as_mapping, scale
from orket.exports.summary import render_summary, summary_document
from tests.places import GOLDEN
from tests.summary_rows import summary_row

GOLDEN_SUMMARIES = GOLDEN / "summaries"


@pytest.mark.parametrize(
    ("value", "divisor", "digits", "text"),
    [
        (1_500_000_000, 10**9, 6, "1.5"),
        (1_234_567_500, 10**9, 6, "1.234568"),
        (1_234_566_500, 10**9, 6, "1.234567"),
        (-1_500, 10**9, 6, "-0.000002"),
        (-499, 10**9, 6, "0"),
        (499, 10**9, 6, "0"),
        (500, 10**9, 6, "0.000001"),
        (0, 10**6, 6, "0"),
        (1_000_000, 10**6, 6, "1"),
        (100, 10**6, 6, "0.0001"),
        (1, 10**6, 6, "0.000001"),
        (8_589_934_592, 2**30, 2, "8"),
        (123_456_789_012_345_678_901, 10**18, 12, "123.456789012346"),
    ],
)
def test_scaled_integers_become_plain_decimals(value, divisor, digits, text):
    assert plain_decimal(scale(value, divisor, digits)) == text


@given(st.integers(-(10**30), 10**30), st.sampled_from([10**3, 10**6, 10**9, 2**30]))
def test_scaling_is_the_nearest_decimal(value, divisor):
    scaled = scale(value, divisor, 6)
    assert abs(Fraction(scaled) - Fraction(value, divisor)) <= Fraction(1, 2 * 10**6)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.decimals(allow_nan=False, allow_infinity=False, places=6),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.sampled_from([None, 2]),
)
def test_json_text_reads_back_the_same(value, indent):
    text = render_json(value, indent)
    assert json.loads(text, parse_float=Decimal, parse_int=int) == value


@given(st.floats())
def test_floats_have_no_exponent_and_no_nan(value):
    text = render_json(value)
    if text == "null":
        assert value != value or value in (float("inf"), float("-inf"))
    else:
        assert "e" not in text.lower()
        assert float(text) == value


def test_moments_are_utc():
    paris = timezone(timedelta(hours=2))
    moment = datetime(2026, 7, 1, 14, 0, 0, 7, tzinfo=paris)
    assert moment_text(moment) == "2026-07-01T12:00:00.000007Z"
    assert moment_text(datetime(2026, 7, 1)) == "2026-07-01T00:00:00.000000Z"


def test_maps_are_sorted_by_bytes_from_either_shape():
    pairs = [{"key": "é", "value": 1}, {"key": "z", "value": 2}]
    assert list(as_mapping(pairs)) == ["z", "é"]
    assert list(as_mapping({"b": 1, "B": 2})) == ["B", "b"]
    assert as_mapping(None) == {}


def test_every_key_of_the_model_is_written_in_its_order():
    document = summary_document(summary_row())
    assert list(document) == list(orket.SweepSummary.model_fields)
    quant = document["sessions"][0]["per_quant"][2]
    assert quant["adherence_score"] is None
    assert quant["total_latency"] is None
    assert quant["latency_p50"] == Decimal("1.5")


def test_summary_validates_against_schema_and_model():
    content = render_summary(summary_row())
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(content))
    summary = orket.SweepSummary.model_validate_json(content)
    assert summary.sessions[0].per_quant[1].quant_tag == "Q4_K_M"
    assert content.endswith(b"}\n")
    assert b"\r" not in content


def test_bytes_do_not_depend_on_the_order_of_the_struct():
    row = summary_row()
    assert render_summary(_reversed(row)) == render_summary(row)


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def test_overrides_lose_their_scale():
    row = summary_row()
    row["overrides"] = [
        {"key": "policy.adherence_threshold", "value": "0.9"},
        {"key": "latency_ceiling_ns", "value": "2500000000"},
        {"key": "include_polluted", "value": '"fill"'},
    ]
    assert summary_document(row)["overrides"] == {
        "include_polluted": "fill",
        "latency_ceiling": Decimal("2.5"),
        "policy.adherence_threshold": Decimal("0.9"),
    }


def test_a_map_that_may_be_absent_is_a_map_where_it_is_there():
    row = summary_row()
    quants = row["sessions"][0]["per_quant"]
    quants[0]["tensor_types"] = [
        {"key": "Q4_K", "value": 3},
        {"key": "F32", "value": 7},
    ]
    quants[1]["tensor_types"] = None
    document = summary_document(row)
    orket.SweepSummary.model_validate_json(render_summary(row))
    written = [quant["tensor_types"] for quant in document["sessions"][0]["per_quant"]]
    assert written[:2] == [{"F32": 7, "Q4_K": 3}, None]


def test_words_and_numbers_of_controls():
    row = summary_row()
    controls = row["sessions"][0]["experimental_controls"]
    controls |= {"threads": "server", "warmup": "2"}
    written = summary_document(row)["sessions"][0]["experimental_controls"]
    assert written["threads"] == "server"
    assert written["warmup_steps"] == 2
    for word in ("9" * 5_000, "²", "٣"):
        controls["threads"] = word
        (session, *_) = summary_document(row)["sessions"]
        assert session["experimental_controls"]["threads"] == word


def test_a_field_the_view_does_not_have_is_named():
    row = summary_row()
    del row["sessions"][0]["per_quant"][0]["total_latency_ns"]
    with pytest.raises(WarehouseError, match="per_quant.total_latency_ns"):
        summary_document(row)


def test_unknown_codes_and_fields_do_not_break_a_reader():
    document = json.loads(render_summary(summary_row()))
    document["sessions"][0]["per_quant"][0]["run_quality_reasons"] = ["NEW_IN_1_9"]
    document["sessions"][0]["new_in_1_9"] = {"a": 1}
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    orket.SweepSummary.model_validate(document)


@pytest.mark.parametrize(
    "golden", sorted(GOLDEN_SUMMARIES.glob("*.json")), ids=lambda path: path.stem
)
def test_summaries_of_every_minor_version_still_validate(golden):
    document = json.loads(golden.read_bytes())
    assert document["schema_version"] == golden.stem
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    orket.SweepSummary.model_validate(document)


def test_there_is_a_golden_summary_of_this_version():
    from orket.exports.model import SCHEMA_VERSION

    assert (GOLDEN_SUMMARIES / f"{SCHEMA_VERSION}.json").exists()


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "out.json"
    target.write_bytes(b"old")
    write_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_plain_file_is_written_into_and_stays(tmp_path):
    """A rename, by root, would put a plain file in the place of /dev/null."""
    pipe, link, target = (tmp_path / name for name in ("pipe", "link", "target"))
    os.mkfifo(pipe)
    link.symlink_to(target)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(pipe, b"new")
        assert os.read(reader, 9) == b"new"
    finally:
        os.close(reader)
    write_file(link, b"new")
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_an_unwritable_place_is_one_line(tmp_path):
    with pytest.raises(
        OrketError, match="cannot write .*: there is no folder .*missing"
    ):
        write_file(tmp_path / "missing" / "out.json", b"")
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        # Bits per weight of a file: 3.605076, of which a summary has three digits.
        ("3.605", 2, "3.61"),
        ("3.615", 2, "3.62"),
        ("98.05", 1, "98.1"),
        ("-0.005", 2, "-0.01"),
        ("-0.004", 2, "0.00"),
        ("432", 1, "432.0"),
    ],
)
def test_what_people_read_is_rounded_half_up(value, digits, shown):
    assert decimals(Decimal(value), digits) == shown


def test_json_of_anybody_is_read_as_servers_print_it_and_else_as_the_text_it_is():
    assert read_json('{"p": 1e-45, "q": [2, null]}') == {
        "p": Decimal("1e-45"),
        "q": [2, None],
    }
    for text in ("{", "NaN", "1e-4500", "1e4500", "9" * 5_000, "[" * 70 + "]" * 70):
        assert read_json(text) == text
