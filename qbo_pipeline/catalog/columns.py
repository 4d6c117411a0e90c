"""From record classes to columns: names, Postgres types, and where in the payload each value lives."""

from __future__ import annotations

import datetime
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from qbo_pipeline.catalog.choices import OneOf
from qbo_pipeline.catalog.fields import MEMBER_SUFFIX, ModificationMetaData, Ref, Timestamp, TypedRef

Kind = Literal["text", "numeric", "boolean", "date", "bigint", "timestamptz", "jsonb"]

_KINDS: dict[type, Kind] = {
    Decimal: "numeric",
    bool: "boolean",
    datetime.date: "date",
    int: "bigint",
    msgspec.Raw: "jsonb",
    str: "text",
}

_META_NAMES = {"CreateTime": "created_at", "LastUpdatedTime": "updated_at", "LastModifiedByRef": "last_modified_by"}
_META_ABOUT = {
    "CreateTime": "when the record was made in QuickBooks",
    "LastUpdatedTime": "when QuickBooks last touched the record",
    "LastModifiedByRef": "user who last changed it",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    ``path`` is where its value lives in the payload, for example ``("CustomerRef", "value")``; columns that we add
    ourselves (``realm_id``, ``position``, ``synced_at``) have an empty path.
    """

    name: str
    kind: Kind
    description: str
    path: tuple[str, ...] = ()
    nullable: bool = True
    #: Values it is known to take; empty where QuickBooks does not choose from a list.
    values: frozenset[str] = frozenset()


def snake_case(name: str) -> str:
    """``APAccountRef`` -> ``ap_account_ref``, ``V4IDPseudonym`` -> ``v4_id_pseudonym``."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def columns_of(record: type[msgspec.Struct]) -> Iterator[Column]:
    """Yield the columns of a record class in the order of its fields; lists of lines are tables of their own."""
    hints = typing.get_type_hints(record, include_extras=True)
    for field in msgspec.structs.fields(record):
        hint = hints[field.name]
        if typing.get_origin(hint) is list:
            continue
        yield from _columns_of_field(field.name, hint)


def lines_of(record: type[msgspec.Struct]) -> tuple[str, type[msgspec.Struct]] | None:
    """Return the field that holds a record's lines and their class, None for records without lines."""
    for name, hint in typing.get_type_hints(record).items():
        if typing.get_origin(hint) is list:
            return name, typing.get_args(hint)[0]
    return None


def _columns_of_field(name: str, hint: Any) -> Iterator[Column]:
    about = _description(hint)
    bare = _bare_type(hint)
    if bare is ModificationMetaData:
        for member, base in _META_NAMES.items():
            if member == "LastModifiedByRef":
                yield from _ref_columns(base, (name, member), _META_ABOUT[member])
            else:
                yield Column(base, "timestamptz", _META_ABOUT[member], (name, member))
    elif bare in (Ref, TypedRef):
        yield from _ref_columns(snake_case(name.removesuffix("Ref")), (name,), about, bare)
    elif bare in MEMBER_SUFFIX:
        (member,) = MEMBER_SUFFIX[bare]
        yield Column(snake_case(name), "text", about, (name, member))
    elif isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        for column in columns_of(bare):
            yield Column(
                f"{snake_case(name)}_{column.name.removeprefix(snake_case(name) + '_')}",
                column.kind,
                ": ".join(filter(None, (about, column.description))),
                (name, *column.path),
                values=column.values,
            )
    else:
        kind = _KINDS[bare] if bare is not Timestamp else "timestamptz"
        yield Column(snake_case(name), kind, about, (name,), values=_values(hint))


_REF_ABOUT = {"value": "id", "name": "name, as QuickBooks gave it with this record", "type": "kind of record"}


def _ref_columns(base: str, path: tuple[str, ...], about: str, kind: type = Ref) -> Iterator[Column]:
    for member, suffix in MEMBER_SUFFIX[kind].items():
        yield Column(base + suffix, "text", f"{about}: {_REF_ABOUT[member]}", (*path, member))


def _description(hint: Any) -> str:
    if typing.get_origin(hint) is Annotated:
        return next((m for m in hint.__metadata__ if isinstance(m, str)), "") or _description(hint.__origin__)
    return ""


def _values(hint: Any) -> frozenset[str]:
    if typing.get_origin(hint) is Annotated:
        return next((mark.values for mark in hint.__metadata__ if isinstance(mark, OneOf)), frozenset())
    return frozenset()


def _bare_type(hint: Any) -> Any:
    """Strip ``Annotated`` and ``| None`` from a type; a mark (``Timestamp``, ``Decimal``) wins over what it marks."""
    if typing.get_origin(hint) is Annotated:
        marks = [mark for mark in (Timestamp, Decimal) if mark in hint.__metadata__]
        return marks[0] if marks else _bare_type(hint.__origin__)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (bare,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
        return _bare_type(bare)
    return hint
