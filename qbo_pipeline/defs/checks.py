"""The checks of the books: evaluated after every comparison with QuickBooks, and alone from the UI.

They ask Postgres only, about all companies at once. What can have an honest reason is yellow (``matches_quickbooks``,
``is_fresh``, ``lines_add_up``); what cannot is red and blocks (``unique_keys``, ``no_orphan_lines``).
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

import dagster as dg

from qbo_pipeline.catalog import ENTITIES, Entity, Table, tables
from qbo_pipeline.defs.boundary import told_safely
from qbo_pipeline.defs.keys import table_key
from qbo_pipeline.defs.reconcile import RECONCILIATIONS
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.warehouse.checks import Checks, Found
from qbo_pipeline.warehouse.reconciliations import ReconciliationLog

#: A company that is synced every hour is not fresh when one hour and the next brought nothing.
STALE = timedelta(hours=2)

_GOOD = ("equal", "repaired", "not counted")


def _spec(name: str, table: Table, description: str, *, blocking: bool = False) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name,
        asset=table_key(table),
        description=description,
        blocking=blocking,
        additional_deps=[RECONCILIATIONS],  # in the same run: first compare, then judge
    )


def check_specs() -> list[dg.AssetCheckSpec]:
    """Return every check of every table."""
    with_lines = [(entity, entity.line_table) for entity in ENTITIES if entity.line_table is not None]
    return [
        *(
            _spec("matches_quickbooks", each.table, f"The latest comparison of {each.name} left no difference.")
            for each in ENTITIES
        ),
        *(
            _spec("is_fresh", each.table, f"Every company's {each.name} was brought up to date within two hours.")
            for each in ENTITIES
        ),
        *(
            _spec(
                "lines_add_up",
                each.table,
                "Lines without subtotals, less discounts, plus tax make the total, to the cent. Not judged: prices "
                "with tax inside, and transactions with kinds of line whose arithmetic is not known.",
            )
            for each in ENTITIES
            if each.adds_up
        ),
        *(_spec("unique_keys", each, f"No two rows share {', '.join(each.key)}.", blocking=True) for each in tables()),
        *(
            _spec(
                "no_orphan_lines",
                lines,
                f"Every line belongs to a row of {each.table.name}, and none of those is noted as deleted.",
                blocking=True,
            )
            for each, lines in with_lines
        ),
    ]


@dg.multi_asset_check(
    name="check_books",
    specs=check_specs(),
    can_subset=True,
    description="Keys, orphans, totals, freshness, and what the latest comparison with QuickBooks found.",
)
def book_checks(
    context: dg.AssetCheckExecutionContext, books: dg.ResourceParam[Books]
) -> Iterator[dg.AssetCheckResult]:
    """Ask what is asked for, kind by kind."""
    wanted = {(each.name, each.asset_key) for each in context.selected_asset_check_keys}
    for name, judge in _JUDGES.items():
        keys = {key for each, key in wanted if each == name}
        if keys:
            with told_safely():
                yield from judge(books, keys)


def _matches(books: Books, wanted: set[dg.AssetKey]) -> Iterator[dg.AssetCheckResult]:
    names = {company.realm_id: company.partition_key for company in books.connected()}
    latest = {(each.realm_id, each.entity): each for each in ReconciliationLog(books.engine).latest(names)}
    for entity in _of(wanted):
        found = {names[realm_id]: latest.get((realm_id, entity.name)) for realm_id in names}
        bad = [
            f"{company}: {verdict.status}, {verdict.note}" if verdict else f"{company}: not compared yet"
            for company, verdict in found.items()
            if verdict is None or verdict.status not in _GOOD
        ]
        times = [verdict.checked_at for verdict in found.values() if verdict]
        good = f"As of {min(times):%Y-%m-%d %H:%M} UTC." if times else "No company is connected yet."
        yield _yellow("matches_quickbooks", entity, bad, good)


def _fresh(books: Books, wanted: set[dg.AssetKey]) -> Iterator[dg.AssetCheckResult]:
    names = {company.realm_id: company.partition_key for company in books.connected()}
    ages = Checks(books.engine).last_synced(list(names))
    for entity in _of(wanted):
        found = {names[realm_id]: ages.get((realm_id, entity.name)) for realm_id in names}
        bad = [
            f"{company}: {'never synced, or not for a month' if age is None else f'synced {_ago(age)} ago'}"
            for company, age in found.items()
            if age is None or age > STALE
        ]
        known = [age for age in found.values() if age is not None]
        good = f"The oldest was synced {_ago(max(known))} ago." if known else "No company is connected yet."
        yield _yellow("is_fresh", entity, bad, good)


def _totals(books: Books, wanted: set[dg.AssetKey]) -> Iterator[dg.AssetCheckResult]:
    checks = Checks(books.engine)
    for entity in _of(wanted):
        found = checks.totals(entity)
        bad = [f"{found.wrong.count:,} of {found.judged:,}: {_some(found.wrong)}"] if found.wrong.count else []
        yield _yellow(
            "lines_add_up",
            entity,
            bad,
            f"{found.judged:,} add up, {found.unjudged:,} were not judged.",
            judged=found.judged,
            not_judged=found.unjudged,
            wrong=found.wrong.count,
        )


def _unique(books: Books, wanted: set[dg.AssetKey]) -> Iterator[dg.AssetCheckResult]:
    chosen = [table for table in tables() if table_key(table) in wanted]
    found = Checks(books.engine).duplicates(chosen)
    for table in chosen:
        yield _red("unique_keys", table, found[table.name], "keys are there more than once")


def _orphans(books: Books, wanted: set[dg.AssetKey]) -> Iterator[dg.AssetCheckResult]:
    checks = Checks(books.engine)
    for entity in ENTITIES:
        if (lines := entity.line_table) is not None and table_key(lines) in wanted:
            yield _red("no_orphan_lines", lines, checks.orphans(entity), "records are gone but have rows left")


#: Yellow ones first: a red one ends the run.
_JUDGES: dict[str, Callable[[Books, set[dg.AssetKey]], Iterator[dg.AssetCheckResult]]] = {
    "matches_quickbooks": _matches,
    "is_fresh": _fresh,
    "lines_add_up": _totals,
    "unique_keys": _unique,
    "no_orphan_lines": _orphans,
}


def _of(wanted: set[dg.AssetKey]) -> list[Entity]:
    return [entity for entity in ENTITIES if table_key(entity.table) in wanted]


def _yellow(name: str, entity: Entity, bad: list[str], good: str, **numbers: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=table_key(entity.table),
        check_name=name,
        passed=not bad,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(bad) or good,
        metadata={each: dg.MetadataValue.int(number) for each, number in numbers.items()},
    )


def _red(name: str, table: Table, found: Found, what: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=table_key(table),
        check_name=name,
        passed=not found.count,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{found.count:,} {what}: {_some(found)}" if found.count else "None.",
        metadata={"count": dg.MetadataValue.int(found.count)},
    )


def _some(found: Found) -> str:
    more = " …" if found.count > len(found.examples) else ""
    return f"{', '.join(found.examples)}{more} (company/id)"


def _ago(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    hours = minutes // 60
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"
