"""The kinds of field a QuickBooks record has, and what each becomes in Postgres.

A record class (``sales.Invoice``) is read top to bottom as a list of ``Name: Annotated[Kind, "what it means"]`` in
QuickBooks' own spelling. ``columns.py`` derives everything else from these kinds: column names and types, comments,
decoding, rendering.

Every field is optional: Intuit's schema makes nearly all members ``minOccurs=0`` and leaves out what has no value.
Unknown members are refused (``forbid_unknown_fields``), which is how the fast path notices that a record needs the
careful one; they are kept in ``extra``, never dropped.
"""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from qbo_pipeline.catalog import choices

#: An absent sub-object. Zero bytes of JSON become an empty cell, hence NULL.
ABSENT = msgspec.Raw(b"")

Text = str | None
#: Money, quantities, rates: kept digit by digit as QuickBooks wrote them, never through float.
Number = Annotated[msgspec.Raw, Decimal]
Flag = bool | None
Date = datetime.date | None
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None
#: A nested object or list that is kept as it came, as jsonb.
Json = msgspec.Raw


class Timestamp(str):
    """Marks a field whose text is an instant (``2026-11-20T08:00:00-08:00``); stored as timestamptz."""

    __slots__ = ()


Instant = Annotated[str | None, Timestamp]


class Ref(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reference to another record: ``{"value": "35", "name": "Checking"}``; ``value`` is its Id."""

    value: Text = None
    name: Text = None


class TypedRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reference that says of which kind: ``{"value": "35", "name": "Ann", "type": "Vendor"}``."""

    value: Text = None
    name: Text = None
    type: Text = None


class EmailAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    Address: Text = None


class TelephoneNumber(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    FreeFormNumber: Text = None


class WebSiteAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    URI: Text = None


class MemoRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: Text = None


class ModificationMetaData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a record was made and last touched, by Intuit's clock."""

    CreateTime: Instant = None
    LastUpdatedTime: Instant = None
    LastModifiedByRef: Ref = Ref()


#: How the members of a flattened sub-object are named after the field that holds it.
MEMBER_SUFFIX: dict[type, dict[str, str]] = {
    Ref: {"value": "_id", "name": "_name"},
    TypedRef: {"value": "_id", "name": "_name", "type": "_type"},
    EmailAddress: {"Address": ""},
    TelephoneNumber: {"FreeFormNumber": ""},
    WebSiteAddress: {"URI": ""},
    MemoRef: {"value": ""},
}


class Entry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What nearly every entity carries, whatever it is known by."""

    SyncToken: Annotated[Text, "version of the record itself; does not move when only a balance changes"] = None
    MetaData: ModificationMetaData = ModificationMetaData()
    domain: Annotated[Text, "always QBO"] = None
    sparse: Annotated[Flag, "whether QuickBooks returned only some fields; false for a full read"] = None
    status: Annotated[Text, "set by QuickBooks on deleted or unsynchronised records only", choices.STATUS] = None
    CustomField: Annotated[Json, "custom fields: definition, name, type and value of each"] = ABSENT


class Record(Entry, kw_only=True):
    """What every entity with an Id carries."""

    Id: Annotated[Text, "QuickBooks' id, unique within company and entity; text, as Intuit asks to treat it"] = None
