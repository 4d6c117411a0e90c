"""What must hold inside the warehouse, asked of Postgres alone: keys, orphans, totals, and how fresh the books are.

Every question is about all companies at once and answered with a count and a few examples, never with anybody's books:
``9130000000000001/145`` is a company and the id of a record.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from qbo_pipeline.catalog import SCHEMA, Entity, Table

EXAMPLES = 5

#: Kinds of line whose part in a total is known. Of the others (tax withheld, for one) no real payload was ever seen.
_KNOWN = (
    "SalesItemLineDetail",
    "AccountBasedExpenseLineDetail",
    "ItemBasedExpenseLineDetail",
    "GroupLineDetail",
    "DiscountLineDetail",
    "SubTotalLineDetail",
    "DescriptionOnly",
)


@dataclass(frozen=True, slots=True)
class Found:
    """How many rows break a rule, and some of them."""

    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Transactions whose lines were added up. ``unjudged`` are those for which no rule was ever proven."""

    judged: int
    unjudged: int
    wrong: Found


class Checks:
    """Questions to the tables of the books."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def duplicates(self, tables: Iterable[Table]) -> dict[str, Found]:
        """Return by table how many rows share their key with another. Where Postgres guards it, nothing is counted."""
        wanted = list(tables)
        with self._engine.connect() as connection:
            guarded = set(connection.execute(sa.text(_GUARDED), {"schema": SCHEMA}).scalars())
            return {
                table.name: Found(0)
                if f"{table.name}: {', '.join(sorted(table.key))}" in guarded
                else _found(connection, _duplicates(table))
                for table in wanted
            }

    def orphans(self, entity: Entity) -> Found:
        """Return the lines whose record is not there, and records that are noted as deleted and yet there."""
        with self._engine.connect() as connection:
            return _found(connection, _orphans(entity), entity=entity.name)

    def totals(self, entity: Entity) -> Totals:
        """Add up the lines of an entity's transactions, and hold that against their totals (``Entity.adds_up``)."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.text(_totals(entity)), {"known": list(_KNOWN), "most": EXAMPLES}).one()
            return Totals(row.judged, row.unjudged, Found(row.wrong, tuple(row.examples or ())))

    def last_synced(self, realm_ids: Sequence[str]) -> dict[tuple[str, str], dt.timedelta]:
        """Return by company and entity how long ago the newest sync began that brought it up to date."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT realm_id, entity, min(now() - started_at) AS ago "
                    "FROM quickbooks.sync_runs, jsonb_object_keys(detail) AS entity "
                    "WHERE realm_id = ANY(:realm_ids) AND status IN ('succeeded', 'partial') "
                    "AND mode IN ('incremental', 'full', 'reconcile') AND started_at > now() - interval '31 days' "
                    "GROUP BY realm_id, entity"
                ),
                {"realm_ids": list(realm_ids)},
            )
            return {(row.realm_id, row.entity): row.ago for row in rows}


#: Tables with a unique index, and its columns, as ``invoices: id, realm_id``.
_GUARDED = """
SELECT c.relname || ': ' || string_agg(a.attname, ', ' ORDER BY a.attname)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
WHERE c.relnamespace = to_regnamespace(:schema) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
GROUP BY i.indexrelid, c.relname
"""


def _found(connection: sa.Connection, broken: str, **values: object) -> Found:
    """Count what a SELECT of (realm_id, id) returns, and keep some of it."""
    row = connection.execute(
        sa.text(
            f"WITH broken AS MATERIALIZED ({broken}) SELECT count(*) AS rows, (SELECT array_agg(e) "  # noqa: S608 - our names
            "FROM (SELECT realm_id || '/' || id AS e FROM broken ORDER BY e LIMIT :most) x) AS some FROM broken"
        ),
        {**values, "most": EXAMPLES},
    ).one()
    return Found(row.rows, tuple(row.some or ()))


def _duplicates(table: Table) -> str:
    key = ", ".join(f'"{name}"' for name in table.key)
    return (
        f'SELECT realm_id, "{table.key[1]}"::text AS id FROM "{SCHEMA}"."{table.name}" '  # noqa: S608
        f"GROUP BY {key} HAVING count(*) > 1"
    )


def _orphans(entity: Entity) -> str:
    lines = entity.line_table
    if lines is None:
        raise ValueError(f"{entity.name} has no lines")
    parents = f'"{SCHEMA}"."{entity.table.name}"'
    # A record that came back is in the archive until its load ends; it was read after it was found gone.
    return (
        f'SELECT DISTINCT l.realm_id, l."{lines.key[1]}" AS id FROM "{SCHEMA}"."{lines.name}" l '  # noqa: S608
        f'WHERE NOT EXISTS (SELECT 1 FROM {parents} p WHERE p.realm_id = l.realm_id AND p.id = l."{lines.key[1]}") '
        f"UNION SELECT p.realm_id, p.id FROM {parents} p JOIN quickbooks.deleted_records d "
        "ON d.realm_id = p.realm_id AND d.id = p.id AND d.entity = :entity AND d.detected_at >= p.synced_at"
    )


def _totals(entity: Entity) -> str:
    """Return the SQL that adds up: lines less discounts, without subtotals and what is inside groups, plus tax.

    Not judged: prices with tax inside, kinds of line nobody has seen the arithmetic of, and transactions of which
    QuickBooks sends only the subtotal.
    """
    lines = entity.line_table
    if lines is None:
        raise ValueError(f"{entity.name} has no lines")
    parent = lines.key[1]
    return f"""
        WITH sums AS (
            SELECT realm_id, "{parent}" AS id, count(*) AS lines,
                   count(*) FILTER (WHERE detail_type <> 'SubTotalLineDetail') AS own,
                   sum(CASE detail_type WHEN 'DiscountLineDetail' THEN -amount ELSE amount END)
                       FILTER (WHERE detail_type <> 'SubTotalLineDetail') AS amount,
                   bool_and(coalesce(detail_type = ANY(:known)
                       AND (amount IS NOT NULL OR detail_type = 'DescriptionOnly'), false)) AS clear
            FROM "{SCHEMA}"."{lines.name}" WHERE group_position IS NULL GROUP BY 1, 2
        ), added AS (
            SELECT p.realm_id || '/' || p.id AS record,
                   p.total_amt IS NOT NULL AND coalesce(s.clear, true) AND (s.lines IS NULL OR s.own > 0)
                   AND coalesce(p.global_tax_calculation, 'NotApplicable') IN ('TaxExcluded', 'NotApplicable')
                   AND coalesce(jsonb_typeof(p.txn_tax_detail->'TotalTax'), 'number') = 'number' AS judged,
                   abs(p.total_amt - coalesce(s.amount, 0) - CASE jsonb_typeof(p.txn_tax_detail->'TotalTax')
                       WHEN 'number' THEN CAST(p.txn_tax_detail->>'TotalTax' AS numeric) ELSE 0 END) >= 0.01 AS off
            FROM "{SCHEMA}"."{entity.table.name}" p
            LEFT JOIN sums s ON s.realm_id = p.realm_id AND s.id = p.id
        )
        SELECT count(*) FILTER (WHERE judged) AS judged, count(*) FILTER (WHERE NOT judged) AS unjudged,
               count(*) FILTER (WHERE judged AND off) AS wrong,
               (SELECT array_agg(record) FROM (SELECT record FROM added WHERE judged AND off
                ORDER BY record LIMIT :most) x) AS examples
        FROM added
    """  # noqa: S608 - our own names
