"""What stands in a schema right now: tables and views with their columns, types, comments and primary key.

Read from Postgres' own catalogue in one query: ``information_schema`` hides what the user may not touch, and a name
that is taken is taken whether we see it or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

#: One row to a relation, and a look by index for each: Postgres guesses badly at joins of its own catalogue.
_READ = """
SELECT c.relname, c.relkind::text AS kind,
       (SELECT o.description FROM pg_description o
        WHERE o.classoid = 'pg_class'::regclass AND o.objoid = c.oid AND o.objsubid = 0) AS about,
       ARRAY(SELECT a.attname::text {of}) AS columns,
       ARRAY(SELECT format_type(a.atttypid, a.atttypmod) {of}) AS types,
       {comments} AS comments,
       ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
             JOIN pg_attribute a ON a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid ORDER BY k.place) AS key
FROM pg_class c
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = ANY(:names)
ORDER BY c.relname
"""
_OF = "FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
_COMMENTS = """ARRAY(SELECT (SELECT d.description FROM pg_description d
       WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = a.attnum) {of})"""


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


def relations(
    connection: Connection, schema: str, names: Iterable[str], *, comments: bool = True
) -> dict[str, Relation]:
    """Return those of ``names`` that are taken in ``schema``, by name; ``comments`` of columns are half of the work."""
    query = text(_READ.format(of=_OF, comments=_COMMENTS.format(of=_OF) if comments else "ARRAY[]::text[]"))
    return {
        row.relname: Relation(
            row.relname,
            row.kind,
            row.about,
            columns=dict(zip(row.columns, row.types, strict=True)),
            comments=dict(zip(row.columns, row.comments, strict=comments)),
            key=tuple(row.key),
        )
        for row in connection.execute(query, {"schema": schema, "names": list(names)})
    }
