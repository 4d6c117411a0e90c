"""One HTTP exchange, bounded in every direction: where it goes, how long it takes, how much it brings.

Flows in    a request for an allowed host
Flows out   ``Reply``: status, headers, whole body; or a ``QboError`` when no complete answer came
            ``fetched``: a file from elsewhere, piece by piece, asked for without any credential
Refuses     redirects, cookies, proxies and credentials from the environment, answers without end
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass

import requests
import urllib3

from qbo_pipeline.errors import QboError, RejectedError, RetryableError
from qbo_pipeline.qbo.deadline import CuttableAdapter, cut_after
from qbo_pipeline.qbo.environments import Environment
from qbo_pipeline.qbo.faults import intuit_tid

USER_AGENT = "qbo-pipeline/0.1 (+read-only sync)"
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, and how much, one HTTP exchange may take. Seconds and bytes."""

    connect: float = 5.0
    read: float = 130.0  # silence between two bytes; Intuit itself gives up after 120
    total: float = 180.0  # from start to last byte: a slow drip never trips ``read``
    max_bytes: int = 256 * 1024 * 1024  # after decompression


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer, good or bad."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def intuit_tid(self) -> str | None:
        """The id Intuit's support asks for."""
        return intuit_tid(self.headers)


def new_session(
    *, pool: int = 10, proxies: Mapping[str, str] | None = None, ca_bundle: str | None = None
) -> requests.Session:
    """Return a session with ``pool`` kept connections whose calls can be cut off in time.

    It ignores the environment: a ``.netrc`` entry would replace our Authorization header, and HTTP_PROXY would see it.
    """
    session = requests.Session()
    session.trust_env = False
    session.proxies.update(proxies or {})
    session.verify = ca_bundle or True
    adapter = CuttableAdapter(pool_connections=pool, pool_maxsize=pool, pool_block=False)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def exchange(
    session: requests.Session,
    environment: Environment,
    method: str,
    url: str,
    *,
    attempt: str,
    headers: Mapping[str, str],
    data: bytes | None = None,
    limits: Limits,
    clock: Callable[[], float] = time.monotonic,
) -> Reply:
    """Send one request and return its whole answer. Raises ``RetryableError`` when none came in time."""
    environment.check_host(url)
    given_up_at = clock() + limits.total
    with cut_after(limits.total) as watch:
        try:
            request = requests.Request(method, url, headers={"User-Agent": USER_AGENT, **headers}, data=data)
            with _sent(session, environment, request, limits) as response:
                chunks = list(_pieces(response, given_up_at, limits, clock, attempt))
                body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        except QboError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _no_answer(attempt, error, limits, expired=watch.expired) from None
    # A connection we cut ends like one the server closed: half a header can then look like an empty answer.
    if watch.expired:
        raise _too_slow(attempt, limits)
    return Reply(response.status_code, dict(response.headers), body)


def fetched(
    session: requests.Session,
    environment: Environment,
    url: str,
    *,
    attempt: str,
    limits: Limits,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[bytes]:
    """Yield a file that QuickBooks keeps elsewhere. Its address is all the permission needed, so no token goes along.

    Raises ``RetryableError`` when it would come with a new address, or later.
    """
    environment.check_file_host(url)
    given_up_at = clock() + limits.total
    with cut_after(limits.total) as watch:
        try:
            # Packed bytes would be counted packed; a file is wanted as it is.
            headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
            with _sent(session, environment, requests.Request("GET", url, headers=headers), limits) as response:
                if response.status_code != 200:
                    raise _no_file(attempt, response.status_code)
                yield from _pieces(response, given_up_at, limits, clock, attempt)
        except QboError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _no_answer(attempt, error, limits, expired=watch.expired) from None
    if watch.expired:
        raise _too_slow(attempt, limits)


def _sent(
    session: requests.Session, environment: Environment, request: requests.Request, limits: Limits
) -> requests.Response:
    # The adapter itself, not session.send: that one would read a redirect's body to follow it, add cookies and let
    # .netrc overwrite the Authorization header.
    prepared = request.prepare()
    return session.get_adapter(url=str(prepared.url)).send(
        prepared,
        stream=True,
        timeout=(limits.connect, limits.read),
        verify=session.verify or True,
        cert=session.cert,
        proxies={} if environment.is_local else session.proxies,
    )


def _pieces(
    response: requests.Response, given_up_at: float, limits: Limits, clock: Callable[[], float], attempt: str
) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if size > limits.max_bytes:
            raise RejectedError(
                f"{attempt}: the answer is larger than {limits.max_bytes // 2**20} MB; ask for smaller pages",
                status=response.status_code,
                intuit_tid=intuit_tid(response.headers),
            )
        if clock() > given_up_at:
            raise _too_slow(attempt, limits)
        yield chunk


def _no_file(attempt: str, status: int) -> QboError:
    """Say why a file did not come; the store's own words stay out, they quote the address."""
    if status in {403, 408, 429} or status >= 500:
        return RetryableError(f"{attempt}: its store answered HTTP {status}; its address may be too old", status=status)
    what = "a redirect, which we never follow" if 300 <= status < 400 else "so it is not to be had"
    return RejectedError(f"{attempt}: its store answered HTTP {status}, {what}", status=status)


def _no_answer(attempt: str, error: Exception, limits: Limits, *, expired: bool) -> QboError:
    """Say why no complete answer came. The library's own words stay out: they quote URLs and header values."""
    if expired:
        return _too_slow(attempt, limits)
    if isinstance(error, requests.ConnectTimeout):
        return RetryableError(f"{attempt}: no connection within {limits.connect:g} s; try again later")
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return RetryableError(f"{attempt}: QuickBooks stayed silent for {limits.read:g} s; try again later")
    if isinstance(error, requests.exceptions.SSLError):
        return RetryableError(f"{attempt}: no trusted TLS connection; check this machine's clock and certificates")
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return RetryableError(f"{attempt}: the answer broke off or was garbled on its way; try again later")
    if isinstance(error, requests.ConnectionError | urllib3.exceptions.HTTPError | OSError):
        return RetryableError(f"{attempt}: the connection failed ({type(error).__name__}); check the network")
    return RejectedError(f"{attempt}: the request could not be built ({type(error).__name__}); nothing was sent")


def _too_slow(attempt: str, limits: Limits) -> RetryableError:
    return RetryableError(f"{attempt}: no complete answer within {limits.total:g} s; try again later")
