"""``quickbooks.reconciliations``: what every comparison with QuickBooks found, for 90 days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

#: Older rows go with the next comparison of the same company.
KEPT = dt.timedelta(days=90)

_COLUMNS = "entity, quickbooks, warehouse, missing, extra, stale, repaired, status, note"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The latest comparison of one entity of one company."""

    realm_id: str
    entity: str
    checked_at: dt.datetime
    quickbooks: int | None
    warehouse: int
    missing: int
    extra: int
    stale: int
    repaired: bool
    status: str
    note: str | None


class ReconciliationLog:
    """The table, written whole by each comparison."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, realm_id: str, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Note what a comparison found, and forget what a company's comparisons found more than 90 days ago."""
        values = [{**row, "realm_id": realm_id, "run_id": run_id} for row in rows]
        columns = [name.strip() for name in _COLUMNS.split(",")]
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "DELETE FROM quickbooks.reconciliations WHERE realm_id = :realm_id AND "
                    "(checked_at < now() - :kept OR run_id = :run_id)"  # a run that is tried again starts over
                ),
                {"realm_id": realm_id, "run_id": run_id, "kept": KEPT},
            )
            if values:
                connection.execute(
                    sa.text(
                        f"INSERT INTO quickbooks.reconciliations (realm_id, run_id, {_COLUMNS}) "  # noqa: S608 - ours
                        f"VALUES (:realm_id, :run_id, {', '.join(f':{name}' for name in columns)})"
                    ),
                    values,
                )

    def latest(self, realm_ids: Iterable[str]) -> list[Verdict]:
        """Return the latest comparison of every entity of these companies."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT DISTINCT ON (realm_id, entity) realm_id, entity, checked_at, quickbooks, warehouse, "
                    "missing, extra, stale, repaired, status, note FROM quickbooks.reconciliations "
                    "WHERE realm_id = ANY(:realm_ids) ORDER BY realm_id, entity, checked_at DESC, run_id"
                ),
                {"realm_ids": list(realm_ids)},
            )
            return [Verdict(*row) for row in rows]
