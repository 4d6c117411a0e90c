"""The yellow check: QuickBooks sends something new, the run goes on, and whoever looks at the asset sees it."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES
from qbo_pipeline.defs.keys import table_key
from qbo_pipeline.warehouse.companies import Company
from tests.integration.defs.test_runs import run, this_month
from tests.support.quickbooks import Sandbox

pytestmark = pytest.mark.slow


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {each.asset_key.path[-1]: each for each in result.get_asset_check_evaluations()}


def test_new_fields_and_values_turn_a_check_yellow_and_stop_nothing(
    loaded: Books, quickbooks: Sandbox, instance: dg.DagsterInstance
) -> None:
    company = loaded.company(None)
    instance.add_dynamic_partitions("companies", [company.partition_key])
    first = checks(run(loaded, instance, partition_key=this_month(company)))
    assert len(first) == len(ENTITIES)
    assert [name for name, check in first.items() if not check.passed] == []

    invoice, other = list(quickbooks.truth()["Invoice"])[:2]
    quickbooks.edit(
        {"op": "update", "entity": "Invoice", "id": invoice, "record": {"Mood": "merry", "EmailStatus": "Telepathy"}},
        {"op": "update", "entity": "Invoice", "id": other, "record": {"Mood": "sad"}},
    )
    result = run(loaded, instance, partition_key=this_month(company))
    assert result.success
    yellow = {name: check for name, check in checks(result).items() if not check.passed}
    assert list(yellow) == ["invoices"]
    assert yellow["invoices"].severity is dg.AssetCheckSeverity.WARN
    seen = yellow["invoices"].metadata["seen"]
    assert isinstance(seen, dg.TableMetadataValue)
    assert [(row.data["kind"], row.data["field"], row.data["records"]) for row in seen.records] == [
        ("unknown choice", "EmailStatus = Telepathy", 1),
        ("unknown field", "Mood", 2),
    ]
    (materialization,) = (
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == table_key(ENTITIES[[each.name for each in ENTITIES].index("Invoice")].table)
    )
    assert materialization.metadata["schema_drift"].value == [
        {"kind": "unknown field", "field": "Mood", "records": 2},
        {"kind": "unknown choice", "field": "EmailStatus = Telepathy", "records": 1},
    ]

    quiet = checks(run(loaded, instance, partition_key=this_month(company)))
    assert not quiet["invoices"].passed, "an hour without changes does not make the field known"
    quickbooks.tell("/clock", {"advance_seconds": 3600})
    run(loaded, instance, partition_key=this_month(company))
    with loaded.database.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.schema_drift SET last_seen_at = now() - interval '31 days'"))
    later = checks(run(loaded, instance, partition_key=this_month(company)))
    assert later["invoices"].passed, "what has not been seen for a month no longer is news"


def test_another_companys_drift_is_its_own(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance
) -> None:
    quickbooks.tell("/companies", {"realm": "9130000000000077", "name": "A Second Company", "seed": 7, "invoices": 3})
    second = quickbooks.connect(books, "9130000000000077")
    instance.add_dynamic_partitions("companies", [company.partition_key, second.partition_key])
    customer = next(iter(quickbooks.truth(second.realm_id)["Customer"]))
    quickbooks.edit(
        {"op": "update", "entity": "Customer", "id": customer, "record": {"Mood": "odd"}}, realm=second.realm_id
    )
    assert not checks(run(books, instance, partition_key=this_month(second)))["customers"].passed
    assert checks(run(books, instance, partition_key=this_month(company)))["customers"].passed
