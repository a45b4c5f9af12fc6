"""What tests of small sweeps are given."""

from __future__ import annotations

import pytest

from orket.warehouse import Warehouse
from tests.sweep.small import (
    plan_in,
)


@pytest.fixture
def make_plan(tmp_path):
    return plan_in(tmp_path)


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")
