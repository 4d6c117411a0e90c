"""An hour in which nothing happened is known without a load, and nothing else passes for one."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.errors import RetryableError
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.sync.cursors import committed_cursors, pipeline_name
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.quiet import quiet_hour
from qbo_pipeline.sync.reading import QUIET_CURSOR_AGE, Reading
from qbo_pipeline.sync.window import FULL, INCREMENTAL, Window
from tests.support.scripted import AT_NOON, ScriptedReader, invoice

INVOICE, CUSTOMER, TIME = entity_named("Invoice"), entity_named("Customer"), entity_named("TimeActivity")
LATER = AT_NOON + timedelta(hours=1)
CURSORS = {"Invoice": AT_NOON, "Customer": AT_NOON}


class Restless(ScriptedReader):
    """Calls itself quiet whatever it has to say: what the pages say counts."""

    is_quiet = True


def quiet(
    reader: ScriptedReader, cursors: Mapping[str, datetime] = CURSORS, window: Window = INCREMENTAL, *more: Any
) -> list[EntityOutcome] | None:
    return quiet_hour((INVOICE, CUSTOMER, *more), Reading("9130", reader, window, Path()), cursors)


def test_a_quiet_hour_is_told_of_every_entity_and_leaves_its_cursor() -> None:
    outcomes = quiet(ScriptedReader(time=LATER))
    assert outcomes is not None
    assert [(each.entity.name, each.asked_at, each.cursor_after) for each in outcomes] == [
        ("Invoice", LATER, AT_NOON),
        ("Customer", LATER, AT_NOON),
    ]
    assert all(each.ok and each.pages == 1 and each.records == 0 for each in outcomes)


@pytest.mark.parametrize(
    "reader",
    [
        ScriptedReader({"Customer": [[{"Id": "1"}]]}, time=LATER),
        Restless({"Customer": [[], [{"Id": "1"}]]}, time=LATER),
        Restless({"Customer": [RetryableError("QuickBooks is away")]}, time=LATER),
        ScriptedReader(time=None),  # type: ignore[arg-type]
        ScriptedReader(time=AT_NOON + QUIET_CURSOR_AGE + timedelta(seconds=1)),
    ],
    ids=["a change", "a change on a later page", "an entity that fails", "an answer without a time", "an old cursor"],
)
def test_whatever_may_be_more_is_left_to_the_load(reader: ScriptedReader) -> None:
    assert quiet(reader) is None


def test_only_changes_of_entities_that_tell_of_them_can_be_quiet() -> None:
    assert quiet(ScriptedReader(time=LATER), window=FULL) is None
    assert quiet(ScriptedReader(time=LATER), {"Invoice": AT_NOON}) is None, "an entity that was never read"
    everywhere = {**CURSORS, "TimeActivity": AT_NOON}
    assert quiet(ScriptedReader(time=LATER), everywhere, INCREMENTAL, TIME) is None, "not told of by CDC"


def sync(engine: sa.Engine, reader: ScriptedReader) -> EntityOutcome:
    (outcome,) = sync_company("9130", engine=engine, reader=reader, entities=(INVOICE,)).entities
    return outcome


def test_cursors_are_read_as_dlt_left_them(engine: sa.Engine) -> None:
    assert committed_cursors(engine, "9130") == {}, "before the first load there is not even the table"
    first = sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    assert committed_cursors(engine, "9130") == {"Invoice": first.cursor_after}
    assert committed_cursors(engine, "9131") == {}
    second = sync(engine, ScriptedReader({"Invoice": [[invoice("1", 2)]]}, time=LATER))
    assert committed_cursors(engine, "9130") == {"Invoice": second.cursor_after} == {"Invoice": LATER}


def test_a_load_that_was_not_completed_has_no_cursors(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 2)]]}, time=LATER))
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE quickbooks._dlt_loads SET status = 1 "
                "WHERE load_id = (SELECT max(load_id) FROM quickbooks._dlt_loads)"
            )
        )
    assert committed_cursors(engine, "9130") == {"Invoice": AT_NOON}


@pytest.mark.parametrize(
    "state",
    [
        "",
        "no base64!",
        base64.b64encode(b"not packed").decode(),
        base64.b64encode(zlib.compress(b"[]")).decode(),
        base64.b64encode(zlib.compress(b'{"sources": {"quickbooks": {"cursors": {"Invoice": "yesterday"}}}}')).decode(),
        base64.b64encode(zlib.compress(b'{"sources": {"books": {"cursors": {}}}}')).decode(),
    ],
)
def test_a_state_in_other_words_is_left_to_dlt(engine: sa.Engine, state: str) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE quickbooks._dlt_pipeline_state SET state = :state WHERE pipeline_name = :name"),
            {"state": state, "name": pipeline_name("9130")},
        )
    assert committed_cursors(engine, "9130") == {}


def test_a_renamed_table_of_dlt_is_left_to_dlt(engine: sa.Engine) -> None:
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE quickbooks._dlt_pipeline_state RENAME COLUMN state TO packed"))
    assert committed_cursors(engine, "9130") == {}


def test_a_quiet_hour_loads_nothing(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise AssertionError("something is loaded")

    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    monkeypatch.setattr("qbo_pipeline.sync.loader.load", load)
    assert sync(engine, ScriptedReader(time=LATER)).cursor_after == AT_NOON
    with pytest.raises(AssertionError, match="something is loaded"):
        sync(engine, ScriptedReader(time=AT_NOON + timedelta(hours=30)))


def test_a_quiet_hour_finishes_what_a_killed_one_left(engine: sa.Engine) -> None:
    """A run killed between its load and its last statement leaves a record both alive and noted as deleted."""
    sync(engine, ScriptedReader({"Invoice": [[invoice("1", 1)]]}))
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.deleted_records (realm_id, entity, id, detected_by) "
                "VALUES ('9130', 'Invoice', '1', 'cdc')"
            )
        )
    sync(engine, ScriptedReader(time=LATER))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM quickbooks.deleted_records")).scalar_one() == 0
