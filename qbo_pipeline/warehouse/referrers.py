"""Which stored records refer to given ones: after two customers were merged, whose rows still name the lost one.

QuickBooks points the transactions of the loser at the winner, and need not touch their times when it does so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from qbo_pipeline.catalog import ENTITIES, SCHEMA, Entity, Table


def referring(engine: sa.Engine, realm_id: str, lost: Mapping[Entity, set[str]]) -> dict[Entity, set[str]]:
    """Return the ids of records that refer, themselves or in a line, to a record that is lost."""
    found: dict[Entity, set[str]] = {}
    with engine.connect() as connection:
        for target, ids in lost.items():
            for entity in ENTITIES:
                for table in entity.tables:
                    if columns := list(_references(table, target)):
                        statement = _select(table, columns)
                        rows = connection.execute(sa.text(statement), {"realm_id": realm_id, "ids": sorted(ids)})
                        found.setdefault(entity, set()).update(rows.scalars())
    return {entity: ids - lost.get(entity, set()) for entity, ids in found.items() if ids - lost.get(entity, set())}


def _references(table: Table, target: Entity) -> Iterator[str]:
    """Yield the columns with ids of ``target``: those of fields called after it, ``IncomeAccountRef`` for Account."""
    for column in table.columns:
        if column.path[-1:] == ("value",) and any(part.endswith(f"{target.name}Ref") for part in column.path):
            yield column.name


def _select(table: Table, columns: list[str]) -> str:
    names = " OR ".join(f'"{column}" = ANY(:ids)' for column in columns)
    return (
        f'SELECT DISTINCT "{table.key[1]}" FROM "{SCHEMA}"."{table.name}" '  # noqa: S608 - the catalogue's own names
        f"WHERE realm_id = :realm_id AND ({names})"
    )
