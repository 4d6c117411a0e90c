"""Statements say exactly what was meant, whatever the values (T6)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.errors import UsageError
from qbo_pipeline.qbo.query import Condition, Select, timestamp
from tests.unit.qbo.statements import parse

PACIFIC = timezone(timedelta(hours=-8))

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=offsets)  # noqa: DTZ001
names = st.from_regex(r"[A-Za-z][A-Za-z0-9.]{0,20}", fullmatch=True)
scalars = st.one_of(
    texts,
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.dates(),
    moments,
)
conditions = st.one_of(
    st.builds(Condition, names, st.sampled_from(["=", "<", ">", "<=", ">=", "like"]), scalars),
    st.builds(Condition, names, st.just("in"), st.lists(scalars, min_size=1, max_size=5).map(tuple)),
)
selects = st.builds(
    Select,
    names,
    st.lists(conditions, max_size=4).map(tuple),
    st.none() | names,
    st.none() | st.integers(1, 10**9),
    st.none() | st.integers(1, 1000),
    st.booleans(),
)


def test_the_statement_the_pipeline_sends_most() -> None:
    select = (
        Select("Invoice")
        .where("MetaData.LastUpdatedTime", ">=", datetime(2026, 11, 1, 0, 0, 5, 999999, tzinfo=PACIFIC))
        .where("Active", "in", (True, False))
        .ordered_by("MetaData.LastUpdatedTime")
        .page(1, 1000)
    )
    assert str(select) == (
        "select * from Invoice where MetaData.LastUpdatedTime >= '2026-11-01T00:00:05-08:00'"
        " and Active in (true, false) orderby MetaData.LastUpdatedTime startposition 1 maxresults 1000"
    )


def test_a_count_has_conditions_too() -> None:
    assert str(Select("Bill", (Condition("Id", "=", 7),), counting=True)) == "select count(*) from Bill where Id = '7'"


@given(selects)
def test_every_statement_parses_back_to_what_was_meant(select: Select) -> None:
    found = parse(str(select))
    assert (found.entity, found.counting, found.order_by) == (select.entity, select.counting, select.order_by)
    assert found.start == (select.start_position or 1)
    assert found.limit == (select.max_results or 100)
    assert len(found.conditions) == len(select.conditions)
    for (name, operator, read), meant in zip(found.conditions, select.conditions, strict=True):
        assert (name, operator) == (meant.property, meant.operator)
        if isinstance(meant.value, tuple):
            for one_read, one_meant in zip(read, meant.value, strict=True):
                assert_means(one_read, one_meant, "=")
        else:
            assert_means(read, meant.value, operator)


def assert_means(read: Any, meant: Any, operator: str) -> None:
    if isinstance(meant, bool):
        assert read is meant
    elif isinstance(meant, datetime):
        whole = meant.replace(microsecond=0)
        if operator == "<" and meant.microsecond:
            whole += timedelta(seconds=1)
        assert datetime.fromisoformat(read) == whole
    elif isinstance(meant, date):
        assert date.fromisoformat(read) == meant
    elif isinstance(meant, int):
        assert int(read) == meant
    elif isinstance(meant, Decimal):
        assert Decimal(read) == meant
    else:
        assert read == meant


@given(moments, st.integers(-3, 3))
def test_a_window_never_becomes_narrower_by_rounding(bound: datetime, seconds: int) -> None:
    """QuickBooks' stamps are whole seconds; cutting an upper bound of 05.5 to 05 would lose the records of 05."""
    stamp = bound.replace(microsecond=0) + timedelta(seconds=seconds)
    ((_, _, upper),) = parse(str(Select("X").where("T", "<", bound))).conditions
    ((_, _, lower),) = parse(str(Select("X").where("T", ">=", bound))).conditions
    assert (stamp < datetime.fromisoformat(upper)) == (stamp < bound)
    assert (stamp >= datetime.fromisoformat(lower)) or stamp < bound


@pytest.mark.parametrize(
    "name",
    ["", "1x", "Invoice where", "a'b", "Invoice;", "x\n", "Invoice\n", "é", "a-b", "_a", "Inv oice", "x,y", "count(*)"],
)
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        Select(name)
    with pytest.raises(UsageError):
        Condition(name, "=", "x")
    with pytest.raises(UsageError):
        Select("Invoice").ordered_by(name)


@pytest.mark.parametrize(
    "value", ["O'Brien", "back\\slash", "\\", "ends with \\", "\\'", "' or Id = '1", "Ωμέγα\u00a0☂", ""]
)
def test_quotes_and_backslashes_stay_inside_their_string(value: str) -> None:
    assert parse(str(Select("Customer").where("DisplayName", "=", value))).conditions == [("DisplayName", "=", value)]


@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "a\x85b", "\ud800", Decimal("NaN"), Decimal("Infinity")])
def test_a_value_that_cannot_be_written_is_refused(value: Any) -> None:
    with pytest.raises(UsageError):
        Select("Customer").where("DisplayName", "=", value)


def test_operators_are_quickbooks_own() -> None:
    for operator in ("!=", "or", "= '1' or Id =", "IN"):
        with pytest.raises(UsageError):
            Condition("Id", cast("Any", operator), "1")
    with pytest.raises(UsageError):
        Condition("Id", "in", ())
    with pytest.raises(UsageError):
        Condition("Id", "=", ("1", "2"))


@pytest.mark.parametrize(("start", "limit"), [(0, 10), (-1, 10), (1, 0), (1, 1001)])
def test_a_page_quickbooks_does_not_have_is_refused(start: int, limit: int) -> None:
    with pytest.raises(UsageError):
        Select("Invoice").page(start, limit)


def test_a_time_without_a_zone_is_a_bug_and_says_so() -> None:
    with pytest.raises(ValueError, match="zone"):
        timestamp(datetime(2026, 1, 1))  # noqa: DTZ001


def test_an_offset_no_api_reads_becomes_utc() -> None:
    mean_time = timezone(timedelta(minutes=19, seconds=32))
    assert timestamp(datetime(1900, 1, 1, 12, tzinfo=mean_time)) == "1900-01-01T11:40:28+00:00"
    assert timestamp(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00+00:00"
