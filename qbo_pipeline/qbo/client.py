"""Reads one company's books from QuickBooks Online, and can do nothing else.

Flows in    statements, ids, entity names; an access token when asked for
Flows out   raw records with Intuit's clock; every HTTP call reported to ``on_call``, the failed ones too
Refuses     to write: what may be sent is a GET, or a statement too long for a URL as POST to /query

Intuit's only accounting scope includes writing, so this promise is kept here or nowhere. Retries narrowly: errors named
retryable, a limited number of times, within a limited time; a throttled call pauses every caller of that company.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote, urlencode

import requests
import tenacity

from qbo_pipeline.errors import QboError, RetryableError, ThrottledError, UnauthorizedError, UsageError
from qbo_pipeline.qbo import answers
from qbo_pipeline.qbo.answers import CdcAnswer, CountAnswer, QueryAnswer, RecordAnswer
from qbo_pipeline.qbo.asking import Ask, Call, Kind, Patience, check_read_only
from qbo_pipeline.qbo.environments import Environment
from qbo_pipeline.qbo.faults import error_for, retry_after
from qbo_pipeline.qbo.query import Condition, Select, timestamp
from qbo_pipeline.qbo.throttle import Throttle
from qbo_pipeline.qbo.transport import Limits, Reply, exchange

MINOR_VERSION = "75"

# A statement longer than this goes into a body: URL lengths are limited somewhere on the way, nobody says where.
LONGEST_URL = 4000

# Intuit's documentation says to wait a minute after a 429; it rarely sends Retry-After.
THROTTLE_PAUSE = 60.0

_T = TypeVar("_T")

__all__ = ["Call", "Patience", "QboClient", "check_read_only"]


class QboClient:
    """Reads one company. Threads may share it, as they may share its ``session``; calls are reported one by one."""

    def __init__(
        self,
        environment: Environment,
        realm_id: str,
        *,
        access_token: Callable[[str | None], str],
        session: requests.Session,
        throttle: Throttle,
        on_call: Callable[[Call], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        limits: Limits | None = None,
        patience: Patience | None = None,
    ) -> None:
        """``access_token`` is given the token that was refused, if one was: it must return another one."""
        self._environment = environment
        self._realm_id = realm_id
        self._base = environment.company_url(realm_id)
        self._access_token = access_token
        self._session = session
        self._throttle = throttle
        self._on_call = on_call
        self._sleep = sleep
        self._clock = clock
        self._limits = limits or Limits()
        self._patience = patience or Patience()
        self._jitter = jitter
        self._reporting = threading.Lock()

    def query(self, statement: Select, *, page: int | None = None) -> QueryAnswer:
        """Return the records one statement selects; ``page`` only numbers the page in error messages."""
        words = f"reading page {page} of {statement.entity}" if page else f"reading {statement.entity}"
        ask = self._ask_for(statement, "query", words)
        return self._answer(ask, lambda body: answers.query_answer(body, statement.entity))

    def count(self, entity: str, where: Sequence[Condition] = ()) -> int:
        """Return how many records of one entity meet all conditions."""
        return self.counted(entity, where).total

    def counted(self, entity: str, where: Sequence[Condition] = ()) -> CountAnswer:
        """Return how many records of one entity meet all conditions, and when."""
        statement = Select(entity, tuple(where), counting=True)
        return self._answer(
            self._ask_for(statement, "count", f"counting {entity}"),
            lambda body: answers.count_answer(answers.members(body)),
        )

    def read(self, entity_path: str, record_id: str | None = None) -> RecordAnswer:
        """Return one record by its id, or a record of which a company has one (``preferences``).

        Raises ``NotFoundError`` when QuickBooks says it does not exist (any more), and only then.
        """
        entity = _checked_path(entity_path)
        path, name = (
            (entity, entity) if record_id is None else (f"{entity}/{_checked_id(record_id)}", f"{entity} {record_id}")
        )
        ask = self._ask("read", entity, f"reading {name}", path, {})
        return self._answer(ask, lambda body: answers.record_answer(answers.members(body)))

    def read_list(self, entity: str) -> QueryAnswer:
        """Return all records of an entity that has an address of its own instead of queries (TaxClassification).

        Raises ``UnavailableError`` when the company does not have it.
        """
        ask = self._ask("list", entity, f"reading {entity}", _checked_path(entity), {})
        return self._answer(ask, lambda body: answers.query_answer(body, entity))

    def download_address(self, attachable_id: str) -> str:
        """Return where the file of an attachment can be fetched for the next minutes, by whoever knows the address."""
        path = f"download/{_checked_id(attachable_id)}"
        ask = self._ask("download", "attachable", f"asking for the file of attachable {attachable_id}", path, {})
        return self._answer(replace(ask, plain=True), answers.address_answer)

    def company_info(self) -> RecordAnswer:
        """Return the company's own record: its name, addresses and settings."""
        return self.read("companyinfo", self._realm_id)

    def cdc(self, entities: Sequence[str], changed_since: datetime) -> CdcAnswer:
        """Return all that changed or was deleted since a moment at most 30 days ago, for many entities in one call."""
        names = ",".join(Select(entity).entity for entity in entities)
        if not names:
            raise UsageError("change data capture needs at least one entity")
        parameters = {"entities": names, "changedSince": timestamp(changed_since)}
        ask = self._ask("cdc", names, f"reading what changed since {timestamp(changed_since)}", "cdc", parameters)
        return self._answer(ask, lambda body: answers.cdc_answer(answers.members(body), entities))

    def _ask_for(self, statement: Select, kind: Kind, words: str) -> Ask:
        text = str(statement)
        if len(quote(text)) > LONGEST_URL:
            return self._ask(kind, statement.entity, words, "query", {}, text.encode())
        return self._ask(kind, statement.entity, words, "query", {"query": text})

    def _ask(
        self,
        kind: Kind,
        entity: str,
        words: str,
        path: str,
        parameters: Mapping[str, str],
        statement: bytes | None = None,
    ) -> Ask:
        attempt = f"{words} for company {self._realm_id}"
        return Ask(kind, entity, attempt, path, {**parameters, "minorversion": MINOR_VERSION}, statement)

    def _answer(self, ask: Ask, understand: Callable[[bytes], _T]) -> _T:
        """Ask until it is answered or hopeless; renew a refused token once."""
        give_up_at = self._clock() + self._patience.seconds
        token = self._access_token(None)
        try:
            return self._patiently(ask, token, understand, give_up_at)
        except UnauthorizedError:
            return self._patiently(ask, self._access_token(token), understand, give_up_at)

    def _patiently(self, ask: Ask, token: str, understand: Callable[[bytes], _T], give_up_at: float) -> _T:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RetryableError),
            wait=self._wait,
            stop=lambda state: self._is_hopeless(state, give_up_at),
            sleep=self._sleep,
            reraise=True,
        )
        result: _T = retrying(self._once, ask, token, understand)
        return result

    def _wait(self, state: tenacity.RetryCallState) -> float:
        if isinstance(_error(state), ThrottledError):
            return 0.0  # the throttle makes every caller of the company wait, this one included
        doubled = self._patience.first_wait * 2.0 ** (state.attempt_number - 1)
        return min(doubled, self._patience.longest_wait) * (1 + self._jitter()) / 2

    def _is_hopeless(self, state: tenacity.RetryCallState, give_up_at: float) -> bool:
        error = _error(state)
        # Intuit says of a 500 (and of its own faults at any status): once more, then look; it is often permanent.
        once_more = isinstance(error, QboError) and (error.status == 500 or error.code is not None)
        attempts = 2 if once_more and not isinstance(error, ThrottledError) else self._patience.attempts
        resumes_at = self._clock() + max(state.upcoming_sleep, self._throttle.wait_left())
        return state.attempt_number >= attempts or resumes_at >= give_up_at

    def _once(self, ask: Ask, token: str, understand: Callable[[bytes], _T]) -> _T:
        """Make one HTTP call and understand its answer, or raise the error that says why not."""
        self._throttle.take()
        started = self._clock()
        try:
            reply = self._send(ask, token)
        except QboError as error:
            self._report(ask, started, error.status, error.intuit_tid, counted=False)
            raise
        result = _understood(ask, reply, understand, secrets=(token,))
        # What Intuit meters is its own success; that an answer broke off on its way to us does not make it free.
        counted = reply.status == 200 and not (isinstance(result, QboError) and result.code is not None)
        self._report(ask, started, reply.status, reply.intuit_tid, counted=counted)
        if isinstance(result, QboError):
            self._slow_down(reply, result)
            raise result
        return result

    def _send(self, ask: Ask, token: str) -> Reply:
        check_read_only(ask.method, ask.path)
        if not re.fullmatch(r"[!-~]+", token):
            raise UnauthorizedError(f"{ask.attempt}: the stored access token is not one; nothing was sent")
        headers = {
            "Authorization": "Bearer " + token,  # formatting would show a Secret's stars
            "Accept": "text/plain, application/json" if ask.plain else "application/json",
            "Accept-Encoding": "gzip",
            **({} if ask.statement is None else {"Content-Type": "application/text"}),
        }
        return exchange(
            self._session,
            self._environment,
            ask.method,
            f"{self._base}/{ask.path}?{urlencode(ask.parameters, quote_via=quote)}",
            attempt=ask.attempt,
            headers=headers,
            data=ask.statement,
            limits=self._limits,
            clock=self._clock,
        )

    def _slow_down(self, reply: Reply, error: QboError) -> None:
        """Pause the whole company when QuickBooks asks for it, but never longer than one request would be tried."""
        wish = retry_after(reply.headers) if isinstance(error, RetryableError) else None
        if isinstance(error, ThrottledError) and wish is None:
            wish = THROTTLE_PAUSE * (1 + self._jitter() / 4)
        if wish is not None:
            self._throttle.pause(min(wish, self._patience.seconds))

    def _report(self, ask: Ask, started: float, status: int | None, tid: str | None, *, counted: bool) -> None:
        with self._reporting:
            self._on_call(Call(ask.kind, status, ask.entity, tid, self._clock() - started, counted))


def _understood(
    ask: Ask, reply: Reply, understand: Callable[[bytes], _T], *, secrets: tuple[str, ...]
) -> _T | QboError:
    reason = ""
    body = reply.body
    if reply.status == 200:
        try:
            return understand(body)
        except answers.FaultInsideError as inside:
            body = inside.body
        except answers.NotAnAnswerError as error:
            reason = str(error)
    return error_for(
        ask.attempt,
        reply.status,
        reply.headers,
        body,
        reason=reason,
        secrets=secrets,
        entity=ask.entity if ask.whole else "",
        own_address=ask.kind == "list",
    )


def _checked_path(entity: str) -> str:
    if not re.fullmatch(r"[a-z]{2,40}", entity.lower()):
        raise UsageError(f"{entity[:60]!r} is not the path of a QuickBooks entity")
    return entity.lower()


def _checked_id(record_id: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", record_id):
        raise UsageError(f"{record_id[:60]!r} is not the id of a QuickBooks record")
    return record_id


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
