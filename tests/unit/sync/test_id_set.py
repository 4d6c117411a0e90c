"""``IdSet`` is a set, whatever the ids; only smaller."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.sync.id_set import IdSet

IDS = st.one_of(
    st.integers(0, 600).map(str),
    st.integers(0, 10**14).map(str),
    st.sampled_from(["", "0", "00", "007", "7", "-7", "+7", "٧", "7 ", "USD-2026-01-01", "5000000000000503624"]),
    st.text(max_size=3),
)


@given(st.lists(IDS), st.lists(IDS))
def test_it_holds_what_a_set_would(added: list[str], asked: list[str]) -> None:
    ids, plain = IdSet(added[:2]), set(added)
    ids.update(added)
    assert len(ids) == len(plain)
    assert sorted(ids) == sorted(plain)
    assert [each in ids for each in asked] == [each in plain for each in asked]


def test_a_number_is_no_id() -> None:
    number: object = 7
    assert number not in IdSet(["7"])


def test_a_hundred_thousand_neighbours_take_no_room() -> None:
    ids = IdSet(str(number) for number in range(1_000_000, 1_100_000))
    size = sys.getsizeof(ids._blocks) + sum(sys.getsizeof(bits) for bits in ids._blocks.values())
    assert size < 100_000
