"""The hourly sync of many companies in few runs.

A Dagster run costs three CPU seconds before it does anything, a quiet company a few hundredths. So the hour's companies
are dealt to runs of up to fifty, and inside a run several threads sync them, each company under its own lease, with its
own token and at its own pace: QuickBooks' limits hold per company. What fails, fails alone; the run then ends red and
says whose sync failed and why, while everything of the others stands.

Dagster is told what happened, not that nothing did: a table of a company is materialized in the hour that changed it,
and once in every month, so that its month is coloured like those before. A line per company is observed on
``quickbooks/companies`` in every run.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from qbo_pipeline.catalog import SCHEMA, Entity, tables
from qbo_pipeline.defs.boundary import told_safely
from qbo_pipeline.defs.drift import drift_results
from qbo_pipeline.defs.keys import table_key
from qbo_pipeline.defs.metadata import table_metadata
from qbo_pipeline.defs.partitions import current_month, key
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.errors import BusyError
from qbo_pipeline.secret import scrub
from qbo_pipeline.sync.outcome import Outcome
from qbo_pipeline.sync.window import INCREMENTAL

#: Companies of a run that are synced at the same time. They mostly wait for QuickBooks.
THREADS = 8
#: Seconds to wait for a company that another run is writing, a backfill for example: it gets the hour's changes next
#: hour. A killed run's lease ends within 90.
PATIENCE = 100.0

_COMPANIES = dg.AssetKey([SCHEMA, "companies"])


@dataclass(frozen=True, slots=True)
class _Synced:
    """What became of one company: an outcome, or the sentence that says why there is none."""

    company: str
    outcome: Outcome | None = None
    failure: str = ""
    busy: str = ""

    @property
    def problem(self) -> str:
        if self.outcome is None or not self.outcome.failed:
            return self.failure
        names: dict[str, list[str]] = {}
        for each in self.outcome.failed:  # one reason often keeps many entities back
            names.setdefault(str(each.error), []).append(each.entity.name)
        return "; ".join(f"{', '.join(kept)}: {reason}" for reason, kept in names.items())

    def row(self) -> dg.TableRecord:
        rows, calls = (self.outcome.rows, self.outcome.calls) if self.outcome else (0, 0)
        said = scrub(self.problem) or self.busy or ("changed" if rows else "quiet")
        return dg.TableRecord({"company": self.company, "rows": rows, "api_calls": calls, "outcome": said})


def sync_companies(
    context: dg.AssetExecutionContext, companies: Sequence[str], entities: tuple[Entity, ...], books: Books
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation]:
    """Sync several companies, by partition key, and yield what Dagster is told of them.

    dg.Failure when any of them could not be brought up to date, after all were tried. Events are yielded, not logged:
    those logged are lost when the run ends red.
    """
    month = current_month(datetime.now(UTC))
    synced = []
    with told_safely():
        if (budget := books.budget()).is_low:
            context.log.warning("%s", budget)
        unmarked = _Unmarked(context.instance, companies, month)
        for each in _each_synced(books, companies, entities, context.run.run_id):
            synced.append(each)
            if each.busy:
                context.log.info("%s", each.busy)
            if each.outcome is not None:
                yield from _events(each, each.outcome, books, month, unmarked)
    rows = dg.MetadataValue.table([each.row() for each in sorted(synced, key=lambda each: each.company)])
    yield dg.AssetObservation(_COMPANIES, metadata={"companies": rows})
    if failed := sorted((each for each in synced if each.problem), key=lambda each: each.company):
        failures = "\n".join(scrub(f"{each.company}: {each.problem}") for each in failed)
        raise dg.Failure(
            f"{len(failed)} of {len(synced)} companies could not be brought up to date:\n{failures}",
            allow_retries=False,
        )


def _each_synced(
    books: Books, companies: Sequence[str], entities: tuple[Entity, ...], run_id: str
) -> Iterator[_Synced]:
    """Sync companies side by side and yield them as they are done."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="company") as pool:
        futures: list[Future[_Synced]] = [
            pool.submit(_synced, books, company, entities, run_id) for company in companies
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:  # cancelled, or killed by a bug: whoever has not begun does not begin
                future.cancel()


def _synced(books: Books, word: str, entities: tuple[Entity, ...], run_id: str) -> _Synced:
    """Sync one company. Whatever goes wrong is its own, told in words that quote nothing."""
    try:
        with told_safely():
            company = books.company(word)
            # Each company has a row of its own in the run table; the run in Dagster is found by its first part.
            own_id = f"{run_id}/{company.realm_id}"
            try:
                outcome = books.sync(company.realm_id, entities, run_id=own_id, trigger="dagster", patience=PATIENCE)
                return _Synced(word, outcome)
            except BusyError as busy:
                return _Synced(word, busy=str(busy))
    except dg.Failure as failure:
        return _Synced(word, failure=str(failure.description))


class _Unmarked:
    """Which tables have no materialization yet in the month of a run, for which of its companies."""

    def __init__(self, instance: dg.DagsterInstance, companies: Sequence[str], month: str) -> None:
        keys = {str(key(company, month)) for company in companies}
        self._marked = {
            table.name: set(
                instance.event_log_storage.get_latest_storage_id_by_partition(
                    table_key(table), dg.DagsterEventType.ASSET_MATERIALIZATION, keys
                )
            )
            for table in tables()
        }

    def has(self, table: str, partition: str) -> bool:
        return partition not in self._marked[table]


def _events(
    synced: _Synced, outcome: Outcome, books: Books, month: str, unmarked: _Unmarked
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Yield what Dagster is told of one company: the tables that changed, and those its month still lacks."""
    partition = key(synced.company, month)
    read = set()
    for each in outcome.entities:
        if not each.ok or each.resting:
            continue
        changed = bool(each.records or each.deleted)
        for table in each.entity.tables:
            if changed or unmarked.has(table.name, str(partition)):
                read.add(table_key(each.entity.table))
                yield dg.AssetMaterialization(
                    table_key(table),
                    partition=partition,
                    metadata=table_metadata(each, table, INCREMENTAL, books, outcome),
                )
    for result in drift_results(outcome, read):
        assert result.asset_key is not None  # noqa: S101 - narrows for mypy
        yield dg.AssetCheckEvaluation(
            asset_key=result.asset_key,
            check_name=str(result.check_name),
            passed=result.passed,
            metadata=dict(result.metadata),
            severity=result.severity,
            description=result.description,
        )
