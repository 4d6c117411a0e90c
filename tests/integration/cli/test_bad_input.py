"""What goes wrong ends in one sentence that says what to do: no traceback, no secret, nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.warehouse.companies import Company
from tests.integration.cli.conftest import Terminal
from tests.support.quickbooks import Sandbox

NEON = "postgresql://u:s3cret-password@ep-cool-a1-pooler.eu-central-1.aws.neon.tech/books"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("QBO_ENVIRONMENT", "prod", "QBO_ENVIRONMENT is 'prod'; it must be one of local, sandbox, production."),
        ("QBO_AUTH_BASIC", "s3cret-client", "QBO_AUTH_BASIC must be 'client_id:client_secret' in base64."),
        ("QBO_LOCAL_URL", "http://example.com", "it must be an address on this machine"),
        ("QBO_LOCAL_URL", "http://127.0.0.1.example.com:80", "it must be an address on this machine"),
        ("QBO_REDIRECT_URI", "http://localhost:port/", "it must be an address like http://localhost:8500/callback"),
        ("QBO_REDIRECT_URI", "localhost:8500", "it must be an address like http://localhost:8500/callback"),
        ("QBO_STATE_DIR", "~nobody-of-that-name/x", "that account has no home folder"),
    ],
)
def test_a_wrong_setting_is_named(terminal: Terminal, company: Company, variable: str, value: str, says: str) -> None:
    assert says in terminal.refused("sync", **{variable: value})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3cret-password", "DATABASE_URL is no database URL"),
        ("postgresql://u:s3cret-password@h:port/d", "DATABASE_URL is no database URL"),
        ("mysql://u:s3cret-password@h/d", "only Postgres can be the warehouse"),
        ("postgresql://u:s3cret-password@127.0.0.1", "DATABASE_URL names no database"),
        (NEON, "use the direct host ep-cool-a1.eu-central-1.aws.neon.tech instead"),
        ("postgresql://u:s3cret-password@127.0.0.1:1/d", "is Postgres running there"),
        ("postgresql://u:s3cret-password@no.such.host.invalid/d", "check the host in DATABASE_URL"),
    ],
)
@pytest.mark.parametrize("command", [("status",), ("db", "upgrade"), ("sync",), ("up",), ("demo", "--once")])
def test_a_database_that_cannot_be_used_is_explained(
    bare: Terminal, command: tuple[str, ...], url: str, says: str
) -> None:
    result = bare.type(*command, DATABASE_URL=url)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_a_wrong_password_is_explained_and_not_shown(terminal: Terminal) -> None:
    url = sa.make_url(terminal.environment["DATABASE_URL"]).set(password="s3cret-password")
    said = terminal.refused("status", DATABASE_URL=url.render_as_string(hide_password=False))
    assert "refuses the user" in said
    assert "or its password" in said


def test_with_json_a_failure_is_a_document_too(bare: Terminal) -> None:
    result = bare.type("status", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert set(said) == {"error"}
    assert result.stderr == f"Error: {said['error']}\n"


def test_a_database_that_was_never_upgraded_is_left_alone(terminal: Terminal, empty_database_url: str) -> None:
    assert "run 'qbo db upgrade'" in terminal.refused("status", DATABASE_URL=empty_database_url)
    engine = sa.create_engine(empty_database_url)
    assert not sa.inspect(engine).has_schema("quickbooks")
    engine.dispose()


@pytest.mark.parametrize("environment", ["sandbox", "production"])
@pytest.mark.parametrize("command", ["connect", "up"])
def test_missing_keys_are_missed_before_anything_starts(bare: Terminal, command: str, environment: str) -> None:
    said = bare.refused(command, QBO_ENVIRONMENT=environment)
    assert "set QBO_CLIENT_ID and QBO_CLIENT_SECRET" in said
    assert f"keys of the {environment} environment" in said


def test_a_local_quickbooks_that_nobody_started(terminal: Terminal, company: Company) -> None:
    assert "start one with 'qbo demo' or 'qbo sandbox serve'" in terminal.refused("sync", QBO_LOCAL_URL="")


@pytest.mark.parametrize("command", ["sync", "connect"])
def test_a_local_quickbooks_that_has_stopped(terminal: Terminal, company: Company, command: str) -> None:
    said = terminal.refused(command, QBO_LOCAL_URL="http://127.0.0.1:1")
    assert said == (
        "No local QuickBooks answers at http://127.0.0.1:1: start one with 'qbo sandbox serve' or 'qbo demo'."
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sync", "--entity", "Invoices", "--entity", "Invice"], "There is no entity 'Invice'. Known entities: "),
        (["show", "Invice", "1"], "There is no entity 'Invice'. Known entities: "),
        (["sync", "--company", "acme"], "There is no company 'acme'; connected are "),
        (["show", "Invoice", "1", "--company", "acme"], "There is no company 'acme'; connected are "),
        (["show", "Invoice", "no-such-id"], "'qbo sync --entity Invoice' brings it."),
        (["sync", "--since", "yesterday"], "--since 'yesterday' is not a date; write it like 2026-11-01."),
        (["sync", "--since", "2026-02-30"], "--since '2026-02-30' is not a date"),
        (["sync", "--since", "2026-01-01", "--until", "soon"], "--until 'soon' is not a date"),
        (["sync", "--since", "2026-02-01", "--until", "2026-01-01"], "is empty: its start must lie before its end."),
        (["sync", "--since", "2026-02-01", "--until", "2026-02-01"], "is empty: its start must lie before its end."),
        (["sync", "--since", "2999-01-01"], "is empty: its start must lie before its end."),
        (["sync", "--until", "2026-01-01"], "--until needs --since"),
        (["sync", "--full", "--since", "2026-01-01"], "leave out --since and --until"),
    ],
    ids=" ".join,
)
def test_words_that_mean_nothing(
    terminal: Terminal, company: Company, quickbooks: Sandbox, words: list[str], says: str
) -> None:
    quickbooks.tell("/calls", method="DELETE")
    assert says in terminal.refused(*words)
    assert quickbooks.calls() == [], "nothing is asked of QuickBooks for a command that cannot be done"


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["sync", "--nonsense"],
        ["show", "Invoice"],
        ["demo", "--books", "no-such-folder"],
        ["demo", "--invoices", "-1"],
        ["sandbox", "serve", "--books", "no-such-folder"],
        ["sandbox", "serve", "--port", "70000"],
        ["up", "--ui-port", "0"],
    ],
    ids=" ".join,
)
def test_words_the_command_line_does_not_have_are_exit_code_2(bare: Terminal, words: list[str]) -> None:
    result = bare.type(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "--help" in result.stderr


def test_no_company_is_connected(terminal: Terminal) -> None:
    assert "run 'qbo connect'" in terminal.refused("sync")
    assert "run 'qbo connect'" in terminal.refused("show", "Invoice", "1")
    assert "run 'qbo connect'" in terminal.type("status").stdout


def test_of_several_companies_one_has_to_be_named(
    terminal: Terminal, books: Books, quickbooks: Sandbox, company: Company
) -> None:
    quickbooks.tell("/companies", {"realm": "9130000000000077", "name": "Second Company", "seed": 7, "invoices": 3})
    second = quickbooks.connect(books, "9130000000000077")
    said = terminal.refused("show", "Invoice", "1")
    assert "--company" in said
    assert company.partition_key in said
    assert second.partition_key in said


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("demo --once", "file/below"),
        ("demo --once", "/proc/nope"),
        ("up", "file/below"),
        ("status", "file/below"),
        ("status", "/proc/nope"),
        ("down", "file/below"),
    ],
)
def test_a_state_folder_that_cannot_be_made(bare: Terminal, clean: Path, command: str, place: str) -> None:
    (clean / "file").write_text("")
    said = bare.refused(*command.split(), DATABASE_URL="", QBO_STATE_DIR=place)
    assert "cannot be used" in said
    assert place in said


@pytest.mark.parametrize("command", [("demo", "--once"), ("sandbox", "serve", "--port", "0")])
def test_a_folder_without_payload_files(bare: Terminal, clean: Path, command: tuple[str, ...]) -> None:
    (clean / "books").mkdir()
    (clean / "books" / "notes.txt").write_text("no books")
    assert "There is no payload file (*.json) in books or below it." in bare.refused(*command, "--books", "books")


def test_the_port_of_the_sandbox_is_taken(bare: Terminal, taken: int) -> None:
    said = bare.refused("sandbox", "serve", "--port", str(taken), "--invoices", "0")
    assert said == f"Port {taken} on 127.0.0.1 is taken; choose another with --port."


def test_the_ports_of_up_are_taken(terminal: Terminal, taken: int, free: Callable[[], int]) -> None:
    result = terminal.type("up", "--ui-port", str(taken))
    assert result.exit_code == 1
    assert f"Error: Port {taken} for Dagster's UI is taken: " in result.stderr
    result = terminal.type("up", "--ui-port", str(free()), QBO_REDIRECT_URI=f"http://localhost:{taken}/callback")
    assert result.exit_code == 1
    assert f"Error: Port {taken} for the web app (QBO_REDIRECT_URI) is taken: " in result.stderr


def test_the_port_of_the_redirect_address_is_taken(terminal: Terminal, taken: int) -> None:
    said = terminal.refused("connect", QBO_REDIRECT_URI=f"http://localhost:{taken}/callback")
    assert said.startswith(f"Port {taken} of QBO_REDIRECT_URI is taken")
    assert f"http://localhost:{taken}/connect" in said


def test_an_unreadable_env_file_is_named(bare: Terminal, clean: Path) -> None:
    (clean / ".env").write_bytes(b"QBO_CLIENT_ID=\xff\xfe")
    assert ".env is not a text file in UTF-8" in bare.refused("status")


@pytest.mark.parametrize("real", ["tokens", "connections"])
def test_a_demo_stays_away_from_real_books(
    terminal: Terminal, books: Books, empty_database_url: str, real: str
) -> None:
    url = terminal.environment["DATABASE_URL"] if real == "connections" else empty_database_url
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        if real == "tokens":  # another program's schema, which we have never touched
            connection.execute(sa.text("CREATE SCHEMA quickbooks"))
            connection.execute(sa.text("CREATE TABLE quickbooks.tokens (id bigint PRIMARY KEY)"))
        else:
            connection.execute(
                sa.text(
                    "INSERT INTO quickbooks.connections (realm_id, environment, partition_key) "
                    "VALUES ('1', 'production', 'acme-1')"
                )
            )
    result = terminal.type("demo", "--once", DATABASE_URL=url)
    assert result.exit_code == 1
    assert "real companies" in result.stderr
    assert "unset DATABASE_URL" in result.stderr
    if real == "tokens":
        assert sa.inspect(engine).get_table_names("quickbooks") == ["tokens"], "nothing was made"
    engine.dispose()
