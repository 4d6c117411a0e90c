"""``qbo db grant``: an analyst reads the books, signed in as himself, and is refused everything else."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from qbo_pipeline import catalog
from qbo_pipeline.catalog.views import VIEWS
from qbo_pipeline.errors import UsageError, WarehouseError
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.warehouse.analysts import grant, readable
from qbo_pipeline.warehouse.engine import open_engine
from qbo_pipeline.warehouse.migrate import upgrade
from tests.integration.warehouse.old_service import count, everything, rows, run
from tests.support.scripted import ScriptedReader, invoice

NewRole = Callable[..., str]


@pytest.fixture
def new_role(engine: sa.Engine) -> Iterator[NewRole]:
    """``new_role("LOGIN")`` makes a role of the server, with a password; gone after the test."""
    made: list[str] = []

    def make(options: str = "LOGIN") -> str:
        name = f'ana"lyst {secrets.token_hex(4)}'  # a name that needs quoting
        run(engine, f"CREATE ROLE {quoted(name)} {options} PASSWORD 'secret'")
        made.append(name)
        return name

    yield make
    for name in made:
        run(engine, f"DROP OWNED BY {quoted(name)} CASCADE; DROP ROLE {quoted(name)}")


@pytest.fixture
def sign_in(engine: sa.Engine) -> Iterator[Callable[[str], sa.Engine]]:
    """``sign_in(role)`` gives an engine of that role's own."""
    opened: list[sa.Engine] = []

    def enter(role: str) -> sa.Engine:
        url = engine.url.set(username=role, password="secret")
        opened.append(open_engine(url.render_as_string(hide_password=False), pool_size=1))
        return opened[-1]

    yield enter
    for each in opened:
        each.dispose()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def may_read(engine: sa.Engine, table: str) -> bool:
    try:
        count(engine, f'quickbooks."{table}"')
    except ProgrammingError as error:
        if "permission denied" in str(error):
            return False
        raise
    return True


def test_an_analyst_reads_the_books_and_nothing_else(
    engine: sa.Engine, new_role: NewRole, sign_in: Callable[[str], sa.Engine]
) -> None:
    sync_company("9130", engine=engine, reader=ScriptedReader({"Invoice": [[invoice("1", 5, 6)]]}))
    role = new_role()
    analyst = sign_in(role)
    assert not may_read(analyst, "invoices")
    given = grant(engine, role)
    assert (given.missing, given.others) == ((), ())
    everywhere = {name for (name,) in rows(engine, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v', 'm') "
                                                   "AND relnamespace = 'quickbooks'::regnamespace")}  # fmt: skip
    books = set(readable())
    assert set(given.tables) == books
    assert {name for name in everywhere if may_read(analyst, name)} == books
    assert {"tokens", "tokens_archive", "connections", "sync_runs", "api_calls", "companies", "_dlt_loads"} <= (
        everywhere - books
    )
    assert rows(analyst, "SELECT amount::int FROM quickbooks.invoice_lines ORDER BY position") == [(5,), (6,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE quickbooks.invoices SET total_amt = 0",
        "DELETE FROM quickbooks.invoices",
        "INSERT INTO quickbooks.invoices (realm_id, id, synced_at) VALUES ('1', '1', now())",
        "TRUNCATE quickbooks.invoices",
        "CREATE TABLE quickbooks.mine (x int)",
        "SELECT access_token FROM quickbooks.tokens",
    ],
)
def test_reading_is_all_he_may(
    engine: sa.Engine, new_role: NewRole, sign_in: Callable[[str], sa.Engine], statement: str
) -> None:
    role = new_role()
    grant(engine, role)
    with pytest.raises(ProgrammingError, match="permission denied"):
        run(sign_in(role), statement)


def test_twice_is_once(engine: sa.Engine, new_role: NewRole) -> None:
    role = new_role()
    first = grant(engine, role)
    before = everything(engine)
    assert grant(engine, role) == first
    assert everything(engine) == before


def test_a_table_of_a_later_version_is_covered_once_it_is_run_again(
    engine: sa.Engine, new_role: NewRole, sign_in: Callable[[str], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(engine, "DROP TABLE quickbooks.terms CASCADE")
    role = new_role()
    given = grant(engine, role)
    assert given.missing == ("terms", "custom_fields")  # a view that reads it
    assert "terms" not in given.tables
    upgrade(engine)
    analyst = sign_in(role)
    assert not may_read(analyst, "terms")
    assert grant(engine, role).missing == ()
    assert may_read(analyst, "terms")
    monkeypatch.setattr(catalog, "ENTITIES", catalog.ENTITIES[:3])
    assert set(grant(engine, role).tables) == {
        "company_info",
        "preferences",
        "attachables",
        *(view.name for view in VIEWS),
        "deleted_records",
    }


def test_a_role_that_does_not_exist_is_one_sentence(engine: sa.Engine) -> None:
    before = everything(engine)
    with pytest.raises(UsageError, match=r"no role 'no\"body': make it with CREATE ROLE \"no\"\"body\" LOGIN"):
        grant(engine, 'no"body')
    assert everything(engine) == before


def test_rights_he_has_from_elsewhere_are_named(engine: sa.Engine, new_role: NewRole) -> None:
    role = new_role()
    run(engine, f"GRANT SELECT ON quickbooks.tokens TO {quoted(role)}")
    run(engine, f"GRANT SELECT (realm_id) ON quickbooks.connections TO {quoted(role)}")
    assert grant(engine, role).others == ("connections", "tokens")


def test_the_owner_of_the_tables_needs_no_superuser(
    engine: sa.Engine, new_role: NewRole, sign_in: Callable[[str], sa.Engine]
) -> None:
    """Managed Postgres gives nobody a superuser; the ordinary user that ran the upgrade must do."""
    owner, role = new_role("LOGIN NOSUPERUSER NOCREATEROLE"), new_role()
    run(engine, f"ALTER SCHEMA quickbooks OWNER TO {quoted(owner)}")
    for name in readable():
        run(engine, f'ALTER TABLE quickbooks."{name}" OWNER TO {quoted(owner)}')
    grant(sign_in(owner), role)
    assert may_read(sign_in(role), "invoices")
    run(engine, f"REASSIGN OWNED BY {quoted(owner)} TO CURRENT_USER")


def test_who_may_not_grant_is_told_and_grants_nothing(
    engine: sa.Engine, new_role: NewRole, sign_in: Callable[[str], sa.Engine]
) -> None:
    """Postgres only warns: without a look afterwards the command would claim success."""
    reader, role = new_role(), new_role()
    grant(engine, reader)
    before = everything(engine)
    with pytest.raises(WarehouseError, match="may not give rights on schema quickbooks"):
        grant(sign_in(reader), role)
    assert everything(engine) == before


def test_another_programs_table_is_not_handed_out(engine: sa.Engine, new_role: NewRole) -> None:
    run(
        engine,
        "DROP TABLE quickbooks.customers CASCADE; CREATE TABLE quickbooks.customers (id int PRIMARY KEY, secret text)",
    )
    with pytest.raises(WarehouseError, match="'qbo db upgrade' moves them"):
        grant(engine, new_role())
