"""``quickbooks.webhook_events``: what QuickBooks told us, until it is acted on.

    waiting   to be acted on when it is due; taken up (``claim``) it is due again later, should whoever took it up die
    done      what it led to is in the tables
    ignored   older than 30 days: the daily comparison has long seen what it speaks of
    dead      cannot be acted on, and a person may look why: ``qbo webhook dead``

What is done stays for longer than an event is acted on: a notification that is sent again after that is too old.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

#: A claim that was heard nothing of for so long is anybody's again.
CLAIMED = dt.timedelta(minutes=5)
#: An event that was to blame for so many failures is set aside.
MOST_FAILURES = 3
TOO_OLD = dt.timedelta(days=30)
KEPT, DEAD_KEPT = dt.timedelta(days=35), dt.timedelta(days=90)

_COLUMNS = ("event_key", "realm_id", "entity", "record_id", "operation", "happened_at", "deleted_id", "raw", "problem")
_KINDS = ("text", "text", "text", "text", "text", "timestamptz", "text", "bytea", "text")

# In the order of their keys: two notifications with the same events would otherwise wait for each other for ever.
_ACCEPT = f"""
INSERT INTO quickbooks.webhook_events AS w
    (event_key, realm_id, entity, record_id, operation, happened_at, deleted_id, raw, status, note, processed_at)
SELECT event_key, realm_id, entity, record_id, operation, happened_at, deleted_id, raw, judged.status,
    CASE judged.status WHEN 'dead' THEN coalesce(problem, 'no company of that realm is connected') END,
    CASE judged.status WHEN 'waiting' THEN NULL ELSE now() END
FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in zip(_COLUMNS, _KINDS, strict=True))})
    AS e ({", ".join(_COLUMNS)}),
LATERAL (SELECT CASE
    WHEN problem IS NOT NULL THEN 'dead'
    WHEN NOT EXISTS (
        SELECT 1 FROM quickbooks.connections c WHERE c.realm_id = e.realm_id AND c.environment = :environment
        AND c.status <> 'disconnected') THEN 'dead'
    WHEN happened_at < now() - CAST(:too_old AS interval) THEN 'ignored'
    ELSE 'waiting' END AS status) AS judged
ORDER BY event_key
ON CONFLICT (event_key) DO {{on_conflict}}
"""  # noqa: S608 - our own names

#: What was seen before stays as it is; of a dead letter that is tried again, everything is judged anew.
_KEEP = "NOTHING"
_REPLACE = """UPDATE SET realm_id = excluded.realm_id, entity = excluded.entity, record_id = excluded.record_id,
    operation = excluded.operation, happened_at = excluded.happened_at, deleted_id = excluded.deleted_id,
    status = excluded.status, note = excluded.note, attempts = 0, failures = 0, due_at = now(),
    processed_at = excluded.processed_at
    WHERE w.status = 'dead'"""

_GIVE_UP = """
UPDATE quickbooks.webhook_events SET processed_at = now(),
    status = CASE WHEN failures >= :most THEN 'dead' ELSE 'ignored' END,
    note = CASE WHEN failures >= :most THEN 'whoever acted on it died, ' || failures || ' times' END
WHERE status = 'waiting' AND realm_id = :realm_id AND due_at <= now()
    AND (failures >= :most OR happened_at < now() - CAST(:too_old AS interval))
"""

_CLAIM = """
UPDATE quickbooks.webhook_events SET attempts = attempts + 1, failures = failures + 1, due_at = now() + :claimed
WHERE status = 'waiting' AND realm_id = :realm_id AND due_at <= now() AND entity = ANY(:entities)
RETURNING event_key, entity, record_id, operation, happened_at, deleted_id, attempts, failures
"""

_DUE = """
SELECT realm_id, array_agg(DISTINCT entity) AS entities, max(seq) AS latest FROM quickbooks.webhook_events
WHERE status = 'waiting' AND due_at <= now() GROUP BY realm_id ORDER BY min(seq)
"""

_STATES = """
SELECT coalesce(realm_id, '') AS realm_id, count(*) FILTER (WHERE status = 'waiting') AS waiting,
    coalesce(now() - min(received_at) FILTER (WHERE status = 'waiting'), interval '0') AS lag,
    count(*) FILTER (WHERE status = 'dead') AS dead
FROM quickbooks.webhook_events WHERE status IN ('waiting', 'dead') GROUP BY 1
"""

_PURGE = """
DELETE FROM quickbooks.webhook_events
WHERE processed_at < now() - CASE status WHEN 'dead' THEN CAST(:dead_kept AS interval) ELSE CAST(:kept AS interval) END
"""


class Received(Protocol):
    """An event as it came in; ``qbo.notifications.Event`` has these attributes."""

    @property
    def key(self) -> str: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def realm_id(self) -> str | None: ...
    @property
    def entity(self) -> str | None: ...
    @property
    def record_id(self) -> str | None: ...
    @property
    def operation(self) -> str | None: ...
    @property
    def time(self) -> dt.datetime | None: ...
    @property
    def deleted_id(self) -> str | None: ...
    @property
    def problem(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that somebody acts on; ``failures`` counts this attempt too, until it is known whose fault it is."""

    key: str
    entity: str
    record_id: str
    operation: str
    time: dt.datetime
    deleted_id: str | None
    attempts: int
    failures: int


@dataclass(frozen=True, slots=True)
class Due:
    """A company with events to act on now: of which entities, and the number of the latest."""

    realm_id: str
    entities: tuple[str, ...]
    latest: int


@dataclass(frozen=True, slots=True)
class InboxState:
    """How one company's inbox is doing: how many wait, since when the first of them, how many are dead."""

    waiting: int = 0
    lag: dt.timedelta = dt.timedelta()
    dead: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be acted on, and why."""

    key: str
    realm_id: str | None
    entity: str | None
    record_id: str | None
    note: str
    received_at: dt.datetime
    raw: bytes


class Inbox:
    """The inbox of one installation."""

    def __init__(self, engine: sa.Engine, environment: str = "") -> None:
        """``environment`` is the one whose companies are ours; who only looks need not say."""
        self._engine = engine
        self._environment = environment

    def accept(self, events: Sequence[Received]) -> int:
        """Store events that were not there yet, in one statement; return how many those are."""
        return self._store(events, _KEEP)

    def retry(self, events: Sequence[Received]) -> int:
        """Judge dead letters anew, as they are read now; return how many were."""
        return self._store(events, _REPLACE)

    def _store(self, events: Sequence[Received], on_conflict: str) -> int:
        if not events:
            return 0
        once = {each.key: each for each in reversed(events)}.values()  # one statement cannot change a row twice
        names = ("key", "realm_id", "entity", "record_id", "operation", "time", "deleted_id", "raw", "problem")
        lists = {column: [getattr(event, name) for event in once] for column, name in zip(_COLUMNS, names, strict=True)}
        with self._engine.begin() as connection:
            statement = sa.text(_ACCEPT.format(on_conflict=on_conflict))
            values = {**lists, "environment": self._environment, "too_old": TOO_OLD}
            return connection.execute(statement, values).rowcount

    def due(self) -> list[Due]:
        """Return the companies with events to act on now, the one that has waited longest first."""
        with self._engine.connect() as connection:
            return [Due(row.realm_id, tuple(row.entities), row.latest) for row in connection.execute(sa.text(_DUE))]

    def claim(self, realm_id: str, entities: Iterable[str]) -> list[Waiting]:
        """Take up what is due of a company; nobody else does for as long as a claim lasts.

        An event whose claims ended without a word too often is dead, and one that has become too old is ignored.
        """
        values = {
            "realm_id": realm_id,
            "entities": list(entities),
            "claimed": CLAIMED,
            "most": MOST_FAILURES,
            "too_old": TOO_OLD,
        }
        with self._engine.begin() as connection:
            connection.execute(sa.text(_GIVE_UP), values)
            rows = connection.execute(sa.text(_CLAIM), values)
            return [Waiting(*row) for row in rows]

    def done(self, events: Sequence[Waiting], note: str | None = None) -> None:
        """Note events as acted on."""
        self._end(events, "done", note)

    def bury(self, events: Sequence[Waiting], note: str) -> None:
        """Set events aside that cannot be acted on."""
        self._end(events, "dead", note)

    def _end(self, events: Sequence[Waiting], status: str, note: str | None) -> None:
        self._update("status = :status, note = :note, processed_at = now()", events, status=status, note=note)

    def postpone(self, events: Sequence[Waiting], after: dt.timedelta, note: str, *, blame: bool) -> None:
        """Let events wait; without ``blame`` the attempt does not count against them."""
        blamed = "failures" if blame else "failures - 1"
        self._update(f"due_at = now() + :after, note = :note, failures = {blamed}", events, after=after, note=note)

    def _update(self, change: str, events: Sequence[Waiting], **values: Any) -> None:
        if events:
            with self._engine.begin() as connection:
                connection.execute(
                    sa.text(
                        f"UPDATE quickbooks.webhook_events SET {change} "  # noqa: S608 - our own words
                        "WHERE event_key = ANY(:keys) AND status = 'waiting'"
                    ),
                    {"keys": [each.key for each in events], **values},
                )

    def purge(self) -> int:
        """Forget what was done with long ago; return how many events."""
        with self._engine.begin() as connection:
            return connection.execute(sa.text(_PURGE), {"kept": KEPT, "dead_kept": DEAD_KEPT}).rowcount

    def states(self) -> dict[str, InboxState]:
        """Return how the inbox is doing, by realm; under "" what names none. A realm without events is not there."""
        with self._engine.connect() as connection:
            return {
                row.realm_id: InboxState(row.waiting, row.lag, row.dead) for row in connection.execute(sa.text(_STATES))
            }

    def status_of(self, key: str) -> tuple[str, str | None] | None:
        """Return an event's status and note, None when it never came."""
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.text("SELECT status, note FROM quickbooks.webhook_events WHERE event_key = :key"), {"key": key}
            ).first()
            return None if row is None else (row.status, row.note)

    def dead_letters(self, keys: Sequence[str] | None = None, *, limit: int = 1000) -> list[DeadLetter]:
        """Return what is dead, the latest first; only these ``keys`` if any are given."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT event_key AS key, realm_id, entity, record_id, coalesce(note, '') AS note, received_at, "
                    "raw FROM quickbooks.webhook_events WHERE status = 'dead' "
                    "AND (CAST(:keys AS text[]) IS NULL OR event_key = ANY(CAST(:keys AS text[]))) "
                    "ORDER BY received_at DESC, seq DESC LIMIT :limit"
                ),
                {"keys": None if keys is None else list(keys), "limit": limit},
            )
            return [DeadLetter(**(dict(row) | {"raw": bytes(row["raw"])})) for row in rows.mappings()]
