"""A sync with everything around it: the company's lease, what need not be asked for, the records of the run.

``sync/`` reads and loads; here is what makes that an event: who may run, and what is known about it afterwards.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qbo_pipeline.catalog import ENTITIES, Entity
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome
from qbo_pipeline.sync.window import Window

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from qbo_pipeline.qbo.client import Call, QboClient
    from qbo_pipeline.sync.comparison import Reconciliation
    from qbo_pipeline.warehouse.companies import Company
    from qbo_pipeline.warehouse.drift import SeenDrift


@dataclass(frozen=True, slots=True)
class Run:
    """One sync as it is asked for."""

    company: Company
    entities: tuple[Entity, ...]
    window: Window
    trigger: str
    id: str

    @property
    def is_whole(self) -> bool:
        """Say whether nobody chose entities by name."""
        return self.entities == ENTITIES


def new_run(
    company: Company, entities: tuple[Entity, ...], window: Window, *, trigger: str, run_id: str | None = None
) -> Run:
    """Return a run, with an id of its own unless one is given."""
    return Run(company, entities, window, trigger, run_id or str(uuid.uuid4()))


class Syncer:
    """Runs syncs against one database."""

    def __init__(self, engine: Engine, client_of: Callable[[Company, Callable[[Call], None]], QboClient]) -> None:
        """``client_of`` makes the client of a company, which reports its calls."""
        self._engine = engine
        self._client_of = client_of

    def sync(
        self,
        run: Run,
        *,
        believe_deletions: bool = False,
        patience: float = 600,
        progress: Callable[[EntityOutcome], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Outcome:
        """Sync one company, holding its lease, and record the run and its calls.

        Failures of single entities are in the outcome; what makes any sync impossible is raised (PipelineError), a
        company that another has for more than ``patience`` seconds among it (BusyError).
        """
        from qbo_pipeline.sync.company import sync_company
        from qbo_pipeline.sync.reader import QboReader
        from qbo_pipeline.warehouse.availability import AvailabilityLog
        from qbo_pipeline.warehouse.companies import CompanyStore
        from qbo_pipeline.warehouse.leases import company_lease
        from qbo_pipeline.warehouse.polls import PollLog
        from qbo_pipeline.warehouse.runs import RunLog
        from qbo_pipeline.warehouse.stored import StoredBooks

        realm_id = run.company.realm_id
        availability = AvailabilityLog(self._engine)
        # Who names entities wants them asked for, whatever QuickBooks said about them last week.
        lacking = availability.known(realm_id) if run.is_whole else {}
        polls = PollLog(self._engine)
        resting = polls.resting(realm_id, run.entities) if run.is_whole and run.window.mode == "incremental" else set()
        asked = tuple(each for each in run.entities if each.name not in lacking and each.name not in resting)
        calls: Counter[str] = Counter()
        client = self._client_of(run.company, lambda call: calls.update([call.kind]))

        def tell(each: EntityOutcome) -> None:
            each.run_calls = sum(calls.values())
            progress(each)

        who = f"{run.trigger} {run.id[:8]}"
        with company_lease(self._engine, realm_id, who, timeout_seconds=patience, on_wait=on_wait) as lease:
            RunLog(self._engine).start(run.id, realm_id, trigger=run.trigger, mode=str(run.window))
            stored = StoredBooks(self._engine, realm_id)
            try:
                with lease.guard():
                    outcome = sync_company(
                        realm_id,
                        engine=self._engine,
                        reader=QboReader(client, stored, believe_deletions=believe_deletions),
                        entities=asked,
                        window=run.window,
                        progress=tell,
                        fence=lease.fence,
                    )
                if outcome.failed:
                    lease.check()  # entities that fail one by one may all have failed for want of it
            except BaseException as error:
                self._record(run, calls, status="failed", error=_shown(error))
                raise
            outcome.calls = sum(calls.values())
            self._note_answers(realm_id, outcome.entities, run.window)
            outcome.entities += [
                EntityOutcome(each, unavailable=lacking.get(each.name), resting=each.name in resting)
                for each in run.entities
                if each not in asked
            ]
            self._finish(run, outcome, calls)
            if not outcome.failed and run.window.moves_cursor and run.is_whole:
                CompanyStore(self._engine).initial_load_finished(realm_id)
            return outcome

    def reconcile(
        self,
        run: Run,
        *,
        sample: int = 0,
        full: bool = False,
        believe_deletions: bool = False,
        progress: Callable[[EntityOutcome], None] = lambda _: None,
        step: Callable[[str], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Reconciliation:
        """Compare one company with QuickBooks and repair what differs, holding its lock throughout.

        ``sample`` records of each entity are looked at, with ``full`` all of them; ``believe_deletions`` takes the
        brake off. What differs in the end, or could not be compared, is in the result; what makes any comparison
        impossible is raised (PipelineError).
        """
        from qbo_pipeline.sync.company import sync_company
        from qbo_pipeline.sync.comparison import Reconciliation
        from qbo_pipeline.sync.reader import QboReader
        from qbo_pipeline.sync.reconcile import Reconciler
        from qbo_pipeline.warehouse.availability import AvailabilityLog
        from qbo_pipeline.warehouse.entity_tables import ensure_tables
        from qbo_pipeline.warehouse.leases import company_lease
        from qbo_pipeline.warehouse.reconciliations import ReconciliationLog
        from qbo_pipeline.warehouse.runs import RunLog
        from qbo_pipeline.warehouse.snapshots import snapshot
        from qbo_pipeline.warehouse.stored import StoredBooks

        realm_id = run.company.realm_id
        calls: Counter[str] = Counter()
        client = self._client_of(run.company, lambda call: calls.update([call.kind]))
        stored = StoredBooks(self._engine, realm_id)
        done: list[EntityOutcome] = []

        with company_lease(self._engine, realm_id, f"{run.trigger} {run.id[:8]}", on_wait=on_wait) as lease:
            RunLog(self._engine).start(run.id, realm_id, trigger=run.trigger, mode="reconcile")

            def sync(entities: tuple[Entity, ...], window: Window) -> list[EntityOutcome]:
                outcome = sync_company(
                    realm_id,
                    engine=self._engine,
                    reader=QboReader(client, stored, believe_deletions=believe_deletions),
                    entities=entities,
                    window=window,
                    progress=progress,
                    fence=lease.fence,
                )
                done.extend(outcome.entities)
                self._note_answers(realm_id, outcome.entities, window)
                return outcome.entities

            try:
                ensure_tables(self._engine, tuple(table for entity in run.entities for table in entity.tables))
                reconciler = Reconciler(
                    client,
                    stored,
                    sync,
                    lambda entities: snapshot(self._engine, realm_id, entities),
                    sample=sample,
                    full=full,
                    step=step,
                )
                lacking = AvailabilityLog(self._engine).known(realm_id) if run.is_whole else {}
                with lease.guard():
                    compared = reconciler.compare(run.entities, lacking)
                if not all(each.ok for each in compared):
                    lease.check()  # entities that fail one by one may all have failed for want of it
            except BaseException as error:
                self._record(run, calls, status="failed", error=_shown(error))
                raise
            outcome = Outcome(realm_id, done)
            self._note_drift(realm_id, done)
            found = Reconciliation(realm_id, compared, calls=sum(calls.values()), rows=outcome.rows)
            ReconciliationLog(self._engine).add(realm_id, run.id, [each.as_row() for each in compared])
            problems = "; ".join(f"{each.entity.name}: {each.note}" for each in found.problems) or None
            status = _how_it_ended(len(found.problems), len(compared))
            self._record(run, calls, status=status, error=problems, outcome=outcome)
            return found

    def _note_answers(self, realm_id: str, outcomes: list[EntityOutcome], window: Window) -> None:
        """Note what QuickBooks said it does not have, and what need not be asked for again too soon."""
        from qbo_pipeline.warehouse.availability import AvailabilityLog
        from qbo_pipeline.warehouse.polls import PollLog

        unavailable = Outcome(realm_id, outcomes).unavailable
        answered = [each for each in outcomes if each.ok]
        AvailabilityLog(self._engine).note(realm_id, [each.entity.name for each in answered], unavailable)
        if window.moves_cursor:
            polled = {each.entity.name: each.records > 0 for each in answered if not each.entity.cdc}
            PollLog(self._engine).note(realm_id, polled)

    def _note_drift(self, realm_id: str, outcomes: list[EntityOutcome]) -> list[SeenDrift]:
        """Note what QuickBooks sent beyond the catalogue; return what it sent of late."""
        from qbo_pipeline.warehouse.drift import DriftLog

        drift = DriftLog(self._engine)
        drift.note(
            realm_id, [(each.entity.name, *seen) for each in outcomes if each.ok for seen in each.drift.report()]
        )
        return drift.current(realm_id)

    def _finish(self, run: Run, outcome: Outcome, calls: Counter[str]) -> None:
        failures = "; ".join(f"{each.entity.name}: {each.error}" for each in outcome.failed) or None
        status = _how_it_ended(len(outcome.failed), len(run.entities))
        self._record(run, calls, status=status, error=failures, outcome=outcome)
        outcome.known_drift = self._note_drift(run.company.realm_id, outcome.entities)

    def _record(
        self, run: Run, calls: Counter[str], *, status: Any, error: str | None, outcome: Outcome | None = None
    ) -> None:
        from qbo_pipeline.warehouse.calls import CallLedger
        from qbo_pipeline.warehouse.runs import RunLog

        detail: Counter[str] = Counter()
        for each in outcome.entities if outcome else ():
            if each.ok:  # a name in here is an entity that was brought up to date
                detail[each.entity.name] += each.records
        rows = outcome.rows if outcome else 0
        CallLedger(self._engine).add(run.company.realm_id, calls, run_id=run.id)
        RunLog(self._engine).finish(
            run.id, status=status, rows=rows, calls=sum(calls.values()), detail=detail, error=error
        )


def _how_it_ended(failed: int, asked: int) -> str:
    return "succeeded" if not failed else "failed" if failed == asked else "partial"


def _shown(error: BaseException) -> str:
    return str(error) if isinstance(error, PipelineError) else type(error).__name__
