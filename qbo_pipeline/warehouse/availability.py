"""Which entities a company does not have: its plan or region lacks them.

Asking for one costs an API call and brings a refusal, so it is asked again only once a week: plans get upgraded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

ASK_AGAIN = dt.timedelta(days=7)


class AvailabilityLog:
    """``quickbooks.unavailable_entities``."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def known(self, realm_id: str) -> dict[str, str]:
        """Return the entities that need not be asked for now, and why: refused within the last week."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT entity, reason FROM quickbooks.unavailable_entities "
                    "WHERE realm_id = :realm_id AND asked_at > now() - :week ORDER BY entity"
                ),
                {"realm_id": realm_id, "week": ASK_AGAIN},
            )
            return {row.entity: row.reason for row in rows}

    def note(self, realm_id: str, asked: Iterable[str], unavailable: Mapping[str, str]) -> None:
        """Note which of the entities that were ``asked`` for the company does not have; the others it has."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "DELETE FROM quickbooks.unavailable_entities WHERE realm_id = :realm_id AND entity = ANY(:asked)"
                ),
                {"realm_id": realm_id, "asked": list(asked)},
            )
            for entity, reason in unavailable.items():
                connection.execute(
                    sa.text(
                        "INSERT INTO quickbooks.unavailable_entities (realm_id, entity, reason) "
                        "VALUES (:realm_id, :entity, :reason)"
                    ),
                    {"realm_id": realm_id, "entity": entity, "reason": reason},
                )
