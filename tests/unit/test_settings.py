"""Settings: where values come from, what is refused, and that nothing secret is shown."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from qbo_pipeline.errors import SettingsError
from qbo_pipeline.secret import Secret
from qbo_pipeline.settings import Settings, forget_service, load_settings, note_service, services, variables


def load(folder: Path, **environ: str) -> Settings:
    return load_settings(environ, folder)


def test_without_anything_only_a_local_quickbooks_is_talked_to(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.environment == "local"
    assert settings.database_url is None
    assert settings.local_url is None
    assert settings.credentials == ("sandbox-client", "sandbox-secret")
    assert settings.state_dir == tmp_path / ".qbo"


def test_the_environment_is_stronger_than_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QBO_CLIENT_ID=from-file\nQBO_CLIENT_SECRET='with # and $x'\n")
    settings = load(tmp_path, QBO_CLIENT_ID="from-environment")
    assert settings.client_id == "from-environment"
    assert settings.client_secret == "with # and $x"


def test_a_variable_that_is_set_but_empty_hides_the_one_in_the_file(tmp_path: Path) -> None:
    """So a demo is kept away from real credentials, whatever .env says."""
    (tmp_path / ".env").write_text("QBO_CLIENT_ID=real\n")
    assert load(tmp_path, QBO_CLIENT_ID="").client_id is None


def test_every_variable_is_explained() -> None:
    listed = variables()
    assert set(listed) == set(Settings.__struct_fields__)
    for variable, _, about in listed.values():
        assert variable.isupper()
        assert len(about) > 10


@pytest.mark.parametrize(
    "given",
    [
        {"QBO_CLIENT_ID": "id", "QBO_CLIENT_SECRET": "se:cret"},
        {"QBO_AUTH_BASIC": base64.b64encode(b"id:se:cret").decode()},
        {"QBO_AUTH_BASIC": "Basic " + base64.b64encode(b"id:se:cret").decode()},
    ],
)
def test_credentials_come_in_two_forms(tmp_path: Path, given: dict[str, str]) -> None:
    assert load(tmp_path, QBO_ENVIRONMENT="production", **given).credentials == ("id", "se:cret")


@pytest.mark.parametrize("basic", ["%%%", base64.b64encode(b"no colon").decode(), base64.b64encode(b":x").decode()])
def test_a_basic_that_is_none_is_refused_without_being_shown(tmp_path: Path, basic: str) -> None:
    with pytest.raises(SettingsError) as refused:
        _ = load(tmp_path, QBO_AUTH_BASIC=basic).credentials
    assert basic not in str(refused.value)


def test_a_real_environment_needs_keys(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="QBO_CLIENT_ID and QBO_CLIENT_SECRET"):
        _ = load(tmp_path, QBO_ENVIRONMENT="sandbox", QBO_CLIENT_ID="only-this").credentials


@pytest.mark.parametrize(
    ("address", "here", "port"),
    [
        ("http://localhost:8500/callback", True, 8500),
        ("http://127.0.0.1:9000/x", True, 9000),
        ("http://localhost/callback", True, 80),
        ("https://books.example.com/callback", False, 8500),
        ("https://books.example.com:8443/callback", False, 8500),
    ],
)
def test_the_web_app_listens_where_answers_arrive(tmp_path: Path, address: str, here: bool, port: int) -> None:
    settings = load(tmp_path, QBO_REDIRECT_URI=address)
    assert settings.redirects_here is here
    assert settings.web_port == port


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("QBO_ENVIRONMENT", "live"),
        ("QBO_LOCAL_URL", "https://example.com"),
        ("QBO_LOCAL_URL", "http://127.0.0.1@example.com"),
        ("QBO_LOCAL_URL", "127.0.0.1:8700"),
        ("QBO_REDIRECT_URI", "callback"),
        ("QBO_REDIRECT_URI", "ftp://localhost/callback"),
        ("QBO_REDIRECT_URI", "http://localhost:99999/callback"),
        ("QBO_REDIRECT_URI", "http://localhost:8500/callback#part"),
    ],
)
def test_what_cannot_work_is_refused_by_name(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load(tmp_path, **{variable: value})


def test_nothing_secret_is_in_its_text() -> None:
    settings = Settings(
        database_url="postgresql://u:pw@h/d", client_secret=Secret("se-cret"), auth_basic=Secret("ba-sic")
    )
    for secret in ("pw", "se-cret", "ba-sic"):
        assert secret not in repr(settings)
        assert secret not in str(settings)


def test_a_local_quickbooks_that_was_noted_is_found(tmp_path: Path) -> None:
    note_service(tmp_path / ".qbo", "quickbooks", "http://127.0.0.1:8701")
    assert load(tmp_path).local_url == "http://127.0.0.1:8701"
    assert load(tmp_path, QBO_LOCAL_URL="http://127.0.0.1:1").local_url == "http://127.0.0.1:1"
    assert load(tmp_path, QBO_ENVIRONMENT="production").local_url is None


def test_a_service_is_forgotten_unless_another_took_its_place(tmp_path: Path) -> None:
    note_service(tmp_path, "quickbooks", "http://127.0.0.1:1")
    forget_service(tmp_path, "quickbooks", "http://127.0.0.1:2")
    assert services(tmp_path) == {"quickbooks": "http://127.0.0.1:1"}
    forget_service(tmp_path, "quickbooks", "http://127.0.0.1:1")
    assert services(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"quickbooks": "http://127.0.0.1:1"'])
def test_a_broken_note_is_no_note(tmp_path: Path, text: str) -> None:
    (tmp_path / "services.json").write_text(text)
    assert services(tmp_path) == {}
