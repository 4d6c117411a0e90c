"""Opening the door to a real server, and finding it shut."""

from __future__ import annotations

import socket
import traceback

import pytest
import sqlalchemy as sa

from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse.engine import check_connection, open_engine


def refusal(url: sa.URL) -> str:
    engine = open_engine(url.render_as_string(hide_password=False))
    with pytest.raises(WarehouseError) as caught:
        check_connection(engine, sleep=lambda _: pytest.fail("there is nothing to wait for"))
    engine.dispose()
    assert url.password is None or url.password not in str(caught.value)
    return str(caught.value)


def test_a_good_url_is_good(engine: sa.Engine) -> None:
    check_connection(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SHOW timezone")).scalar_one() == "UTC"


def test_what_a_person_can_mend_is_said_at_once(database_url: str) -> None:
    url = sa.make_url(database_url)
    assert "refuses the user 'qbo' or its password" in refusal(url.set(password="wr0ng-s3cret"))
    assert "has no database 'nowhere'" in refusal(url.set(database="nowhere"))
    assert "was not found" in refusal(url.set(host="no-such-host.invalid"))
    assert "do not agree about TLS" in refusal(url.update_query_dict({"sslmode": "require"}))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert "refuses connections" in refusal(url.set(port=closed.getsockname()[1]))


def test_a_server_that_wakes_up_is_waited_for_but_not_forever(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Neon compute that was asleep refuses or stalls the first connections."""
    real = engine.connect
    naps: list[float] = []
    clock = [0.0]

    def sleepy() -> sa.Connection:
        if len(naps) < 3:
            raise sa.exc.OperationalError("", {}, Exception("FATAL:  the database system is starting up"))
        return real()

    def nap(seconds: float) -> None:
        naps.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(engine, "connect", sleepy)
    check_connection(engine, sleep=nap, monotonic=lambda: clock[0])
    assert len(naps) == 3
    naps.clear()
    with pytest.raises(WarehouseError):
        check_connection(engine, deadline_seconds=1, sleep=nap, monotonic=lambda: clock[0])


def test_parameters_stay_out_of_exceptions(engine: sa.Engine) -> None:
    """They are tokens and books."""
    for statement in (
        "SELECT :token FROM nowhere",  # Postgres quotes the line of the statement
        "INSERT INTO quickbooks.tokens (access_token) VALUES (:token)",  # ... and the row that failed
        "SELECT CAST(:token AS text) FROM quickbooks.tokens WHERE now() / :token IS NULL",
    ):
        with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as caught:
            connection.execute(sa.text(statement), {"token": "s3cret"})
        assert "s3cret" not in "".join(traceback.format_exception(caught.value)).replace('"token": "s3cret"', "")
        assert caught.value.orig is not None
        assert caught.value.orig.args[0]
