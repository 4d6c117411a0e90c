"""What a webhook notification says: events, in either of the formats Intuit has used.

Flows in    the body of a notification whose signature was verified
Flows out   one ``Event`` per change it tells of, each with its own raw text
Refuses     nothing: what it cannot read is an event with a ``problem``, so that nothing Intuit signed is lost

Today a notification is a JSON array of CloudEvents, which may be of several companies; until 2026 it was an object with
``eventNotifications`` (developer.intuit.com, "Webhooks", and its post of 2025-11-12). Neither holds the record itself:
an event is a hint that there is something to read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from qbo_pipeline.qbo.answers import moment

Operation = Literal["created", "updated", "deleted", "merged", "voided", "emailed"]

#: A notification of a megabyte has some 4,000 events; what claims more is kept as the one thing it is.
MOST_EVENTS = 10_000

_LEGACY_OPERATIONS = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "merge": "merged",
    "void": "voided",
    "emailed": "emailed",
}
_TYPE = re.compile(r"qbo\.(?P<entity>[a-z]+)\.(?P<operation>[a-z]+)\.v1", re.IGNORECASE)
_REALM = re.compile(r"[0-9]{1,50}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[!-~]{1,200}")
#: Beyond these, a time is a mistake; and neither Postgres nor Python is asked what it makes of the year 0.
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

# What msgspec raises for bytes that are no JSON, or none of ours: brackets without end, half a character.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Event:
    """One change in QuickBooks, or something signed that we cannot read (``problem`` says why).

    ``key`` is the same for every delivery of the same event. ``entity`` is the catalogue's name, ``deleted_id`` the
    record that a merge took away, ``raw`` a notification of this event alone.
    """

    key: str
    raw: bytes
    realm_id: str | None = None
    entity: str | None = None
    record_id: str | None = None
    operation: Operation | None = None
    time: datetime | None = None
    deleted_id: str | None = None
    problem: str | None = None


class _CloudEvent(msgspec.Struct):
    id: str = ""
    type: str = ""
    time: str = ""
    specversion: str = ""
    entity_id: str | int = msgspec.field(default="", name="intuitentityid")
    realm_id: str | int = msgspec.field(default="", name="intuitaccountid")
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Data(msgspec.Struct):
    deleted_id: str | int | None = msgspec.field(default=None, name="deletedid")


class _Change(msgspec.Struct):
    name: str = ""
    id: str | int = ""
    operation: str = ""
    last_updated: str = msgspec.field(default="", name="lastUpdated")
    deleted_id: str | int | None = msgspec.field(default=None, name="deletedId")


class _Changes(msgspec.Struct):
    entities: list[msgspec.Raw] = []


class _Company(msgspec.Struct):
    realm_id: str | int = msgspec.field(name="realmId")
    changes: _Changes = msgspec.field(name="dataChangeEvent")


class _Legacy(msgspec.Struct):
    companies: list[msgspec.Raw] = msgspec.field(name="eventNotifications")


_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_cloud_event = msgspec.json.Decoder(_CloudEvent).decode
_data = msgspec.json.Decoder(_Data).decode
_change = msgspec.json.Decoder(_Change).decode
_company = msgspec.json.Decoder(_Company).decode
_legacy = msgspec.json.Decoder(_Legacy).decode


def read_notification(body: bytes, names: Mapping[str, str]) -> list[Event]:
    """Return the events of a notification, in its order; an empty array has none.

    ``names`` are the entities that are of interest: our name of each by Intuit's, in small letters.
    """
    try:
        events = [_named(each, names) for each in _events(body)]
    except _UNREADABLE:
        return [_unread(body, "it is no notification in a format we know")]
    if len(events) > MOST_EVENTS:
        return [_unread(body, f"it claims {len(events):,} events")]
    return events


def _events(body: bytes) -> Iterator[Event]:
    if body.lstrip()[:1] == b"[":
        for raw in _array(body):
            yield _of_cloud_event(bytes(raw))
        return
    try:
        companies = _legacy(body).companies
    except msgspec.ValidationError:
        if not _cloud_event(body).specversion:
            raise
        yield _of_cloud_event(body)
        return
    for each in companies:
        yield from _of_company(bytes(each))


def _of_cloud_event(raw: bytes) -> Event:
    try:
        event = _cloud_event(raw)
    except _UNREADABLE:
        return _unread(raw, "it is no CloudEvent")
    kind = _TYPE.fullmatch(event.type)
    return _event(
        _short(event.id) if event.id else _digest("body", raw),
        raw,
        realm_id=str(event.realm_id),
        name=kind["entity"] if kind else "",
        record_id=str(event.entity_id),
        operation=kind["operation"].lower() if kind else "",
        time=event.time,
        deleted_id=_deleted_id(event.data),
        problem=None if kind else f"its type is {event.type[:100]!r}",
    )


def _of_company(raw: bytes) -> Iterator[Event]:
    try:
        company = _company(raw)
    except _UNREADABLE:
        yield _unread(b'{"eventNotifications":[' + raw + b"]}", "it names no company, or no changes")
        return
    realm = str(company.realm_id)
    for each in company.changes.entities:
        alone = msgspec.json.encode(
            {"eventNotifications": [{"realmId": realm, "dataChangeEvent": {"entities": [each]}}]}
        )
        try:
            change = _change(each)
        except _UNREADABLE:
            yield _unread(alone, "it is no change of an entity")
            continue
        told = (realm, change.name, str(change.id), change.operation, change.last_updated)
        yield _event(
            # Intuit gives these no id; the deleted one is part of what was told of a merge.
            _digest("legacy", "\n".join((*told, str(change.deleted_id or ""))).encode("utf-8", "surrogatepass")),
            alone,
            realm_id=realm,
            name=change.name,
            record_id=str(change.id),
            operation=_LEGACY_OPERATIONS.get(change.operation.lower(), ""),
            time=change.last_updated,
            deleted_id=None if change.deleted_id is None else str(change.deleted_id),
            problem=None,
        )


def _event(
    key: str,
    raw: bytes,
    *,
    realm_id: str,
    name: str,
    record_id: str,
    operation: str,
    time: str,
    deleted_id: str | None,
    problem: str | None,
) -> Event:
    """Return an event whose every part is what it should be, or one that says which is not; its entity as told."""
    at = moment(time)
    if problem is None and operation not in get_args(Operation):
        problem = "its operation is none we know"
    elif problem is None and not _ID.fullmatch(record_id):
        problem = "it names no record"
    elif problem is None and deleted_id is not None and not _ID.fullmatch(deleted_id):
        problem = "the record it says is merged away has no id"
    elif problem is None and (at is None or not _EARLIEST < at < _LATEST):
        problem = "it does not say when"
    realm = realm_id if _REALM.fullmatch(realm_id) else None
    if problem is None and realm is None:
        problem = "it names no company"
    if problem is not None:
        return Event(key, raw, realm, problem=problem)
    return Event(key, raw, realm, name, record_id, operation, at, deleted_id)  # type: ignore[arg-type]


def _named(event: Event, names: Mapping[str, str]) -> Event:
    """Return an event with our name of its entity; of one that has none here, it says so."""
    told = event.entity or ""
    entity, problem = names.get(told.lower()), event.problem
    if problem is None and entity is None:
        problem = f"nothing called {told[:40]!r} is synced"
    if problem is None:
        return replace(event, entity=entity)
    # Texts from outside may hold what no database takes.
    return Event(event.key, event.raw, event.realm_id, problem=problem.encode("ascii", "backslashreplace").decode())


def _deleted_id(data: msgspec.Raw) -> str | None:
    try:
        found = _data(data).deleted_id
    except _UNREADABLE:  # it may be anything, and mostly it is nothing
        return None
    return None if found is None else str(found)


def _unread(raw: bytes, problem: str) -> Event:
    return Event(_digest("body", raw), raw, problem=problem)


def _short(key: str) -> str:
    return key if _KEY.fullmatch(key) else _digest("id", key.encode("utf-8", "surrogatepass"))


def _digest(kind: str, content: bytes) -> str:
    return f"{kind}:{hashlib.sha256(content).hexdigest()}"
