"""From rows back to the QuickBooks record they came from: the inverse of ``rows.py``.

``canonical`` says what "equal" means for a payload: numbers compared as numbers, and a member without value (null, "",
{}, []) the same as an absent one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.lines import DETAIL_OF, detail_key
from qbo_pipeline.sync.wrapping import wrapped

_PACIFIC = ZoneInfo("America/Los_Angeles")
#: Decimal's own context rounds to 28 digits; no number in our tables has more than some thousands.
_EVERY_DIGIT = Context(prec=200_000)
_encode = msgspec.json.Encoder(decimal_format="number").encode


def render(entity: Entity, row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the record that ``row`` and its ``lines`` were made from.

    Cells are as Postgres drivers give them, except jsonb, which must come as its text (so that numbers stay exact).
    """
    payload = _members([c for c in entity.table.columns if c.path], row)
    if entity.line_record is not None and entity.line_table is not None:
        detail = DETAIL_OF.get(entity.line_record)
        detail_fields = set(detail.__struct_fields__) if detail else set()
        head = [c for c in entity.line_table.columns if c.path and c.path[0] not in detail_fields]
        top = sorted((each for each in lines if each.get("group_position") is None), key=lambda each: each["position"])
        if top:
            payload[entity.line_field] = [_line(entity.line_record, head, line) for line in top]
    return _completed(wrapped(payload) if entity.wrapped else payload, row["extra"])


def _line(record: type[msgspec.Struct], head: list[Column], line: Mapping[str, Any]) -> dict[str, Any]:
    payload = _members(head, line)
    if line.get("detail") is not None:
        payload[detail_key(record, payload.get("DetailType")) or "detail"] = _json(line["detail"])
    return _completed(payload, line["extra"])


def _members(columns: list[Column], row: Mapping[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for column in columns:
        if (cell := row[column.name]) is None:
            continue
        inner = payload
        for key in column.path[:-1]:
            inner = inner.setdefault(key, {})
        inner[column.path[-1]] = _value(column.kind, cell)
    return payload


def _value(kind: str, cell: Any) -> Any:
    if kind == "jsonb":
        return _json(cell)
    if kind == "date":
        return cell.isoformat()
    if kind == "timestamptz":
        return cell.astimezone(_PACIFIC).isoformat()
    return cell


def _json(text: str | None) -> Any:
    # Python refuses to read integers of more than 4300 digits, which Postgres makes of 1e5000.
    return json.loads(text, parse_float=Decimal, parse_int=Decimal) if text else None


def _completed(payload: dict[str, Any], extra: str | None) -> dict[str, Any]:
    whole: dict[str, Any] = _overlay(payload, _json(extra))
    return whole


def _overlay(payload: Any, extra: Any) -> Any:
    """Lay ``extra`` over ``payload``: objects member by member, anything else replaces."""
    if extra is None:
        return payload
    if not isinstance(payload, dict) or not isinstance(extra, dict):
        return extra
    for key, value in extra.items():
        payload[key] = _overlay(payload.get(key), value)
    return payload


def canonical(payload: Any) -> str:
    """Return one text for all payloads that mean the same: keys sorted, numbers plain, members without value gone."""
    return json.dumps(_canonical(payload), sort_keys=True, ensure_ascii=False)


def comparable(entity: Entity, payload: Mapping[str, Any]) -> str:
    """Return ``canonical`` text of a record without what comes out differently at every read of the same record."""
    return canonical({name: value for name, value in payload.items() if name not in entity.volatile})


def to_json(payload: Any) -> str:
    """Return a rendered record as indented JSON, its numbers digit by digit as they are stored."""
    return msgspec.json.format(_encode(payload), indent=2).decode()


def _canonical(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        number = Decimal(str(value)).normalize(_EVERY_DIGIT)
        return {"number": format(abs(number) if number == 0 else number, "f")}  # Postgres knows no negative zero
    if isinstance(value, dict):
        members = {key: _canonical(inner) for key, inner in value.items()}
        return {key: inner for key, inner in members.items() if inner not in (None, "", {}, [])}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return value
