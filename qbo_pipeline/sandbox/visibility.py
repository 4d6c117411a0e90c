"""Late visibility: what queries and change data capture see while the newest writes have not reached them yet.

Intuit documents none, yet every service that answers queries from a replica has it (unverified, so a knob). A write is
shown ``visible_after_seconds`` of the sandbox's clock after it was made, which is its LastUpdatedTime; until then
stands what it replaced: the version before, nothing, or the record that was deleted. With a seed every write waits a
share of its own. Reads by Id, writes and the remote control see the books as they are.
"""

from __future__ import annotations

from typing import TypeVar
from zlib import crc32

from qbo_pipeline.sandbox.books import Before, Record, Table, Tombstone
from qbo_pipeline.sandbox.settings import Settings

Row = TypeVar("Row", Record, Tombstone)


def seen(table: Table, settings: Settings) -> Table:
    """Return a table as readers see it now: itself, or a copy in which the latest writes have not happened."""
    if not settings.visible_after_seconds:
        return table
    late = {key: found for key, past in table.past.items() if (found := _standing(table, key, past, settings))}
    if not late:
        return table
    records, tombstones = dict(table.records), dict(table.tombstones)
    for key, before in late.items():
        _put_back(records, key, before.record)
        _put_back(tombstones, key, before.tombstone)
    return Table(table.entity, table.clock, records, tombstones)


def _put_back(rows: dict[str, Row], key: str, row: Row | None) -> None:
    """Let a row stand in its old place, or none."""
    if row is None:
        rows.pop(key, None)
    else:
        rows[key] = row


def _standing(table: Table, key: str, past: list[Before], settings: Settings) -> Before | None:
    """Return what readers are shown instead of a record's present state, if its last write is not visible yet."""
    now, later = table.clock.now(), None
    for before in reversed(past):
        if before.written_at + _delay(table.entity.name, key, before.number, settings) <= now:
            return later
        later = before
    return later


def _delay(entity: str, key: str, number: int, settings: Settings) -> float:
    if settings.visible_after_seed is None:
        return settings.visible_after_seconds
    drawn = crc32(f"{settings.visible_after_seed}/{entity}/{key}/{number}".encode()) / 2**32
    return settings.visible_after_seconds * drawn
