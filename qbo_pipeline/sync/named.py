"""Reading single records by their ids, and telling for certain which of them are gone.

One query shows most of them. What it does not show is not called deleted for that: a page may be broken, and a record
that was just written appears in queries a little later than under its own address. So those few are asked for one by
one, where QuickBooks says in so many words that it does not have a record (error 610). A record that cannot be written
out spoils the query, and then only itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import NotFoundError, QboError, RetryableError
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.query import MAX_RESULTS, Select
from qbo_pipeline.sync.deleting import TOGETHER, found_in, still_there
from qbo_pipeline.sync.heads import key_in

#: Up to so many records are asked for one by one; more of them by a query, and a count that confirms it.
FEW = 10
#: Intuit's codes for "one of these records cannot be written out".
SPOILT = frozenset({"4002", "10000"})


@dataclass(slots=True)
class Named:
    """What became of the records that were asked for: each is live, gone, or one that ``problem`` is about."""

    live: dict[str, msgspec.Raw] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    problem: QboError | None = None


def records_named(client: QboClient, entity: Entity, ids: Iterable[str]) -> Named:
    """Read records by id; raises what kept all of them from being read."""
    wanted = sorted(set(ids))
    if entity.wrapped or entity.key_fields != ("Id",):
        return _by_query_alone(client, entity, wanted)
    named = Named(_shown(client, entity, wanted)) if len(wanted) > 1 else Named()
    missing = [each for each in wanted if each not in named.live]
    if len(missing) > FEW:
        rest = _by_query_alone(client, entity, missing)
        return Named(named.live | rest.live, rest.gone)
    for each in missing:
        _read_alone(client, entity, each, named)
    return named


def _by_query_alone(client: QboClient, entity: Entity, wanted: Sequence[str]) -> Named:
    live = found_in(entity, still_there(client, entity, wanted))
    return Named(live, set(wanted) - live.keys())


def _shown(client: QboClient, entity: Entity, wanted: Sequence[str]) -> dict[str, msgspec.Raw]:
    live: dict[str, msgspec.Raw] = {}
    for start in range(0, len(wanted), TOGETHER):
        asked = wanted[start : start + TOGETHER]
        statement = Select(entity.name).where("Id", "in", asked)
        if entity.active:
            statement = statement.where("Active", "in", (True, False))
        try:
            shown = found_in(entity, [client.query(statement.page(1, MAX_RESULTS)).records])
        except QboError as error:
            if error.code not in SPOILT or len(wanted) > FEW:
                raise
            continue
        live |= {key: record for key, record in shown.items() if key in asked}  # and no page of others
    return live


def _read_alone(client: QboClient, entity: Entity, record_id: str, named: Named) -> None:
    try:
        record = client.read(entity.path, record_id).record
    except NotFoundError:
        named.gone.add(record_id)
        return
    except QboError as error:
        if error.code not in SPOILT:
            raise
        named.problem = error
        return
    if key_in(entity, record) != record_id:
        raise RetryableError(f"reading {entity.name} {record_id}: QuickBooks answered with another record; ask again")
    named.live[record_id] = record
