"""When entities with a rhythm of their own were asked for: those change data capture does not cover.

One that has not changed for a while is asked for once a day, whatever its rhythm: most companies never use most lists.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa

from qbo_pipeline.catalog import Entity

#: An entity that has not changed for so long is asked for once in ``AT_REST``.
IDLE_AFTER = dt.timedelta(days=7)
AT_REST = dt.timedelta(days=1)
#: Schedules tick a little early or late; a rhythm of an hour must not skip every second one.
_SLACK = dt.timedelta(minutes=10)


class PollLog:
    """``quickbooks.polls``."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def resting(self, realm_id: str, entities: Iterable[Entity]) -> set[str]:
        """Return the names of those entities that need not be asked for yet."""
        rhythms = {entity.name: entity.every for entity in entities if not entity.cdc}
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT entity, now() - asked_at AS asked_ago, now() - coalesce(changed_at, '-infinity') > :idle "
                    "AS idle FROM quickbooks.polls WHERE realm_id = :realm_id AND entity = ANY(:names) "
                    "AND asked_at <= now()"
                ),
                {"realm_id": realm_id, "names": list(rhythms), "idle": IDLE_AFTER},
            )
            return {
                row.entity
                for row in rows
                if row.asked_ago < max(rhythms[row.entity], AT_REST if row.idle else dt.timedelta()) - _SLACK
            }

    def note(self, realm_id: str, changed: dict[str, bool]) -> None:
        """Note entities that were just asked for, and whether that brought anything."""
        if not changed:
            return
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO quickbooks.polls AS p (realm_id, entity, asked_at, changed_at) "
                    "VALUES (:realm_id, :entity, now(), CASE WHEN :changed THEN now() END) "
                    "ON CONFLICT (realm_id, entity) DO UPDATE SET asked_at = excluded.asked_at, "
                    "changed_at = coalesce(excluded.changed_at, p.changed_at)"
                ),
                [{"realm_id": realm_id, "entity": name, "changed": each} for name, each in sorted(changed.items())],
            )
