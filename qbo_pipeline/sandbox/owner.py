"""Changing books as their owner would in QuickBooks' own screens: the operations of ``/_sandbox/books/{realm}``.

A list of operations is checked as a whole before any of it is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qbo_pipeline.sandbox import writes
from qbo_pipeline.sandbox.books import Books, inner, key_of, named_by
from qbo_pipeline.sandbox.entities import BY_NAME
from qbo_pipeline.sandbox.settings import Settings
from qbo_pipeline.sandbox.validation import check_shape


class UnknownInputError(ValueError):
    """The remote control was asked for something it does not have; the text says what, in one sentence."""


def only(body: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return the body if it is an object with known members only."""
    if not isinstance(body, dict):
        raise UnknownInputError("The body must be a JSON object.")
    for name in body:
        if name not in known:
            raise UnknownInputError(f"'{name}' is not understood here; known are {', '.join(known)}.")
    return body


_OPERATION = ("op", "entity", "id", "record", "into", "replace", "silent")
_OPS = ("create", "update", "delete", "void", "deactivate", "merge", "touch", "restore")


def check_operations(held: Books, operations: Sequence[dict[str, Any]]) -> None:
    """Refuse a list that could not be applied to its end."""
    there: dict[tuple[str, str], bool] = {}
    for each in operations:
        _check_operation(held, each, there)


def _check_operation(held: Books, asked: dict[str, Any], there: dict[tuple[str, str], bool]) -> None:
    """Refuse what cannot be applied; ``there`` remembers what earlier operations of the list make or remove."""
    only(asked, _OPERATION)
    operation, entity, record = asked.get("op"), asked.get("entity"), asked.get("record")
    if operation not in _OPS:
        raise UnknownInputError(f"'{operation}' is not an operation; known are {', '.join(_OPS)}.")
    if entity not in BY_NAME:
        raise UnknownInputError(f"'{entity}' is not an entity.")
    if operation in {"create", "update"} and not isinstance(record, dict):
        raise UnknownInputError(f"The operation {operation} needs a record.")
    if isinstance(record, dict):
        check_shape(inner(record))

    def exists(key: object) -> bool:
        return there.get((entity, str(key)), held.get(entity, str(key)) is not None)

    key = asked.get("id") or _named_in(entity, record)
    if operation == "create":
        if key is not None and exists(key):
            raise UnknownInputError(f"There is a {entity} {key} already; update it instead.")
        there[(entity, str(key))] = True
        return
    if key is None:
        raise UnknownInputError(f"The operation {operation} needs an id.")
    if operation == "restore":
        left = there.get((entity, str(key))) is False or str(key) in held.table(entity).tombstones
        if exists(key) or not left:
            raise UnknownInputError(f"There is no deleted {entity} {key} to restore.")
        there[(entity, str(key))] = True
        return
    if not exists(key):
        raise UnknownInputError(f"There is no {entity} {key}.")
    if operation == "merge" and (not exists(asked.get("into")) or str(asked.get("into")) == str(key)):
        raise UnknownInputError(f"The operation merge needs 'into', the id of another {entity} that exists.")
    there[(entity, str(key))] = operation not in {"delete", "merge"}


def _named_in(entity: str, record: Any) -> str | None:
    """Return the key a record brings along, if it brings one."""
    if not isinstance(record, dict) or not any(inner(record).get(name) for name in BY_NAME[entity].key):
        return None
    return key_of(entity, record)


def apply(held: Books, operations: Sequence[dict[str, Any]], settings: Settings) -> list[dict[str, Any]]:
    """Change books as their owner would; return what became of each operation."""
    return [_applied(held, each, settings) for each in operations]


def _applied(held: Books, asked: dict[str, Any], settings: Settings) -> dict[str, Any]:
    entity, record = asked["entity"], asked.get("record") or {}
    key = str(asked.get("id") or _named_in(entity, record))
    target = record | named_by(entity, key)
    done: dict[str, Any] = {"op": asked["op"], "entity": entity, "Id": key}
    match asked["op"]:
        case "create":
            return done | {"Id": writes.create(held, entity, record, settings, strict=False).key}
        case "update" if asked.get("silent"):  # edits the payload and moves nothing else
            with held.calling(entity, key, None):
                held.keep(entity, writes.current(held, entity, target) | record)
        case "update":
            writes.update(held, entity, target, settings, sparse=not asked.get("replace"), strict=False)
        case "touch":
            writes.touch(held, entity, writes.current(held, entity, target), settings)
        case "delete":
            writes.delete(held, entity, target, settings, strict=False)
        case "restore":
            writes.restore(held, entity, key, settings)
        case "void":
            writes.void(held, entity, target, settings, strict=False)
        case "deactivate":
            writes.deactivate(held, entity, key, settings)
        case "merge":
            done["repointed"] = writes.merge(held, entity, key, str(asked["into"]), settings)
    return done
