"""Payloads that QuickBooks could send, as hypothesis makes them up from the catalogue."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from qbo_pipeline.catalog import ENTITIES, Entity
from qbo_pipeline.catalog.templates import WRAPPER

#: Fields that are always made on purpose: keys, times and lines.
_MADE = {"Id", "MetaData", "Line", "BudgetDetail"} | {field for entity in ENTITIES for field in entity.key_fields}

numbers = st.one_of(
    st.integers(-(10**20), 10**20),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e30"), max_value=Decimal("1e30")),
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
jsons = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
usual_times = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2060, 1, 1)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=0).isoformat() + "-08:00"
)


def members(struct: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads of a record class: some of its fields with any value whatever, and some fields nobody has heard of."""
    fields = [name for name in struct.__struct_fields__ if name not in _MADE]
    return st.dictionaries(
        st.one_of(st.sampled_from(fields), texts.filter(lambda name: name not in _MADE)),
        st.one_of(jsons, numbers, texts, st.fixed_dictionaries({"value": texts}, optional={"name": texts})),
        max_size=8,
    )


def payloads(entity: Entity) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads of an entity: its key, whatever else, and for a template its wrapper and what may stand beside it."""
    words = st.text("0123456789ABCDEFGHIJ", min_size=1, max_size=19)
    dates = st.dates().map(datetime.date.isoformat)
    parts: dict[str, Any] = {column.path[0]: dates if column.kind == "date" else words for column in entity.key_columns}
    optional: dict[str, Any] = {
        "MetaData": st.one_of(jsons, st.fixed_dictionaries({"CreateTime": usual_times, "LastUpdatedTime": usual_times}))
    }
    if entity.line_record is not None:
        optional[entity.line_field] = st.one_of(st.lists(members(entity.line_record), max_size=4), jsons)
    plain = st.tuples(st.fixed_dictionaries(parts, optional=optional), members(entity.record)).map(
        lambda two: {**two[1], **two[0]}
    )
    if not entity.wrapped:
        return plain
    beside = st.dictionaries(texts, st.one_of(texts, numbers), max_size=1)
    kinds = st.one_of(st.sampled_from(("Invoice", "Bill", WRAPPER)), texts.filter(bool))
    return st.tuples(kinds, plain, beside).map(lambda three: {**three[2], three[0]: three[1]})
