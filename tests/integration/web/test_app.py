"""The web app: consent through it, and everything that must not get through."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import sqlalchemy as sa
import uvicorn

from qbo_pipeline.books import Books
from qbo_pipeline.secret import Secret
from qbo_pipeline.settings import Settings
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.web.app import create_app
from tests.support.quickbooks import REALM, Sandbox


class Client:
    """A browser that follows no redirect by itself."""

    def __init__(self, port: int, host: str = "") -> None:
        self._url = f"http://localhost:{port}"
        self._host = {"Host": host} if host else {}

    def get(self, path: str, *, host: str = "", params: dict[str, str] | None = None) -> requests.Response:
        headers = {"Host": host} if host else self._host
        return requests.get(self._url + path, params=params, headers=headers, allow_redirects=False, timeout=30)


@contextmanager
def serving(books: Books, host: str = "") -> Iterator[Client]:
    """Serve the app as ``python -m qbo_pipeline.web`` does, on a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # so that a request waits until the app is up
        server = uvicorn.Server(uvicorn.Config(create_app(books), access_log=False, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield Client(listener.getsockname()[1], host)
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def client(books: Books) -> Iterator[Client]:
    with serving(books) as opened:
        yield opened


def consent(client: Client, decision: str = f"auto=1&realm={REALM}") -> str:
    """Start at the app, decide at QuickBooks, and return the address it sends the browser back to."""
    address = client.get("/connect").headers["location"]
    answer = requests.get(f"{address}&{decision}", allow_redirects=False, timeout=30)
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def problem(client: Client, location: str) -> str:
    """Return what the page says after a redirect."""
    assert location.startswith("/?problem=")
    page = client.get(location).text
    return page.partition('<p class="problem">')[2].partition("</p>")[0]


def count(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(sa.text("SELECT count(*) FROM quickbooks.connections")).scalar_one())


def test_a_company_connects_through_it(client: Client, books: Books) -> None:
    assert "None is connected yet" in client.get("/").text
    answer = client.get(consent(client))
    assert (answer.status_code, answer.headers["location"]) == (302, "/"), "never a page where a code arrives"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert [company.realm_id for company in books.connected()] == [REALM]
    assert REALM in client.get("/").text


def test_an_answer_is_good_once(client: Client, books: Books) -> None:
    answer = consent(client)
    assert client.get(answer).headers["location"] == "/"
    assert "belongs to no request of ours" in problem(client, client.get(answer).headers["location"])


@pytest.mark.parametrize("state", ["", "forged", "a" * 43])
def test_a_forged_answer_connects_nothing(client: Client, engine: sa.Engine, state: str) -> None:
    real = dict(parse_qsl(urlsplit(consent(client)).query))
    said = client.get("/callback", params={**real, "state": state}).headers["location"]
    assert "belongs to no request of ours" in problem(client, said)
    assert count(engine) == 0


def test_refused_consent_connects_nothing(client: Client, engine: sa.Engine) -> None:
    said = client.get(consent(client, "auto=deny")).headers["location"]
    assert problem(client, said) == "Consent was refused at QuickBooks, so nothing was connected."
    assert count(engine) == 0


def test_a_wrong_client_secret_is_explained(quickbooks: Sandbox, books: Books, engine: sa.Engine) -> None:
    wrong = Settings(
        database_url=books.settings.database_url,
        local_url=quickbooks.url,
        client_id="sandbox-client",
        client_secret=Secret("s3cret-client"),
    )
    with serving(Books(wrong)) as client:
        said = problem(client, client.get(consent(client)).headers["location"])
    assert "the client id or client secret is wrong" in said
    assert "s3cret-client" not in said
    assert count(engine) == 0


def test_no_link_makes_the_page_say_what_we_did_not(client: Client) -> None:
    page = client.get("/", params={"problem": "Call 555-0100 and read us your password"}).text
    assert "password" not in page


def test_names_from_quickbooks_are_text_and_not_markup(client: Client, books: Books, company: Company) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.companies SET name = '<script>x</script>'"))
    page = client.get("/").text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_other_names_for_this_machine_are_not_answered(client: Client) -> None:
    """A hostile page may give this machine a name of its own (DNS rebinding) and read what it gets."""
    assert client.get("/", host="attacker.example").status_code == 400


def test_behind_a_proxy_its_public_name_is_answered(books: Books) -> None:
    public = Settings(
        database_url=books.settings.database_url,
        local_url=books.settings.local_url,
        redirect_uri="https://books.example.com/oauth/back",
    )
    with serving(Books(public), host="books.example.com") as client:
        assert client.get("/").status_code == 200
        assert "/?problem=" in client.get("/oauth/back?code=x").headers["location"]


def test_a_database_that_is_down_is_one_sentence(quickbooks: Sandbox) -> None:
    down = Settings(database_url="postgresql://u:s3cret-password@127.0.0.1:1/d", local_url=quickbooks.url)
    with serving(Books(down)) as client:
        answer = client.get("/")
        assert answer.status_code == 503
        assert "is Postgres running there" in answer.text
        assert "s3cret-password" not in answer.text
        assert client.get("/healthz").json() == {"status": "ok"}, "the program itself is well"
        assert client.get("/connect").headers["location"].startswith("/?problem=")


def test_reconnecting_refuses_another_company(client: Client, books: Books, company: Company) -> None:
    """Somebody picks the wrong company at QuickBooks: its tokens must not replace those of the right one."""
    before = books.token_store.read(REALM).access_token
    other = {"auto": "1", "realm": "9130000000000007"}
    books_of_other(client, other["realm"], books)
    address = client.get("/connect", params={"company": company.partition_key}).headers["location"]
    back = urlsplit(requests.get(address, params=other, allow_redirects=False, timeout=30).headers["Location"])
    said = problem(client, client.get(f"{back.path}?{back.query}").headers["location"])
    assert "nothing was changed" in said
    assert "9130000000000007" in said
    assert books.token_store.read(REALM).access_token == before
    assert [each.realm_id for each in books.connected()] == [REALM]


def books_of_other(client: Client, realm: str, books: Books) -> None:
    Sandbox(str(books.settings.local_url)).tell("/companies", {"realm": realm})


def test_a_callback_that_names_a_company_its_consent_does_not_open_connects_nothing(
    client: Client, quickbooks: Sandbox, engine: sa.Engine
) -> None:
    """The company's number in the callback is only what a browser said."""
    quickbooks.tell("/companies", {"realm": "9130000000000008"})
    quickbooks.tell("/tokens/policy", {"callback_realm": "9130000000000008"})
    said = problem(client, client.get(consent(client)).headers["location"])
    assert "does not open company 9130000000000008" in said
    assert count(engine) == 0


def form_of(client: Client) -> dict[str, str]:
    page = client.get("/disconnect").text
    return dict(re.findall(r'name="(company|token)" value="([^"]+)"', page))


def post(client: Client, form: dict[str, str]) -> requests.Response:
    return requests.post(f"{client._url}/disconnect", data=form, allow_redirects=False, timeout=30)


def test_a_company_disconnects_through_it(
    client: Client, books: Books, quickbooks: Sandbox, company: Company, engine: sa.Engine
) -> None:
    answer = post(client, form_of(client))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert quickbooks.tell("/tokens")["grants"][-1]["revoked"] is True
    with engine.connect() as connection:
        wiped = connection.execute(
            sa.text("SELECT access_token, refresh_token, is_active FROM quickbooks.tokens")
        ).one()
    assert tuple(wiped) == ("", None, False)
    assert "disconnected" in client.get("/").text
    assert form_of(client) == {}, "nothing is left to disconnect"


@pytest.mark.parametrize("token", ["", "forged", "é" * 40])
def test_only_a_form_of_its_own_disconnects(
    client: Client, books: Books, quickbooks: Sandbox, company: Company, token: str
) -> None:
    said = post(client, {"company": company.partition_key, "token": token}).headers["location"]
    assert "That form is from elsewhere" in problem(client, said)
    assert books.company(None).is_active
    assert quickbooks.tell("/tokens")["grants"][-1]["revoked"] is False


def test_a_company_that_needs_a_person_has_a_button(client: Client, books: Books, company: Company) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.connections SET status = 'needs_reauth'"))
    page = client.get("/").text
    assert f'<a href="/connect?company={company.partition_key}">Reconnect</a>' in page
    assert "needs_reauth" in page
