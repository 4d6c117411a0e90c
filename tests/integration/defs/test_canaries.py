"""No token, no secret and nothing of anybody's books gets into what Dagster keeps and shows, whatever fails.

Canaries are put everywhere a secret or a book can be; every kind of failure is forced; then everything that was
written is searched for them: event log, run config, GraphQL's answers, files of Dagster and dlt, logs, the terminal.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import psycopg2
import pytest
import sqlalchemy as sa
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_graphql.schema import create_schema

from qbo_pipeline.books import Books
from qbo_pipeline.defs.jobs import refresh_tokens, sync
from qbo_pipeline.defs.partitions import COMPANIES, current_month, key
from qbo_pipeline.defs.tables import quickbooks_tables, source_specs
from qbo_pipeline.defs.tokens import tokens
from qbo_pipeline.secret import Secret, keep_secrets_out_of_logs
from qbo_pipeline.warehouse.companies import Company
from tests.support.quickbooks import REALM, Sandbox
from tests.support.untimed import untimed_books

pytestmark = pytest.mark.slow

NAME, AMOUNT, SECRET = "Canary Feathers Ltd", "31337.77", "canary-client-secret-0815"
TABLES = [dg.AssetKey(["quickbooks", name]) for name in ("customers", "invoices", "invoice_lines")]

QUERY = """{ runsOrError { ... on Runs { results {
    runId runConfigYaml tags { key value }
    eventConnection { events { __typename
        ... on MessageEvent { message }
        ... on ExecutionStepFailureEvent { error { message stack className cause { message } }
            failureMetadata { metadataEntries {
                __typename label description ... on MarkdownMetadataEntry { mdStr } } } }
        ... on MaterializationEvent { metadataEntries { __typename label description
            ... on TextMetadataEntry { text } ... on TableMetadataEntry { table { records } }
            ... on JsonMetadataEntry { jsonString } } }
        ... on AssetCheckEvaluationEvent { evaluation { description } }
    } }
} } } }"""


@dataclass
class Aviary:
    """An installation with canaries in it, and where they could have flown to."""

    books: Books
    quickbooks: Sandbox
    company: Company
    instance: dg.DagsterInstance
    home: Path
    scratch: Path
    tokens: set[str] = field(default_factory=set)
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    @property
    def canaries(self) -> list[str]:
        password = sa.make_url(str(self.books.settings.database_url)).password
        keys = self.books.settings.token_key_path.read_text().split()
        return [NAME, AMOUNT, SECRET, *self.tokens, *keys, *([str(password)] if password else [])]

    def look(self) -> None:
        """Note the tokens there are now, on both sides."""
        for grant in self.quickbooks.tell("/tokens")["grants"]:
            self.tokens.add(grant["refresh_token"])
        self.tokens.add(self.books.token_store.read(REALM).access_token[:])

    def sync(self, books: Books | None = None) -> dg.ExecuteInProcessResult:
        """Run the job as the schedule would."""
        return self._ran(
            _job("sync", books or self.books).execute_in_process(
                instance=self.instance,
                partition_key=key(self.company.partition_key, current_month(datetime.now(UTC))),
                run_config={"ops": {"sync_company": {"config": {"mode": "full"}}}},
                asset_selection=TABLES,
                raise_on_error=False,
            )
        )

    def refresh(self, books: Books | None = None) -> dg.ExecuteInProcessResult:
        with self.books.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE quickbooks.tokens SET expires_at = now() AT TIME ZONE 'UTC' + interval '9 minutes'")
            )
            connection.execute(sa.text("UPDATE quickbooks.connections SET retry_at = NULL, lease_until = NULL"))
        return self._ran(
            _job("refresh_tokens", books or self.books).execute_in_process(instance=self.instance, raise_on_error=False)
        )

    def _ran(self, result: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
        self.runs.append(result)
        self.look()
        return result

    def found(self, *more: str) -> list[str]:
        """Return where which canary was found."""
        seen = [(f"file {path.name}", path.read_bytes()) for path in self._files()]
        for result in self.runs:
            run = self.instance.get_run_by_id(result.run_id)
            assert run is not None
            seen.append(("run config", f"{run.run_config} {run.tags}".encode()))
            log = "".join(f"{entry} {entry.user_message}" for entry in self.instance.all_logs(result.run_id))
            seen.append(("event log", log.encode()))
        seen += [("GraphQL", str(self._graphql()).encode()), *(("said", text.encode()) for text in more)]
        return [
            f"{canary!r} in {where}"
            for where, content in seen
            for canary in self.canaries
            if canary.encode() in content
        ]

    def _files(self) -> Iterator[Path]:
        keys = self.books.settings.token_key_path
        for folder in (self.home, self.scratch, self.books.settings.state_dir):
            yield from (path for path in folder.rglob("*") if path.is_file() and path != keys)

    def _graphql(self) -> Any:
        with WorkspaceProcessContext(self.instance, EmptyWorkspaceTarget()) as process:
            answer = create_schema().execute(QUERY, context_value=process.create_request_context())
        assert answer.errors is None, answer.errors
        assert answer.data is not None
        assert len(answer.data["runsOrError"]["results"]) == len(self.runs)
        return answer.data


def _job(name: str, books: Books) -> dg.JobDefinition:
    ours = dg.Definitions(
        assets=[*source_specs(), quickbooks_tables, tokens],
        jobs=[sync, refresh_tokens],
        resources={"books": books},
        executor=dg.in_process_executor,
    )
    return ours.resolve_job_def(name)


@pytest.fixture
def aviary(
    books: Books, quickbooks: Sandbox, company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Aviary]:
    before = logging.getLogRecordFactory()
    keep_secrets_out_of_logs()
    monkeypatch.setattr("qbo_pipeline.tokens._SECOND_LOOK", 0)
    home, scratch = tmp_path / "dagster", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    (customer,) = quickbooks.edit({"op": "create", "entity": "Customer", "record": {"DisplayName": NAME}})
    line = {"Amount": AMOUNT, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}
    record = {"CustomerRef": {"value": str(customer["Id"])}, "Line": [line]}
    quickbooks.edit({"op": "create", "entity": "Invoice", "record": record})
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        instance.add_dynamic_partitions(str(COMPANIES.name), [company.partition_key])
        made = Aviary(untimed_books(books.settings), quickbooks, company, instance, home, scratch)
        made.look()
        yield made
        made.books.database.dispose()
    logging.setLogRecordFactory(before)


def refuse(aviary: Aviary, table: str, condition: str) -> None:
    """Let Postgres refuse the rows with the canary: what it says of that quotes the whole row."""
    with aviary.books.engine.begin() as connection:
        connection.execute(
            sa.text(f"ALTER TABLE quickbooks.{table} ADD CONSTRAINT no_birds CHECK ({condition}) NOT VALID")
        )


def test_no_canary_is_found_after_every_kind_of_failure(
    aviary: Aviary, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = aviary.quickbooks.tell
    assert aviary.sync().success

    refuse(aviary, "customers", f"display_name <> '{NAME}'")
    refuse(aviary, "invoices", f"total_amt <> {AMOUNT}")
    aviary.quickbooks.edit({"op": "touch", "entity": "Customer", "id": _canary_id(aviary)})
    assert not aviary.sync().success

    for fault in ("fault_200", "truncated_json", "http_500_html", "http_401"):
        tell("/faults", {"fault": fault, "match": {"path": "query"}, "times": 40, "at": 600})
        assert not aviary.sync().success
        tell("/faults", method="DELETE")

    def quoting(error: Exception) -> Callable[..., Any]:
        def fail(*_: Any, **__: Any) -> Any:
            raise error

        return fail

    row = f'new row for relation "customers" violates …\nDETAIL:  Failing row contains (1, {NAME}, {AMOUNT}).'
    token = str(aviary.books.token_store.read(REALM).access_token[:])
    for error in (
        RuntimeError(f"cannot handle {NAME} with {token}"),
        sa.exc.IntegrityError("INSERT …", {"name": NAME}, psycopg2.errors.CheckViolation(row)),
        psycopg2.errors.CheckViolation(row),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(aviary.books, "sync", quoting(error))
            failed = aviary.sync()
            assert not failed.success
            assert "A failure nobody foresaw" in _said(failed)
            assert type(error).__name__ in _said(failed)
        with monkeypatch.context() as patch:
            patch.setattr(aviary.books, "refresh", quoting(error))
            assert not aviary.refresh().success

    for fault in ("drop_connection", "truncated_json", "http_503_html", "http_429", "slow"):
        tell("/faults", {"fault": fault, "match": {"path": "bearer"}, "processed": True, "at": 400, "seconds": 0.1})
        aviary.refresh()
        tell("/faults", method="DELETE")
    assert aviary.refresh().success
    wrong = untimed_books(
        msgspec.structs.replace(aviary.books.settings, client_id="sandbox-client", client_secret=Secret(SECRET))
    )
    assert not aviary.refresh(wrong).success
    wrong.database.dispose()
    tell("/tokens/revoke", {})
    assert not aviary.refresh().success
    assert not aviary.sync().success

    logging.getLogger("a library").error("it sent %s to somebody", token)
    out, err = capfd.readouterr()
    assert "it sent *** to somebody" in caplog.text
    assert aviary.found(out, err, caplog.text) == []


def test_the_search_finds_a_canary_that_got_out(aviary: Aviary) -> None:
    """A search that finds nothing anywhere proves nothing."""

    @dg.op
    def careless() -> None:
        dg.get_dagster_logger().info("read %s", NAME)

    @dg.job
    def leak() -> None:
        careless()

    aviary._ran(leak.execute_in_process(instance=aviary.instance))
    (aviary.scratch / "rows.csv").write_text(f"1,{AMOUNT}\n")
    found = aviary.found()
    assert f"{NAME!r} in event log" in found
    assert f"{NAME!r} in GraphQL" in found
    assert f"{AMOUNT!r} in file rows.csv" in found


def _canary_id(aviary: Aviary) -> str:
    return next(
        str(each["Id"]) for each in aviary.quickbooks.truth()["Customer"].values() if each["DisplayName"] == NAME
    )


def _said(result: dg.ExecuteInProcessResult) -> str:
    data = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    return " ".join(str(each.description) for each in data if each is not None)
