"""The careful path: any JSON object at all becomes cells, and what the cells cannot give back goes into ``extra``.

A column holds a value whenever that is exact: a number written as text still is a number, a time in another zone still
is that instant. If the column alone would be rendered differently from what came, the original spelling is kept in
``extra`` under the same path; rendering lays ``extra`` over the columns, so the record comes back as it was.
"""

from __future__ import annotations

import datetime
import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from qbo_pipeline.catalog.columns import Column

if TYPE_CHECKING:
    from qbo_pipeline.sync.drift import Drift

_PACIFIC = ZoneInfo("America/Los_Angeles")
_encode = msgspec.json.Encoder(decimal_format="number").encode
#: Postgres stores neither of these, in text or jsonb.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
#: Widest number we hand to Postgres; its numeric takes 131072 digits before the point.
_MOST_DIGITS = 1000


def parse(raw: bytes) -> dict[str, Any]:
    """Return a JSON object with exact numbers, and without what Postgres cannot store.

    NUL characters and lone surrogates are replaced, numbers beyond a thousand digits become text. Raises ValueError,
    TypeError or RecursionError for what is no JSON object.
    """
    payload = json.loads(raw, parse_float=Decimal, parse_int=_integer)
    if not isinstance(payload, dict):
        raise TypeError(f"it is of type {type(payload).__name__}")
    clean = _storable(payload)
    assert isinstance(clean, dict)  # noqa: S101 - narrows for mypy
    return clean


def _integer(digits: str) -> int | Decimal:
    """Python refuses to read integers of more than 4300 digits."""
    return int(digits) if len(digits) <= _MOST_DIGITS else Decimal(digits)


def json_text(value: Any) -> str:
    """Return JSON text for a jsonb cell, numbers as written; empty for nothing."""
    return _encode(value).decode() if value not in (None, {}) else ""


def cells(
    columns: tuple[Column, ...], payload: dict[str, Any], drift: Drift | None, *, prefix: str = ""
) -> tuple[list[Any], dict[str, Any]]:
    """Return the cells of ``columns`` and what they could not give back exactly."""
    extra = _copy(payload)
    values = []
    for column in columns:
        given = _at(payload, column.path)
        cell, exact = _cell(column.kind, given)
        values.append(cell)
        if exact:
            _remove(extra, column.path)
        elif drift is not None:
            drift.unusual[prefix + ".".join(column.path)] += 1
    if drift is not None:
        known = {column.path for column in columns}
        drift.unknown.update(prefix + path for path in _unknown(extra, known))
    return values, extra


def _cell(kind: str, given: Any) -> tuple[Any, bool]:
    """Return the cell for a JSON value and whether rendering the cell gives the value back."""
    if given is None or given == "":
        return None, True
    match kind:
        case "jsonb":
            return json_text(given) or None, True
        case "text":
            if isinstance(given, str):
                return given, True
            return (str(given) if isinstance(given, int | Decimal) and not isinstance(given, bool) else None), False
        case "numeric" | "bigint":
            return _number_cell(kind, given)
        case "boolean":
            if isinstance(given, bool):
                return given, True
            return {"true": True, "false": False}.get(given) if isinstance(given, str) else None, False
        case "date":
            return _date_cell(given)
        case _:
            return _time_cell(given)


def _number_cell(kind: str, given: Any) -> tuple[Any, bool]:
    number: Decimal | None = None
    if isinstance(given, int | Decimal) and not isinstance(given, bool):
        number = Decimal(given)
    elif isinstance(given, str):
        try:
            number = Decimal(given)
        except InvalidOperation:
            return None, False
    if number is None or not _fits(number):
        return None, False
    if kind == "bigint":
        if number != number.to_integral_value() or not -(2**63) <= number < 2**63:
            return None, False
        return int(number), not isinstance(given, str)
    return number, not isinstance(given, str)


def _fits(number: Decimal) -> bool:
    _, digits, exponent = number.as_tuple()
    return isinstance(exponent, int) and len(digits) + abs(exponent) <= _MOST_DIGITS


def _date_cell(given: Any) -> tuple[str | None, bool]:
    if not isinstance(given, str):
        return None, False
    try:
        return datetime.date.fromisoformat(given[:10]).isoformat(), len(given) == 10 and given[4] == given[7] == "-"
    except ValueError:
        return None, False


def _time_cell(given: Any) -> tuple[str | None, bool]:
    if not isinstance(given, str):
        return None, False
    try:
        instant = datetime.datetime.fromisoformat(given)
        # A time without offset is ambiguous; taken as UTC, and its spelling kept.
        aware = instant if instant.tzinfo else instant.replace(tzinfo=datetime.UTC)
        # In UTC: Postgres refuses offsets that Python accepts (+16:00, seconds).
        return aware.astimezone(datetime.UTC).isoformat(), aware.astimezone(_PACIFIC).isoformat() == given
    except (ValueError, OverflowError):
        return None, False


def _at(payload: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(payload, dict):
            return None
        payload = payload.get(key)
    return payload


def _copy(value: Any) -> Any:
    return {key: _copy(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _remove(extra: dict[str, Any], path: tuple[str, ...]) -> None:
    """Take away the value at ``path``, and the objects it leaves empty."""
    inner = extra.get(path[0])
    if len(path) == 1:
        extra.pop(path[0], None)
    elif isinstance(inner, dict):
        _remove(inner, path[1:])
        if not inner:
            del extra[path[0]]


def _unknown(extra: dict[str, Any], known: set[tuple[str, ...]], above: tuple[str, ...] = ()) -> list[str]:
    paths = []
    for key, value in extra.items():
        path = (*above, key)
        if path in known:
            continue
        if isinstance(value, dict) and any(other[: len(path)] == path for other in known):
            paths += _unknown(value, known, path)
        else:
            paths.append(".".join(path))
    return paths


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("�", value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value if _fits(Decimal(value)) else str(value)
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(inner) for key, inner in value.items()}
    return value
