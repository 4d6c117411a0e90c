"""Connecting companies and finding them by what people call them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from qbo_pipeline.errors import UsageError, WarehouseError
from qbo_pipeline.warehouse.companies import Company, CompanyStore
from qbo_pipeline.warehouse.token_store import TokenStore
from tests.support.custody import CUSTODY, FakeGrant


def connect(
    engine: sa.Engine, realm: str, name: str, environment: str = "local", grant: FakeGrant | None = None
) -> Company:
    store = CompanyStore(engine)
    return store.connect(
        realm,
        name,
        environment=environment,
        base_url="http://127.0.0.1:1",
        grant=grant or FakeGrant("access", "refresh"),
        custody=CUSTODY,
    )


def test_connecting_writes_all_three_tables_or_none(engine: sa.Engine) -> None:
    company = connect(engine, "9130", "Craig's Landscaping")
    assert (company.partition_key, company.name, company.is_active) == (
        "craigs-landscaping-9130",
        "Craig's Landscaping",
        True,
    )
    with pytest.raises(WarehouseError, match="empty access token"):
        connect(engine, "9140", "Ed", grant=FakeGrant(access_token=" "))
    with engine.connect() as connection:
        for table, key in (("companies", "id"), ("tokens", "realm_id"), ("connections", "realm_id")):
            assert connection.execute(sa.text(f"SELECT {key} FROM quickbooks.{table}")).scalars().all() == ["9130"]


def test_connecting_again_renews_the_tokens_and_keeps_the_key(engine: sa.Engine) -> None:
    connect(engine, "9130", "Craig's Landscaping")
    tokens = TokenStore(engine, CUSTODY)
    lease = tokens.claim("9130", "me")
    assert lease is not None
    assert tokens.refuse(lease, "the refresh token is dead", for_good=True) == "needs_reauth"
    again = connect(engine, "9130", "Craig & Sons", grant=FakeGrant("access 2", "refresh 2"))
    assert (again.name, again.partition_key, again.is_active) == ("Craig & Sons", "craigs-landscaping-9130", True)
    assert again.last_error is None
    assert tokens.commit(lease, FakeGrant("late", "late")) is False
    assert tokens.read("9130").access_token == "access 2"


def test_an_environment_is_never_changed(engine: sa.Engine) -> None:
    connect(engine, "9130", "Craig", "sandbox")
    with pytest.raises(UsageError, match="connected to the environment 'sandbox'"):
        connect(engine, "9130", "Craig", "production", FakeGrant("other", "other"))
    assert TokenStore(engine, CUSTODY).read("9130").access_token == "access"
    connect(engine, "9140", "Zoe", "production")
    assert [company.realm_id for company in CompanyStore(engine).all("production")] == ["9140"]


def test_a_company_is_found_by_key_realm_or_name(engine: sa.Engine) -> None:
    connect(engine, "9130", "Craig's Landscaping")
    connect(engine, "9140", "Ed")
    connect(engine, "9150", "Ed")
    store = CompanyStore(engine)
    for word in ("craigs-landscaping-9130", "9130", " CRAIG'S landscaping "):
        assert store.get(word).realm_id == "9130"
    with pytest.raises(UsageError, match=r"2 companies are called 'ed'.* ed-9140, ed-9150"):
        store.get("ed")
    with pytest.raises(UsageError, match=r"no company 'Bob'; connected are craigs-landscaping-9130, ed-9140, ed-9150"):
        store.get("Bob")
    assert [company.realm_id for company in store.all()] == ["9130", "9140", "9150"]


def test_without_companies_the_word_to_use_is_named(engine: sa.Engine) -> None:
    with pytest.raises(UsageError, match="qbo connect"):
        CompanyStore(engine).get("Bob")


def test_a_company_that_another_program_connects_is_adopted_once(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO quickbooks.companies (id, name) VALUES ('c1', 'Craig');"
            "INSERT INTO quickbooks.tokens (company_id, access_token, realm_id, base_url) "
            "VALUES ('c1', 'a', '9130', 'https://quickbooks.api.intuit.com')"
        )
    store = CompanyStore(engine)
    assert [(company.partition_key, company.environment) for company in store.adopt()] == [("craig-9130", "production")]
    assert store.adopt() == []
    connect(engine, "9130", "Craig Ltd", "production")
    assert store.get("Craig Ltd").realm_id == "9130"  # the other program's company row is the one that is renamed


def test_ids_that_other_programs_chose_are_not_in_the_way(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO quickbooks.tokens (id, company_id, access_token) "
            "SELECT n, 'c', 'a' FROM generate_series(1, 3) n"
        )
    connect(engine, "9130", "Craig")
    assert CompanyStore(engine).get("9130").name == "Craig"


def test_the_first_load_is_noted_once(engine: sa.Engine) -> None:
    connect(engine, "9130", "Craig")
    store = CompanyStore(engine)
    assert store.get("9130").initial_load_at is None
    store.initial_load_finished("9130")
    first = store.get("9130").initial_load_at
    store.initial_load_finished("9130")
    assert first is not None
    assert store.get("9130").initial_load_at == first
