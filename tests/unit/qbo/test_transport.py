"""One exchange ends: in time, in size, on the hosts it may reach (T8, T15, R33, R34). Real sockets, loopback only."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests

from qbo_pipeline.errors import RejectedError, RetryableError, SettingsError
from qbo_pipeline.qbo.environments import SANDBOX, Environment, local
from qbo_pipeline.qbo.transport import Limits, Reply, exchange, fetched, new_session
from tests.unit.qbo.fakes import Answer, FakeQuickBooks, FakeTime

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve) -> Iterator[Environment]:
    """A server that hands every connection's socket to ``serve``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def handle(connection: socket.socket) -> None:
            with connection:
                try:
                    while not stop.is_set() and connection.recv(65536):
                        serve(connection)
                except OSError:
                    return

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield local(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)


def get(environment: Environment, session: requests.Session | None = None, **limits: float) -> Reply:
    url = f"{environment.api_url}/v3/company/1/query"
    bounds = Limits(**{"connect": 2, "read": 5, "total": 10, **limits})  # type: ignore[arg-type]
    with session or new_session() as opened:
        return exchange(opened, environment, "GET", url, attempt="trying", headers={}, limits=bounds)


def whole(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def drip(connection: socket.socket, start: bytes, piece: bytes) -> None:
    connection.sendall(start)
    while True:
        connection.sendall(piece)
        time.sleep(0.02)


def test_an_answer_comes_back_whole() -> None:
    with serving(lambda connection: connection.sendall(whole(b'{"a":1}', "intuit_tid: 1-x"))) as environment:
        reply = get(environment)
    assert (reply.status, reply.body, reply.intuit_tid) == (200, b'{"a":1}', "1-x")


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 2", b"0"),
    ],
    ids=["body", "chunks", "inside a chunk's length", "until close", "headers", "status line"],
)
def test_a_slow_drip_ends_at_the_deadline(start: bytes, piece: bytes) -> None:
    """Every byte arrives in time, the answer never does: no socket timeout ends that."""
    with (
        serving(lambda connection: drip(connection, start, piece)) as environment,
        pytest.raises(RetryableError, match=r"within 0\.3 s"),
    ):
        get(environment, total=0.3)


def test_a_connection_that_was_cut_off_does_not_harm_the_next_call() -> None:
    slow = True

    def serve(connection: socket.socket) -> None:
        if slow:
            drip(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x")
        connection.sendall(whole(b"fine"))

    with serving(serve) as environment, new_session() as session:
        url = f"{environment.api_url}/"
        with pytest.raises(RetryableError):
            exchange(session, environment, "GET", url, attempt="a", headers={}, limits=Limits(total=0.2))
        slow = False
        for _ in range(3):
            reply = exchange(session, environment, "GET", url, attempt="a", headers={}, limits=Limits(total=5))
            assert reply.body == b"fine"


def test_connections_are_kept_and_shared_by_threads() -> None:
    peers = set()

    def serve(connection: socket.socket) -> None:
        peers.add(connection.getpeername())
        connection.sendall(whole(b"fine"))

    with serving(serve) as environment, new_session() as session:
        for _ in range(20):
            exchange(session, environment, "GET", f"{environment.api_url}/", attempt="a", headers={}, limits=Limits())
    assert len(peers) == 1


def test_a_silent_server_is_left() -> None:
    with serving(lambda _: time.sleep(3)) as environment, pytest.raises(RetryableError, match="silent"):
        get(environment, read=0.2)


def test_a_server_that_hangs_up_is_trouble_on_the_way() -> None:
    with serving(lambda connection: connection.close()) as environment, pytest.raises(RetryableError):
        get(environment)


def test_nobody_listening_is_trouble_on_the_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = local(f"http://127.0.0.1:{listener.getsockname()[1]}")
    with pytest.raises(RetryableError, match="check the network"):
        get(environment)


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"x" * 50)[:-10],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        whole(gzip.compress(b"x" * 500, mtime=0)[:-9], "Content-Encoding: gzip")[:-5],
        whole(b"no gzip", "Content-Encoding: gzip"),
        b"complete nonsense\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_trouble_on_the_way(answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    with serving(serve) as environment, pytest.raises(RetryableError):
        get(environment)


def test_a_small_answer_that_unpacks_without_end_is_refused() -> None:
    """T15: 64 MB of zeros in 64 kB of gzip; the limit counts what comes out."""
    bomb = whole(gzip.compress(bytes(64 * 2**20)), "Content-Encoding: gzip")
    with (
        serving(lambda connection: connection.sendall(bomb)) as environment,
        pytest.raises(RejectedError, match="larger than 1 MB"),
    ):
        get(environment, max_bytes=2**20)


def test_a_redirect_comes_back_as_what_it_is() -> None:
    """Neither followed nor its body read without limit, as requests' own session does to prepare for following."""
    redirect = b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 3\r\n\r\nabc"
    with serving(lambda connection: connection.sendall(redirect)) as environment:
        assert get(environment).status == 302


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "https://quickbooks.api.intuit.com@evil.example/", "http://127.0.0.1/"]
)
def test_no_request_leaves_for_a_host_that_is_not_allowed(url: str) -> None:
    quickbooks = FakeQuickBooks([Answer()])
    with pytest.raises(SettingsError):
        exchange(quickbooks.session(), SANDBOX, "GET", url, attempt="a", headers={}, limits=Limits())
    assert quickbooks.seen == []


def test_an_environment_cannot_be_used_to_reach_another() -> None:
    quickbooks = FakeQuickBooks([Answer()])
    with pytest.raises(SettingsError):
        exchange(
            quickbooks.session(),
            local("http://127.0.0.1:1"),
            "GET",
            "https://quickbooks.api.intuit.com/",
            attempt="a",
            headers={},
            limits=Limits(),
        )


def test_the_deadline_also_holds_on_the_clock_that_was_handed_in() -> None:
    time = FakeTime()
    quickbooks = FakeQuickBooks([Answer(b"{}", takes=200.0)], time)
    with pytest.raises(RetryableError, match="within 180 s"):
        exchange(
            quickbooks.session(),
            SANDBOX,
            "GET",
            f"{SANDBOX.api_url}/",
            attempt="a",
            headers={},
            limits=Limits(),
            clock=time.clock,
        )


def test_a_session_ignores_the_environment_and_a_local_quickbooks_is_reached_without_a_proxy() -> None:
    session = new_session(
        proxies={"http": "http://127.0.0.1:9", "https": "http://127.0.0.1:9"}, ca_bundle="/some/ca.pem"
    )
    assert session.trust_env is False
    assert session.verify == "/some/ca.pem"
    assert new_session().verify is True
    with serving(lambda connection: connection.sendall(whole(b"fine"))) as environment:
        assert get(environment, session).body == b"fine"


# --- files from elsewhere


def fetch(environment: Environment, session: requests.Session | None = None, **limits: float) -> bytes:
    bounds = Limits(**{"connect": 2, "read": 5, "total": 10, **limits})  # type: ignore[arg-type]
    with session or new_session() as opened:
        url = f"{environment.api_url}/files/1"
        return b"".join(fetched(opened, environment, url, attempt="fetching", limits=bounds))


def test_a_file_is_fetched_without_any_credential() -> None:
    quickbooks = FakeQuickBooks([Answer(b"\x00file")])
    session = quickbooks.session()
    session.headers["Authorization"] = "Bearer careless"
    session.cookies.set("session", "careless")
    with serving(lambda connection: connection.sendall(whole(b"\x00file"))) as environment:
        assert fetch(environment) == b"\x00file"
        assert fetch(environment, session) == b"\x00file"
    (request,) = quickbooks.seen
    assert {name.lower() for name in request.headers} == {"user-agent", "accept-encoding"}


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, RetryableError), (500, RetryableError), (503, RetryableError), (404, RejectedError), (302, RejectedError)],
)
def test_a_store_that_refuses_is_never_quoted_or_followed(status: int, error: type[Exception]) -> None:
    moved = {"Location": "http://127.0.0.1:1/elsewhere"}
    quickbooks = FakeQuickBooks([Answer(b"<Error>secret signature</Error>", status, moved)])
    with pytest.raises(error, match=str(status)) as caught:
        fetch(local("http://127.0.0.1:8600"), quickbooks.session())
    assert "secret" not in str(caught.value)
    assert len(quickbooks.seen) == 1


def test_a_file_has_a_size_limit() -> None:
    with (
        serving(lambda connection: connection.sendall(whole(b"x" * 5000))) as environment,
        pytest.raises(RejectedError, match="larger than"),
    ):
        fetch(environment, max_bytes=4999)


def test_a_file_that_breaks_off_is_no_file() -> None:
    with (
        serving(lambda connection: connection.sendall(whole(b"x" * 50)[:-9])) as environment,
        pytest.raises(RetryableError),
    ):
        fetch(environment, read=0.3)


def test_a_file_that_drips_is_given_up() -> None:
    with (
        serving(lambda c: drip(c, b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x")) as environment,
        pytest.raises(RetryableError, match=r"within 0\.3 s"),
    ):
        fetch(environment, total=0.3)


def test_a_file_is_not_fetched_from_anywhere_else() -> None:
    quickbooks = FakeQuickBooks([Answer(b"x")])
    with pytest.raises(SettingsError):
        b"".join(fetched(quickbooks.session(), SANDBOX, "http://a.example/x", attempt="fetching", limits=Limits()))
    assert quickbooks.seen == []
