"""What QuickBooks sent that the catalogue does not know, per company and entity, until it is no longer seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

#: How long something counts as current after it was last seen.
CURRENT = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SeenDrift:
    """One departure from the catalogue. ``records`` counts readings of records and lines: one read twice counts two."""

    entity: str
    kind: str  #: unknown field, unusual value or unknown choice
    field: str
    records: int
    first_seen_at: dt.datetime
    last_seen_at: dt.datetime


class DriftLog:
    """``quickbooks.schema_drift``."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def note(self, realm_id: str, seen: Iterable[tuple[str, str, str, int]]) -> None:
        """Add what a sync saw: entity, kind, field, in how many records."""
        rows = [
            {"realm_id": realm_id, "entity": entity, "kind": kind, "field": field, "records": records}
            for entity, kind, field, records in seen
        ]
        if not rows:
            return
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO quickbooks.schema_drift AS d (realm_id, entity, kind, field, records) "
                    "VALUES (:realm_id, :entity, :kind, :field, :records) "
                    "ON CONFLICT (realm_id, entity, kind, field) DO UPDATE "
                    "SET records = d.records + excluded.records, last_seen_at = now()"
                ),
                rows,
            )

    def current(self, realm_id: str) -> list[SeenDrift]:
        """Return what was seen of late, by entity and field."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT entity, kind, field, records, first_seen_at, last_seen_at FROM quickbooks.schema_drift "
                    "WHERE realm_id = :realm_id AND last_seen_at > now() - :current ORDER BY entity, kind, field"
                ),
                {"realm_id": realm_id, "current": CURRENT},
            )
            return [SeenDrift(*row) for row in rows]
