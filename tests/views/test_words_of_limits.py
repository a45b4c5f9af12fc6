"""Limits in sentences: to their last digit, so that no two limits read alike."""

import pytest

from orket.warehouse import Warehouse


@pytest.mark.parametrize(
    ("units", "digits", "text"),
    [
        (25_000_000, 9, "0.025"),
        (10_000_000_000, 9, "10.0"),
        (2_500_000_000, 9, "2.5"),
        (1, 9, "0.000000001"),
        (950_000, 4, "95.0"),
        (999_900, 4, "99.99"),
    ],
)
def test_a_limit_is_written_to_its_last_digit(tmp_path, units, digits, text):
    with Warehouse(tmp_path).session() as session:
        (row,) = session.rows("SELECT v1.exact_text(?, ?) AS text", [units, digits])
    assert row["text"] == text
