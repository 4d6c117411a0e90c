"""Who a raw record is, and when it was last touched, without reading the rest of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.qbo.answers import moment


class _Times(msgspec.Struct):
    updated: str | None = msgspec.field(default=None, name="LastUpdatedTime")


class _Head(msgspec.Struct):
    id: str | int | None = msgspec.field(default=None, name="Id")
    sync_token: str | int | None = msgspec.field(default=None, name="SyncToken")
    times: _Times | None = msgspec.field(default=None, name="MetaData")


_head = msgspec.json.Decoder(_Head).decode
_wrapped = msgspec.json.Decoder(dict[str, _Head]).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str | int).decode


def key_in(entity: Entity, record: msgspec.Raw) -> str:
    """Return a record's Id, or the parts of its natural key joined; empty when it has none we can read."""
    if entity.key_fields != ("Id",):
        members = _members(record)
        return "-".join(str(_text(members[field])) for field in entity.key_fields if field in members)
    head = _read(entity, record)
    return "" if head is None or head.id is None else str(head.id)


def updated_at(entity: Entity, record: msgspec.Raw) -> datetime | None:
    """Return when QuickBooks last touched a record; None when it does not say so in a way we understand."""
    head = _read(entity, record)
    return moment(head.times.updated) if head is not None and head.times is not None else None


def version_in(entity: Entity, record: msgspec.Raw) -> tuple[str | None, datetime | None]:
    """Return a record's SyncToken and when QuickBooks last touched it; None for what it does not say."""
    head = _read(entity, record)
    token = None if head is None or head.sync_token is None else str(head.sync_token)
    return token, updated_at(entity, record)


def touched(entity: Entity, records: list[msgspec.Raw], since: datetime) -> list[msgspec.Raw]:
    """Return the records touched since then; one that does not say counts as touched."""
    return [record for record in records if (updated := updated_at(entity, record)) is None or updated >= since]


def _read(entity: Entity, record: msgspec.Raw) -> _Head | None:
    try:
        if entity.wrapped:
            return next((head for head in _wrapped(record).values() if head.id is not None), None)
        return _head(record)
    except msgspec.ValidationError:  # a member of another type than ever seen
        return None
