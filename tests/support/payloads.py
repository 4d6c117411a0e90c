"""Finding the records in folders of real payloads: whatever is named after an entity of the catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from qbo_pipeline.catalog import ENTITIES, Entity

#: Kinds of sample that are no books.
NO_BOOKS = {"report", "fault", "fault-xml", "webhook", "oauth", "http-headers"}

_encode = msgspec.json.Encoder(decimal_format="number").encode


def raw(payload: Any) -> msgspec.Raw:
    """Return a payload as the bytes QuickBooks would send, numbers digit by digit."""
    return msgspec.Raw(_encode(payload))


def inner_record(entity: Entity, record: dict[str, Any]) -> dict[str, Any]:
    """Return the object that carries a record's fields: the record itself, or what is inside its wrapper."""
    return next((value for value in record.values() if isinstance(value, dict)), {}) if entity.wrapped else record


def key_text(entity: Entity, record: dict[str, Any]) -> str:
    """Return what a person would call a record: its Id, or the parts of its natural key."""
    return "-".join(str(inner_record(entity, record)[field]) for field in entity.key_fields)


@cache
def sample_records(folder: Path) -> list[tuple[Entity, dict[str, Any], str]]:
    """Return every record of the catalogue's entities below ``folder`` but delete answers: entity, payload, file."""
    found = []
    for path in sorted(folder.glob("*/*/*.json")):
        if path.parent.parent.name not in NO_BOOKS:
            document = json.loads(path.read_text(), parse_float=Decimal)
            found += [(entity, record, str(path.relative_to(folder))) for entity, record in _records(document)]
    return found


def _records(document: Any) -> Iterator[tuple[Entity, dict[str, Any]]]:
    by_name = {entity.json_key: entity for entity in ENTITIES}
    if isinstance(document, list):
        for inner in document:
            yield from _records(inner)
    elif isinstance(document, dict):
        for key, value in document.items():
            if key in by_name:
                for record in value if isinstance(value, list) else [value]:
                    if isinstance(record, dict) and _is_record(by_name[key], record):
                        yield by_name[key], record
            if key not in by_name or not by_name[key].wrapped:  # what is inside a template is no record of its own
                yield from _records(value)


def _is_record(entity: Entity, record: dict[str, Any]) -> bool:
    return set(entity.key_fields) <= inner_record(entity, record).keys() and record.get("status") != "Deleted"
