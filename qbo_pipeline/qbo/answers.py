"""What QuickBooks answered, taken apart without copying: envelopes are read, records stay the raw JSON they were.

Flows in    the body of an answer
Flows out   ``QueryAnswer``, ``RecordAnswer``, ``CdcAnswer`` and a count
Refuses     anything that is not wholly what was asked for: "no rows" is a claim an answer must make itself

A record's numbers are money; as ``msgspec.Raw`` they keep every digit until somebody reads them with the right type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import msgspec

# Intuit's ceiling for one CDC answer. It pages nothing and cuts off silently, deletes first.
CDC_LIMIT = 1000


class NotAnAnswerError(ValueError):
    """The body is not the answer that was asked for: broken off, of another kind, or contradicting itself."""


class FaultInsideError(ValueError):
    """The body carries a fault instead of, or beside, what was asked for."""

    def __init__(self, body: bytes) -> None:
        super().__init__("a fault")
        self.body = body


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """One page of records. ``time`` is Intuit's clock when it answered."""

    records: list[msgspec.Raw]
    time: datetime | None
    total_count: int | None = None


@dataclass(frozen=True, slots=True)
class CountAnswer:
    """How many records there are. ``time`` is Intuit's clock when it counted them."""

    total: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class RecordAnswer:
    """One record, under the name QuickBooks gives its kind."""

    entity: str
    record: msgspec.Raw
    time: datetime | None


@dataclass(frozen=True, slots=True)
class DeletedStub:
    """All QuickBooks still says about a deleted record."""

    id: str
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class CdcAnswer:
    """Everything that changed or was deleted, per entity; entities without changes are absent."""

    records: dict[str, list[msgspec.Raw]]
    deleted: dict[str, list[DeletedStub]]
    total: int
    time: datetime | None
    claimed: int = field(default=0)

    @property
    def is_truncated(self) -> bool:
        """May objects be missing? True at 1000, because QuickBooks cuts there without saying so."""
        return max(self.total, self.claimed) >= CDC_LIMIT


class _MetaData(msgspec.Struct):
    updated: str | None = msgspec.field(default=None, name="LastUpdatedTime")


class _Status(msgspec.Struct):
    status: str | None = None
    id: str | int | None = msgspec.field(default=None, name="Id")
    meta: _MetaData | None = msgspec.field(default=None, name="MetaData")


class _Queried(msgspec.Struct):
    """The envelope of a query's answer, its records apart: a page is megabytes, so it is opened in one pass."""

    inner: dict[str, list[msgspec.Raw] | dict[str, msgspec.Raw] | str | int | float | bool | None] | None = (
        msgspec.field(default=None, name="QueryResponse")
    )
    time: msgspec.Raw = msgspec.Raw(b"0")
    fault: msgspec.Raw | None = msgspec.field(default=None, name="Fault")
    small_fault: msgspec.Raw | None = msgspec.field(default=None, name="fault")


_queried = msgspec.json.Decoder(_Queried)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_integer = msgspec.json.Decoder(int)
_text = msgspec.json.Decoder(str)
_status = msgspec.json.Decoder(_Status)

_FAULTS = frozenset(("Fault", "fault"))

_T = TypeVar("_T")


def members(body: bytes) -> dict[str, msgspec.Raw]:
    """Open the outer object of an answer. Raises ``FaultInsideError`` when it carries a fault, whatever the status."""
    _be_utf8(body)
    outer = _decoded(_object, body)
    _no_fault(outer)
    return outer


def query_answer(body: bytes, entity: str) -> QueryAnswer:
    """Read the answer to a ``select *``. Raises ``FaultInsideError`` when it carries a fault."""
    _be_utf8(body)
    try:
        opened = _decoded(_queried, body)
    except NotAnAnswerError:
        members(body)  # a fault, if it carries one, is the better explanation
        raise
    inner = opened.inner
    if inner is None or not _FAULTS.isdisjoint(inner) or opened.fault is not None or opened.small_fault is not None:
        _member(members(body), "QueryResponse")  # says what it is; a fault without content is none
    if inner is None:
        raise NotAnAnswerError("QueryResponse is null")
    arrays = {key: value for key, value in inner.items() if isinstance(value, list)}
    if (own := _name_for(entity, arrays)) is not None:
        records = arrays[own]
    elif len(arrays) == 1:  # asked by one name, answered by another (CreditCardPayment, CreditCardPaymentTxn)
        records = next(iter(arrays.values()))
    elif arrays:
        raise NotAnAnswerError(f"several arrays, none of them {entity}")
    else:
        records = []
    _be_records(records)
    if not records and _whole_number(inner, "maxResults"):
        raise NotAnAnswerError("it counts records it does not contain")
    return QueryAnswer(records, _time({"time": opened.time}), _whole_number(inner, "totalCount"))


def count_answer(outer: dict[str, msgspec.Raw]) -> CountAnswer:
    """Read the answer to a ``select count(*)``."""
    total = _count(_member(outer, "QueryResponse"), "totalCount")
    if total is None or total < 0:
        raise NotAnAnswerError("it contains no count")
    return CountAnswer(total, _time(outer))


def record_answer(outer: dict[str, msgspec.Raw]) -> RecordAnswer:
    """Read the answer to a read of one record."""
    objects = {key: raw for key, raw in outer.items() if _starts(raw, "{")}
    if len(objects) != 1:
        raise NotAnAnswerError("it does not contain exactly one record")
    ((entity, record),) = objects.items()
    return RecordAnswer(entity, record, _time(outer))


def cdc_answer(outer: dict[str, msgspec.Raw], entities: Sequence[str]) -> CdcAnswer:
    """Read the answer to a change data capture call, matching blocks by name: their order means nothing."""
    if "CDCResponse" not in outer:
        raise NotAnAnswerError("CDCResponse is missing")
    records: dict[str, list[msgspec.Raw]] = {}
    deleted: dict[str, list[DeletedStub]] = {}
    total = claimed = 0
    for group in _decoded(_objects, outer["CDCResponse"]):
        _no_fault(group)
        for block in _decoded(_objects, group["QueryResponse"]) if "QueryResponse" in group else ():
            _no_fault(block)
            claimed += _count(block, "totalCount") or 0
            for key, raw in block.items():
                if not _starts(raw, "["):
                    continue
                entity = _name_for(key, entities) or key
                for record in _records(raw):
                    total += 1
                    stub = _stub(record)
                    if stub is None:
                        records.setdefault(entity, []).append(record)
                    else:
                        deleted.setdefault(entity, []).append(stub)
    return CdcAnswer(records, deleted, total, _time(outer), claimed)


def address_answer(body: bytes) -> str:
    """Read the answer to a download: an address as plain text."""
    text = body.strip().strip(b'"')
    if text.startswith(b"{"):
        members(bytes(text))  # a fault, most likely, and that is the better explanation
    if not text.isascii() or not text.startswith((b"https://", b"http://")):
        raise NotAnAnswerError("it is no address")
    return text.decode()


def moment(text: str | None) -> datetime | None:
    """Read a time as QuickBooks writes it; None when it is none, or has no zone."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.utcoffset() is not None else None


def _name_for(wanted: str, names: Iterable[str]) -> str | None:
    """Return the one of ``names`` that means ``wanted``: itself, in another case, or with or without ``Txn``."""
    plain = {name.lower(): name for name in names}
    low = wanted.lower()
    return plain.get(low) or plain.get(low + "txn") or plain.get(low.removesuffix("txn"))


def _stub(record: msgspec.Raw) -> DeletedStub | None:
    found = _decoded(_status, record)
    if (found.status or "").lower() != "deleted":
        return None
    if found.id is None:
        raise NotAnAnswerError("a deleted record without an Id")
    return DeletedStub(str(found.id), moment(found.meta.updated) if found.meta else None)


def _be_utf8(body: bytes) -> None:
    if not body.isascii():
        try:
            body.decode()  # msgspec skips over the inside of records; text that is no UTF-8 would surface much later
        except UnicodeDecodeError as error:
            raise NotAnAnswerError("the body is not UTF-8") from error


def _records(array: msgspec.Raw) -> list[msgspec.Raw]:
    records = _decoded(_list, array)
    _be_records(records)
    return records


def _be_records(found: list[msgspec.Raw]) -> None:
    if not all(_starts(each, "{") for each in found):
        raise NotAnAnswerError("a list of records holds something that is no record")


def _member(outer: dict[str, msgspec.Raw], name: str) -> dict[str, msgspec.Raw]:
    if name not in outer:
        raise NotAnAnswerError(f"{name} is missing")
    inner = _decoded(_object, outer[name])
    _no_fault(inner)
    return inner


def _no_fault(found: dict[str, msgspec.Raw]) -> None:
    for name in _FAULTS:
        if name in found and bytes(found[name]) not in {b"null", b"{}"}:
            raise FaultInsideError(b'{"Fault":' + bytes(found[name]) + b"}")


def _count(found: dict[str, msgspec.Raw], name: str) -> int | None:
    return _decoded(_integer, found[name]) if name in found else None


def _whole_number(found: Mapping[str, object], name: str) -> int | None:
    if name not in found:
        return None
    value = found[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise NotAnAnswerError(f"its {name} is no whole number")
    return value


def _time(outer: dict[str, msgspec.Raw]) -> datetime | None:
    return moment(_decoded(_text, outer["time"])) if _starts(outer.get("time", msgspec.Raw(b"0")), '"') else None


def _starts(raw: msgspec.Raw, sign: str) -> bool:
    return memoryview(raw)[:1] == sign.encode()


def _decoded(decoder: msgspec.json.Decoder[_T], body: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnAnswerError(type(error).__name__) from error
