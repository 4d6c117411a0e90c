"""One write by its operation word, from a request of its own or from a batch item.

Which entities can be voided, and what the others answer instead, follows the per-entity pages and a live sandbox.
"""

from __future__ import annotations

from qbo_pipeline.sandbox import writes
from qbo_pipeline.sandbox.books import Books, Record
from qbo_pipeline.sandbox.entities import Entity
from qbo_pipeline.sandbox.faults import ApiError, not_found, unsupported
from qbo_pipeline.sandbox.settings import Settings
from qbo_pipeline.sandbox.values import Payload, encode


def carry_out(books: Books, entity: Entity, operation: str, record: Payload, settings: Settings) -> bytes:
    """Do it, and return the JSON object that answers."""
    match operation:
        case "create":
            return envelope(entity, writes.create(books, entity.name, record, settings))
        case "update":
            sparse = record.get("sparse") is True
            return envelope(entity, writes.update(books, entity.name, record, settings, sparse=sparse))
        case "delete":
            key = writes.delete(books, entity.name, record, settings)
            return encode({entity.name: {"domain": "QBO", "status": "Deleted", "Id": key}})
        case "void" if entity.void:
            return envelope(entity, writes.void(books, entity.name, record, settings))
        case "void" if entity.name == "JournalEntry":  # live sandbox: answers, and does nothing
            return b'{"BatchItemResponse":[]}'
        case "void" if entity.name == "Bill":  # live sandbox: HTTP 200 with a Fault
            message = "An application error has occurred while processing your request"
            raise ApiError(200, "10000", message, "System Failure Error", "SystemFault")
    raise unsupported(f"Operation {operation} is not supported.")


def envelope(entity: Entity, record: Record | None) -> bytes:
    """Wrap a record in its entity's name, or say that there is none."""
    if record is None:
        raise not_found()
    return b"{" + encode(entity.name) + b":" + record.body + b"}"
