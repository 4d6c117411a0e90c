"""``qbo db upgrade`` and ``qbo db grant`` as a person and a script see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from qbo_pipeline.cli import main
from qbo_pipeline.warehouse.analysts import readable
from qbo_pipeline.warehouse.engine import open_engine
from tests.integration.warehouse.old_service import SEED, count, everything, run

Qbo = Callable[..., Result]


@pytest.fixture
def qbo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Qbo:
    """``qbo(url, "db", "upgrade")`` runs a command against a database."""
    monkeypatch.chdir(tmp_path)  # no .env of the developer's

    def call(url: str, *words: str) -> Result:
        result = CliRunner().invoke(main, words, env={"DATABASE_URL": url, "QBO_STATE_DIR": str(tmp_path)})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def test_an_old_services_database_is_explained_then_upgraded_then_left_alone(qbo: Qbo, empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    run(engine, SEED)
    before = everything(engine)
    dry = qbo(empty_database_url, "db", "upgrade", "--dry-run")
    assert dry.exit_code == 0
    assert everything(engine) == before
    headline, *would = dry.stdout.splitlines()
    assert headline == "A dry run, nothing was changed. 'qbo db upgrade' would report:"
    assert would[0].startswith("- Schema quickbooks has tables of another program")
    assert "- Moved quickbooks.customers (40 rows) to quickbooks_legacy.customers." in would
    as_data = json.loads(qbo(empty_database_url, "db", "upgrade", "--dry-run", "--json").stdout)
    assert [f"- {sentence}" for sentence in as_data["would_do"]] == would
    assert everything(engine) == before
    real = qbo(empty_database_url, "db", "upgrade")
    assert (real.exit_code, real.stdout.splitlines()) == (0, would)
    assert count(engine, "quickbooks_legacy.customers") == 40
    after = everything(engine)
    assert qbo(empty_database_url, "db", "upgrade").stdout == "The database is up to date; nothing was changed.\n"
    again = qbo(empty_database_url, "db", "upgrade", "--dry-run").stdout
    assert again == "The database is up to date; nothing would be done.\n"
    assert json.loads(qbo(empty_database_url, "db", "upgrade", "--json").stdout) == {"done": []}
    assert everything(engine) == after
    engine.dispose()


def test_an_upgrade_that_fails_is_one_sentence(qbo: Qbo, empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    run(engine, SEED + "CREATE SEQUENCE quickbooks.vendors")
    result = qbo(empty_database_url, "db", "upgrade")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        'Error: The database could not be upgraded and stays as it was: relation "vendors" already exists\n'
    )
    engine.dispose()


def test_grant_says_what_may_be_read_and_when_to_repeat_it(qbo: Qbo, engine: sa.Engine, database_url: str) -> None:
    role = f"analyst_{sa.make_url(database_url).database}"
    run(engine, f'CREATE ROLE "{role}" LOGIN')
    try:
        result = qbo(database_url, "db", "grant", role)
        assert result.exit_code == 0
        assert result.stdout.startswith(
            f"{role} may read the {len(readable())} tables and views of the books in schema quickbooks."
        )
        assert "covered when this is run again" in result.stdout
        assert json.loads(qbo(database_url, "db", "grant", role, "--json").stdout) == {
            "role": role,
            "tables": list(readable()),
            "missing": [],
            "others": [],
        }
        run(engine, f'GRANT SELECT ON quickbooks.tokens TO "{role}"')
        assert "may read what is not for analysts, too: tokens." in qbo(database_url, "db", "grant", role).stderr
    finally:
        run(engine, f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


def test_grant_to_nobody_is_one_sentence(qbo: Qbo, database_url: str) -> None:
    result = qbo(database_url, "db", "grant", "nobody_here")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has no role 'nobody_here': make it with CREATE ROLE" in result.stderr
