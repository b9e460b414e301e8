"""`benches/soak_server.py`: which requests are made."""

import sys
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benches.soak_server import CLIENTS, PARTS, shares  # noqa: E402


@pytest.mark.parametrize("requests", [1, 1_000, 20_000, 1_000_000])
def test_soak_asks_for_every_number_once(requests: int) -> None:
    parts = shares(requests)
    assert [len(part) for part in parts] == [CLIENTS] * PARTS
    assert list(chain.from_iterable(chain.from_iterable(parts))) == list(range(requests))
