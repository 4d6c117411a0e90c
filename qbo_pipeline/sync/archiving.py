"""Moves deleted records into the archive, each with its last image in QuickBooks' own JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import LoadError
from qbo_pipeline.sync.deleting import Gone
from qbo_pipeline.sync.fence import Fence
from qbo_pipeline.sync.render import render
from qbo_pipeline.warehouse.deletions import Deletion, archive
from qbo_pipeline.warehouse.entity_rows import stored_records

#: How many records one transaction moves; their images are in memory meanwhile.
_TOGETHER = 500

_encode = msgspec.json.Encoder(decimal_format="number").encode


def archive_gone(
    engine: Engine,
    realm_id: str,
    gone: Mapping[Entity, Sequence[Gone]],
    *,
    fence: Fence | None = None,
) -> dict[str, int]:
    """Move every record that is gone out of its tables; return how many rows left, by entity.

    ``fence`` is called in each transaction first and raises when this process may not write any more.
    """
    moved = {}
    for entity, records in gone.items():
        todo, count = iter(records), 0
        while part := list(islice(todo, _TOGETHER)):
            try:
                with engine.begin() as connection:
                    if fence is not None:
                        fence(connection.connection.cursor())
                    count += archive(connection, entity, realm_id, _with_images(connection, entity, realm_id, part))
            except DBAPIError as error:
                # Its text may quote a row, so only Postgres' code is kept.
                raise LoadError(
                    f"Moving deleted {entity.name} records of company {realm_id} failed with Postgres error "
                    f"{getattr(error.orig, 'pgcode', None) or 'unknown'}; no cursor moved; the next sync tries again."
                ) from None
        moved[entity.name] = count
    return moved


def _with_images(connection: Connection, entity: Entity, realm_id: str, gone: Sequence[Gone]) -> list[Deletion]:
    stored = stored_records(connection, entity, realm_id, [each.id for each in gone])
    return [
        Deletion(
            each.id,
            each.deleted_at,
            each.how,
            _encode(render(entity, *stored[each.id])).decode() if each.id in stored else None,
        )
        for each in gone
    ]
