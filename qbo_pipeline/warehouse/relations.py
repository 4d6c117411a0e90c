"""What stands in a schema right now: tables and views with their columns, types, comments and primary key.

Read from Postgres' own catalogue in one query: ``information_schema`` hides what the user may not touch, and a name
that is taken is taken whether we see it or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

_READ = """
SELECT c.relname, c.relkind::text AS kind, obj_description(c.oid, 'pg_class') AS about, a.attname,
       format_type(a.atttypid, a.atttypmod) AS type, d.description, array_position(i.indkey::int2[], a.attnum) AS place
FROM pg_class c
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
LEFT JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = a.attnum
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = ANY(:names)
ORDER BY c.relname, a.attnum
"""


@dataclass(slots=True)
class Relation:
    """A table or view as it stands."""

    name: str
    kind: str  #: Postgres' letter: r table, p partitioned table, v view, m materialized view, f foreign table
    comment: str | None
    columns: dict[str, str] = field(default_factory=dict)  #: name -> type, as Postgres spells it
    comments: dict[str, str | None] = field(default_factory=dict)
    key: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Tell whether this program made it.

        Every table of the books, of whatever version, has a primary key that begins with ``realm_id`` and the two
        columns we add ourselves. The whole key of the catalogue would not do: a version that changes a key would take
        its own tables for strangers. Nor may a table of ours that lost its key become one. A view of ours says whose
        entry each of its rows is.
        """
        if self.kind == "v":
            return {"realm_id", "entity", "record_id", "position"} <= set(self.columns)
        keyed = not self.key or self.key[0] == "realm_id"
        return self.kind in ("r", "p") and keyed and {"realm_id", "extra", "synced_at"} <= set(self.columns)


def relations(connection: Connection, schema: str, names: Iterable[str]) -> dict[str, Relation]:
    """Return those of ``names`` that are taken in ``schema``, by name."""
    found: dict[str, Relation] = {}
    places: dict[str, list[tuple[int, str]]] = {}
    for row in connection.execute(text(_READ), {"schema": schema, "names": list(names)}):
        relation = found.setdefault(row.relname, Relation(row.relname, row.kind, row.about))
        if row.attname is not None:  # a table may have no column at all
            relation.columns[row.attname] = row.type
            relation.comments[row.attname] = row.description
        if row.place is not None:
            places.setdefault(row.relname, []).append((row.place, row.attname))
    for name, key in places.items():
        found[name].key = tuple(column for _, column in sorted(key))
    return found
