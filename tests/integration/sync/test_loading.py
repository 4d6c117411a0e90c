"""The load itself, on a real Postgres: what is read arrives once, whole and exact, and nothing else happens."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.catalog import ENTITIES, Entity, entity_named, tables
from qbo_pipeline.errors import LoadError, RejectedError, UnauthorizedError, UnavailableError
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.sync.outcome import Outcome
from qbo_pipeline.sync.render import canonical, render
from qbo_pipeline.sync.window import FULL, INCREMENTAL, OVERLAP, Window, created_between
from qbo_pipeline.warehouse.entity_rows import stored_record
from tests.support.payloads import key_text, sample_records
from tests.support.scripted import AT_NOON, ScriptedReader, invoice

INVOICE, CUSTOMER = entity_named("Invoice"), entity_named("Customer")


def sync(
    engine: sa.Engine, reader: ScriptedReader, *entities: Entity, realm: str = "9130", window: Window = INCREMENTAL
) -> Outcome:
    return sync_company(realm, engine=engine, reader=reader, entities=entities or (INVOICE,), window=window)


def rows(engine: sa.Engine, statement: str) -> list[Any]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement))]


def amounts(engine: sa.Engine, record_id: str, realm: str = "9130") -> list[int]:
    found = rows(
        engine,
        f"SELECT amount FROM quickbooks.invoice_lines WHERE realm_id = '{realm}' AND invoice_id = '{record_id}' "
        "ORDER BY position",
    )
    return [int(amount) for (amount,) in found]


def shown(engine: sa.Engine, entity: Entity, record_id: str, realm: str = "9130") -> dict[str, Any]:
    found = stored_record(engine, entity, realm, record_id)
    assert found is not None
    return render(entity, *found)


@pytest.mark.slow
def test_every_real_record_comes_back_from_postgres_as_it_was(engine: sa.Engine, samples: Path) -> None:
    newest = {
        (entity.name, key_text(entity, record)): (entity, record) for entity, record, _ in sample_records(samples)
    }
    script: dict[str, Any] = {}
    for entity, record in newest.values():
        script.setdefault(entity.name, [[]])[0].append(record)
    outcome = sync(engine, ScriptedReader(script), *ENTITIES)
    assert [each.error for each in outcome.failed] == []
    assert {each.entity.name: each.records for each in outcome.entities} == {
        name: len(pages[0]) for name, pages in script.items()
    }
    for entity, record in newest.values():
        assert canonical(shown(engine, entity, key_text(entity, record))) == canonical(record)


def test_columns_have_exact_types_and_real_primary_keys(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader(), *ENTITIES)
    types = dict(
        rows(
            engine,
            "SELECT data_type, count(*) FROM information_schema.columns WHERE table_schema='quickbooks' GROUP BY 1",
        )
    )
    assert "double precision" not in types
    inspector = sa.inspect(engine)
    for table in tables():
        assert tuple(inspector.get_pk_constraint(table.name, "quickbooks")["constrained_columns"]) == table.key
        assert inspector.get_table_comment(table.name, "quickbooks")["text"] == table.description
        stored = {column["name"] for column in inspector.get_columns(table.name, "quickbooks")}
        assert stored == set(table.column_names), "dlt must not add columns of its own"


def test_a_changed_invoice_replaces_its_row_and_its_lines(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 10, 20, 30), invoice("2", 5)]]}))
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 10, 40)]]}))
    assert (amounts(engine, "1"), amounts(engine, "2")) == ([10, 40], [5])
    assert rows(engine, "SELECT total_amt FROM quickbooks.invoices ORDER BY id") == [(Decimal(50),), (Decimal(5),)]


def test_an_invoice_whose_last_line_went_has_no_lines(engine: sa.Engine) -> None:
    """Guards the mark in ``files.py``: without it no staged row names the invoice, and its old lines stay for ever."""
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 10, 20), invoice("2", 5)]]}))
    sync(engine, ScriptedReader({"Invoice": [[invoice("1")]]}))
    assert (amounts(engine, "1"), amounts(engine, "2")) == ([], [5])
    assert rows(engine, "SELECT count(*) FROM quickbooks.invoice_lines WHERE position < 0") == [(0,)]


def test_of_a_record_read_twice_in_one_load_the_later_reading_counts(engine: sa.Engine) -> None:
    """An invoice that is edited while pages are fetched comes twice; so do its lines, the old and the new ones."""
    script = {"Invoice": [[invoice("1", 10, 20), invoice("2", 5)], [invoice("1", 7)]]}
    sync(engine, ScriptedReader(script))
    assert (amounts(engine, "1"), amounts(engine, "2")) == ([7], [5])
    assert rows(engine, "SELECT total_amt FROM quickbooks.invoices WHERE id='1'") == [(Decimal(7),)]
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 8)], [invoice("1")]]}))
    assert amounts(engine, "1") == []


def test_a_record_that_comes_twice_in_one_page_is_stored_once(engine: sa.Engine) -> None:
    outcome = sync(engine, ScriptedReader({"Invoice": [[invoice("1", 10, 20), invoice("2", 5), invoice("1", 7)]]}))
    assert outcome.failed == []
    assert (amounts(engine, "1"), amounts(engine, "2")) == ([7], [5])


def test_a_record_that_cannot_be_a_row_keeps_the_entity_red_and_the_others_loaded(engine: sa.Engine) -> None:
    reader = ScriptedReader({"Invoice": [[invoice("1", 1), {"TotalAmt": 5}, {"Id": True}, invoice("2", 2)]]})
    (outcome,) = sync(engine, reader).failed
    assert "without a usable Id" in str(outcome.error)
    assert rows(engine, "SELECT id FROM quickbooks.invoices ORDER BY id") == [("1",), ("2",)]
    again = ScriptedReader()
    sync(engine, again)
    assert again.asked == [("Invoice", None)], "the cursor stays until every record is in"


def test_what_a_company_does_not_have_is_no_failure(engine: sa.Engine) -> None:
    outcome = sync(engine, ScriptedReader({"Invoice": [UnavailableError("5020")]}), INVOICE, CUSTOMER)
    assert outcome.failed == []
    assert outcome.entities[0].unavailable == "5020"


ODD: list[dict[str, Any]] = [
    {
        "Id": "1",
        "MetaData": {"CreateTime": "2026-01-05T10:00:00+16:00", "LastUpdatedTime": "2026-01-05T10:00:00+00:00:30"},
    },
    {"Id": "2", "MetaData": {"LastUpdatedTime": "9999-12-31T16:00:00-08:00"}, "TxnDate": "9999-12-31"},
    {
        "Id": "3",
        "TotalAmt": Decimal("1e200000"),
        "Balance": Decimal("-0.00"),
        "BillAddr": {"Long": Decimal("1e-20000")},
    },
    {"Id": "4", "TotalAmt": 10**999, "DocNumber": ["a", {"b": 1}], "TxnDate": "0000-00-00"},
]


def test_values_no_column_can_hold_stop_nothing(engine: sa.Engine) -> None:
    outcome = sync(engine, ScriptedReader({"Invoice": [ODD]}))
    assert outcome.failed == []
    for payload in (ODD[0], ODD[1], ODD[3]):
        assert canonical(shown(engine, INVOICE, str(payload["Id"]))) == canonical(payload)
    assert shown(engine, INVOICE, "3")["TotalAmt"] == "1E+200000"


def test_a_database_that_is_away_is_no_reason_to_read_everything_again(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading is metered: only a value that Postgres refuses is worth a second look, entity by entity."""

    def away(*_: Any, **__: Any) -> Any:
        raise LoadError("Postgres error 57P01")

    monkeypatch.setattr("qbo_pipeline.sync.loader.load", away)
    with pytest.raises(LoadError, match="57P01"):
        sync(engine, ScriptedReader(), INVOICE, CUSTOMER)


def test_an_interruption_is_passed_on_and_nothing_is_read_twice(engine: sa.Engine) -> None:
    reader = ScriptedReader({"Invoice": [KeyboardInterrupt()]})  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        sync(engine, reader, INVOICE, CUSTOMER)
    assert [name for name, _ in reader.asked] == ["Invoice"]


@pytest.mark.slow
def test_a_refused_row_is_shown_nowhere(database_url: str, tmp_path: Path) -> None:
    """dlt logs the whole row by default, and Dagster keeps what a run prints."""
    program = f"""
import sys
import sqlalchemy as sa
from qbo_pipeline.warehouse.engine import open_engine
from tests.integration.sync.test_loading import INVOICE, ScriptedReader, invoice, sync
engine = open_engine({database_url!r})
sync(engine, ScriptedReader())
with engine.begin() as connection:
    connection.execute(sa.text("ALTER TABLE quickbooks.invoices ADD CHECK (private_note <> 'CANARY')"))
outcome = sync(engine, ScriptedReader({{"Invoice": [[invoice("1", 1, PrivateNote="CANARY")]]}}))
print(outcome.failed[0].error)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "failed with Postgres error 23514" in answer.stdout, answer.stderr
    assert "CANARY" not in answer.stdout + answer.stderr


def test_dlt_neither_phones_home_nor_takes_over_signals(engine: sa.Engine) -> None:
    import signal

    from dlt.common import logger
    from dlt.common.runtime import anon_tracker

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    sync(engine, ScriptedReader())
    assert anon_tracker._ANON_TRACKER_ENDPOINT is None
    assert logger.LOGGER is not None
    assert logger.LOGGER.level == 50
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_loading_the_same_again_changes_nothing_but_the_time_it_was_read(engine: sa.Engine) -> None:
    def everything() -> list[Any]:
        return rows(engine, "SELECT id, total_amt, extra FROM quickbooks.invoices ORDER BY id")

    reader = ScriptedReader({"Invoice": [[invoice("1", 10, 20), invoice("2")]]})
    sync(engine, reader)
    before = everything()
    sync(engine, reader)
    assert everything() == before
    assert amounts(engine, "1") == [10, 20]


def test_companies_with_the_same_ids_do_not_touch_each_other(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 10, 20)]]}), realm="9130")
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 99)]]}), realm="9131")
    sync(engine, ScriptedReader({"Invoice": [[invoice("1")]]}), realm="9131")
    assert (amounts(engine, "1", "9130"), amounts(engine, "1", "9131")) == ([10, 20], [])


@pytest.mark.slow
def test_companies_loading_at_the_same_time_lose_nothing(engine: sa.Engine) -> None:
    """Stands guard over the staging schema per company: a shared one loses rows, silently."""
    sync(engine, ScriptedReader(), realm="1")  # tables and dlt's own tables exist
    failures: list[BaseException] = []

    def load(realm: str) -> None:
        try:
            for turn in range(3):
                script = {"Invoice": [[invoice(str(i), turn, i) for i in range(300)]]}
                sync(engine, ScriptedReader(script), realm=realm)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=load, args=(realm,)) for realm in ("1", "2", "3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(
        engine, "SELECT realm_id, count(*), sum(amount) FROM quickbooks.invoice_lines GROUP BY 1 ORDER BY 1"
    ) == [(realm, 600, Decimal(300 * 2 + sum(range(300)))) for realm in ("1", "2", "3")]


@pytest.mark.parametrize(
    "amount", ["0.000000000001", "12345678901234567890123456789012345.67", "3.30", "1e-7", "4E+20"]
)
def test_numbers_arrive_digit_by_digit(engine: sa.Engine, amount: str) -> None:
    payload = {"Id": "1", "TotalAmt": Decimal(amount), "Line": [{"Amount": Decimal(amount)}]}
    sync(engine, ScriptedReader({"Invoice": [[payload]]}))
    ((stored,),) = rows(engine, "SELECT total_amt FROM quickbooks.invoices")
    ((line,),) = rows(engine, "SELECT amount FROM quickbooks.invoice_lines")
    assert stored == line == Decimal(amount)
    assert (format(stored, "f"), format(line, "f")) == (format(Decimal(amount), "f"),) * 2


AWKWARD = [
    'quo"te',
    "new\nline",
    "carriage\rreturn",
    "both\r\n",
    "\\.",
    "a\n\\.\nb",
    "\\N",
    ",;\t",
    "NULL",
    "it's",
    "🧾 Ünïcode",
    " padded ",
]


def test_awkward_text_arrives_letter_by_letter(engine: sa.Engine) -> None:
    payloads: list[dict[str, Any]] = [
        {"Id": str(i), "PrivateNote": text, "BillAddr": {"Line1": text}, "Line": [{"Description": text}]}
        for i, text in enumerate(AWKWARD)
    ]
    sync(engine, ScriptedReader({"Invoice": [payloads]}))
    for payload in payloads:
        assert shown(engine, INVOICE, payload["Id"]) == payload


def test_one_entity_that_cannot_be_read_keeps_only_itself_back(engine: sa.Engine) -> None:
    broken = ScriptedReader(
        {"Invoice": [[invoice("1", 10)], RejectedError("bad query")], "Customer": [[{"Id": "7", "DisplayName": "Ann"}]]}
    )
    outcome = sync(engine, broken, INVOICE, CUSTOMER)
    assert [each.entity.name for each in outcome.failed] == ["Invoice"]
    assert rows(engine, "SELECT count(*) FROM quickbooks.invoices") == [(0,)]
    assert rows(engine, "SELECT display_name FROM quickbooks.customers") == [("Ann",)]
    healed = ScriptedReader({"Invoice": [[invoice("1", 10)]]})
    sync(engine, healed, INVOICE, CUSTOMER)
    assert dict(healed.asked) == {"Invoice": None, "Customer": AT_NOON - OVERLAP}


def test_a_refused_connection_stops_asking_for_the_rest(engine: sa.Engine) -> None:
    reader = ScriptedReader({"Invoice": [UnauthorizedError("401")]})
    outcome = sync(engine, reader, INVOICE, CUSTOMER)
    assert [each.entity.name for each in outcome.failed] == ["Invoice", "Customer"]
    assert [name for name, _ in reader.asked] == ["Invoice"]


@pytest.mark.slow
def test_one_value_postgres_refuses_keeps_only_its_own_entity_back(engine: sa.Engine) -> None:
    """The fast path trusts what is inside a jsonb column; here a number that Postgres cannot store."""
    import msgspec

    class Reader(ScriptedReader):
        def pages(self, entity: Entity, window: Window, since: Any) -> Any:
            for page in super().pages(entity, window, since):
                if entity is INVOICE:
                    page.records = [msgspec.Raw(b'{"Id":"1","BillAddr":{"Long":1e400000},"TotalAmt":5}')]
                yield page

    outcome = sync(engine, Reader({"Customer": [[{"Id": "7"}]]}), INVOICE, CUSTOMER)
    assert outcome.failed == []
    assert rows(engine, "SELECT bill_addr->>'Long', total_amt FROM quickbooks.invoices") == [("1E+400000", Decimal(5))]
    assert rows(engine, "SELECT id FROM quickbooks.customers") == [("7",)]


def test_the_cursor_is_quickbooks_clock_and_comes_back_with_an_overlap(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    later = AT_NOON + timedelta(hours=1)
    second = ScriptedReader({"Invoice": [[invoice("2", 2)]]}, time=later)
    (outcome,) = sync(engine, second).entities
    assert second.asked == [("Invoice", AT_NOON - OVERLAP)]
    assert (outcome.cursor_before, outcome.cursor_after) == (AT_NOON, later)


def test_a_quiet_hour_writes_nothing(engine: sa.Engine) -> None:
    """Not even a row of dlt's own state: a year of quiet hours would be 8,760 of them per company."""
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))

    def written() -> list[Any]:
        return rows(
            engine,
            "SELECT count(*) FROM quickbooks._dlt_pipeline_state UNION ALL SELECT count(*) FROM quickbooks._dlt_loads",
        )

    before = written()
    sync(engine, ScriptedReader(time=AT_NOON + timedelta(hours=1)))
    assert written() == before
    (outcome,) = sync(engine, ScriptedReader(time=AT_NOON + timedelta(hours=30))).entities
    assert outcome.cursor_after == AT_NOON + timedelta(hours=30), "after a day it moves all the same"


def test_a_range_leaves_the_cursor_alone(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    window = created_between(AT_NOON - timedelta(days=60), AT_NOON - timedelta(days=30))
    reader = ScriptedReader({"Invoice": [[invoice("9", 9)]]}, time=AT_NOON + timedelta(days=5))
    sync(engine, reader, window=window)
    assert reader.asked == [("Invoice", window.since)]
    after = ScriptedReader()
    sync(engine, after)
    assert after.asked == [("Invoice", AT_NOON - OVERLAP)]


def test_a_full_sync_reads_everything_and_moves_the_cursor(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    reader = ScriptedReader({"Invoice": [[invoice("1", 1)]]}, time=AT_NOON + timedelta(hours=3))
    sync(engine, reader, window=FULL)
    assert reader.asked == [("Invoice", None)]
    after = ScriptedReader()
    sync(engine, after)
    assert after.asked == [("Invoice", AT_NOON + timedelta(hours=3) - OVERLAP)]


def test_syncing_some_entities_leaves_the_cursors_of_the_others(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}), INVOICE)
    sync(engine, ScriptedReader({"Customer": [[{"Id": "7"}]]}, time=AT_NOON + timedelta(hours=2)), CUSTOMER)
    both = ScriptedReader()
    sync(engine, both, INVOICE, CUSTOMER)
    assert dict(both.asked) == {"Invoice": AT_NOON - OVERLAP, "Customer": AT_NOON + timedelta(hours=2) - OVERLAP}


def test_staging_is_empty_after_a_load(engine: sa.Engine) -> None:
    """dlt leaves it full by default, which doubles what a hosted Postgres charges for."""
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    assert rows(engine, "SELECT count(*) FROM quickbooks_staging_9130.invoices") == [(0,)]


def test_no_file_is_left_behind(engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    assert list(tmp_path.iterdir()) == []
