"""The rhythm of entities that change data capture does not cover."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from qbo_pipeline.catalog import ENTITIES, entity_named
from qbo_pipeline.warehouse.polls import PollLog

REALM = "9130"
TIME, CODE, LIST = (entity_named(name) for name in ("TimeActivity", "TaxCode", "TaxClassification"))


def age(engine: sa.Engine, asked: str, changed: str | None) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE quickbooks.polls SET asked_at = now() - CAST(:asked AS interval), "
                "changed_at = now() - CAST(:changed AS interval)"
            ),
            {"asked": asked, "changed": changed},
        )


def test_what_was_never_asked_for_is_due(engine: sa.Engine) -> None:
    assert PollLog(engine).resting(REALM, ENTITIES) == set()


@pytest.mark.parametrize(
    ("asked", "changed", "resting"),
    [
        ("5 minutes", "1 hour", {"TaxCode", "TaxClassification"}),
        ("23 hours", "23 hours", {"TaxCode", "TaxClassification"}),
        ("24 hours", "24 hours", {"TaxClassification"}),
        ("23 hours 55 minutes", "2 days", {"TaxClassification"}),
        ("7 days", "7 days", set()),
        ("5 minutes", None, {"TimeActivity", "TaxCode", "TaxClassification"}),
        ("5 minutes", "8 days", {"TimeActivity", "TaxCode", "TaxClassification"}),
        ("24 hours", "8 days", {"TaxClassification"}),
    ],
)
def test_each_has_its_rhythm_and_the_idle_a_daily_one(
    engine: sa.Engine, asked: str, changed: str | None, resting: set[str]
) -> None:
    log = PollLog(engine)
    log.note(REALM, {each.name: True for each in (TIME, CODE, LIST)})
    age(engine, asked, changed)
    assert log.resting(REALM, ENTITIES) == resting
    assert log.resting("another company", ENTITIES) == set()


def test_finding_nothing_keeps_when_it_last_changed(engine: sa.Engine) -> None:
    log = PollLog(engine)
    log.note(REALM, {"TimeActivity": True})
    age(engine, "1 day", "1 day")
    log.note(REALM, {"TimeActivity": False})
    with engine.connect() as connection:
        times = (
            "SELECT now() - asked_at < interval '1 hour', now() - changed_at > interval '1 hour' FROM quickbooks.polls"
        )
        assert connection.execute(sa.text(times)).one() == (True, True)
