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
    from qbo_pipeline.warehouse.companies import Company


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
        progress: Callable[[EntityOutcome], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Outcome:
        """Sync one company, holding its lease, and record the run and its calls.

        Failures of single entities are in the outcome; what makes any sync impossible is raised (PipelineError).
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
        with company_lease(self._engine, realm_id, f"{run.trigger} {run.id[:8]}", on_wait=on_wait) as lease:
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
                        progress=progress,
                        fence=lease.fence,
                    )
                if outcome.failed:
                    lease.check()  # entities that fail one by one may all have failed for want of it
            except BaseException as error:
                shown = str(error) if isinstance(error, PipelineError) else type(error).__name__
                self._record(run, calls, status="failed", error=shown)
                raise
            outcome.calls = sum(calls.values())
            answered = [each.entity.name for each in outcome.entities if each.ok]
            availability.note(realm_id, answered, outcome.unavailable)
            if run.window.moves_cursor:
                polled = [each for each in outcome.entities if each.ok and not each.entity.cdc]
                polls.note(realm_id, {each.entity.name: each.records > 0 for each in polled})
            outcome.entities += [
                EntityOutcome(each, unavailable=lacking.get(each.name), resting=each.name in resting)
                for each in run.entities
                if each not in asked
            ]
            self._finish(run, outcome, calls)
            if not outcome.failed and run.window.moves_cursor and run.is_whole:
                CompanyStore(self._engine).initial_load_finished(realm_id)
            return outcome

    def _finish(self, run: Run, outcome: Outcome, calls: Counter[str]) -> None:
        from qbo_pipeline.warehouse.drift import DriftLog

        failures = "; ".join(f"{each.entity.name}: {each.error}" for each in outcome.failed) or None
        status = "succeeded" if not failures else "failed" if len(outcome.failed) == len(run.entities) else "partial"
        self._record(run, calls, status=status, error=failures, outcome=outcome)
        drift = DriftLog(self._engine)
        drift.note(
            run.company.realm_id,
            [(each.entity.name, *seen) for each in outcome.entities if each.ok for seen in each.drift.report()],
        )
        outcome.known_drift = drift.current(run.company.realm_id)

    def _record(
        self, run: Run, calls: Counter[str], *, status: Any, error: str | None, outcome: Outcome | None = None
    ) -> None:
        from qbo_pipeline.warehouse.calls import CallLedger
        from qbo_pipeline.warehouse.runs import RunLog

        detail = {each.entity.name: each.records for each in outcome.entities} if outcome else {}
        rows = outcome.rows if outcome else 0
        CallLedger(self._engine).add(run.company.realm_id, calls, run_id=run.id)
        RunLog(self._engine).finish(
            run.id, status=status, rows=rows, calls=sum(calls.values()), detail=detail, error=error
        )
