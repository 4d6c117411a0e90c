"""Batch: up to thirty independent items in one call, answered one by one (Intuit: batch).

An item is a ``Query``, a ``CDCQuery`` (in Intuit's XSD, undocumented) or an ``operation`` with a record. Items fail on
their own: the call itself answers 200.
"""

from __future__ import annotations

from typing import Any

from qbo_pipeline.sandbox import cdc
from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.entities import find
from qbo_pipeline.sandbox.faults import ApiError, missing, unsupported
from qbo_pipeline.sandbox.grammar import parse
from qbo_pipeline.sandbox.operations import carry_out
from qbo_pipeline.sandbox.values import encode
from qbo_pipeline.sandbox.world import World

MOST_ITEMS = 30


def run(books: Books, request: Any, world: World) -> bytes:
    """Answer ``{"BatchItemRequest": [...]}``."""
    items = request.get("BatchItemRequest") if isinstance(request, dict) else None
    if not isinstance(items, list) or not items:
        raise missing("BatchItemRequest")
    if len(items) > MOST_ITEMS:
        raise ApiError(400, "1040", "Batch size exceeded", f"The maximum number of items is {MOST_ITEMS}")
    return b'{"BatchItemResponse":[' + b",".join(_answer(books, item, world) for item in items) + b"]}"


def _answer(books: Books, item: Any, world: World) -> bytes:
    asked = item if isinstance(item, dict) else {}
    try:
        found = _found(books, asked, world)
    except ApiError as error:
        found = encode({"Fault": error.error()})
    return found[:-1] + b',"bId":' + encode(asked.get("bId")) + b"}"


def _found(books: Books, item: dict[str, Any], world: World) -> bytes:
    if isinstance(item.get("Query"), str):
        page = world.finder.run(parse(item["Query"]), books, world.settings)
        return b'{"QueryResponse":' + page.body() + b"}"
    if isinstance(asked := item.get("CDCQuery"), dict):
        entities, since = str(asked.get("Entities", "")), str(asked.get("ChangedSince", ""))
        return b'{"CDCResponse":' + cdc.changes(books, entities, since, world.settings, world.shuffle) + b"}"
    for name, record in item.items():
        entity = find(name)
        if entity is not None and isinstance(record, dict):
            return carry_out(books, entity, str(item.get("operation", "create")), record, world.settings)
    raise unsupported("Operation of a batch item is missing.")
