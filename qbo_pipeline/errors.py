"""Failures, sorted by what to do next.

Every failure we foresee is a ``PipelineError`` whose text is one sentence a person can act on: what was attempted, what
came back, what to do. Doors (the command line, Dagster, the web app) print that sentence; anything else is a bug of
ours and keeps its traceback.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Any foreseen failure. ``str(error)`` is for people and holds no secret and no row of anybody's books."""


class SettingsError(PipelineError):
    """A setting is missing or wrong; the text names the variable and how to mend it."""


class UsageError(PipelineError):
    """A person asked for something that does not exist: an unknown entity, company or partition."""


class WarehouseError(PipelineError):
    """Postgres cannot be reached, refuses us, or cannot be started."""


class LoadError(PipelineError):
    """Rows were read from QuickBooks but could not be written to Postgres; cursors did not move.

    ``refused_a_value`` says that one of the rows is to blame, not the database being away.
    """

    def __init__(self, message: str, *, refused_a_value: bool = False) -> None:
        super().__init__(message)
        self.refused_a_value = refused_a_value


class BusyError(PipelineError):
    """Somebody else holds what we need (a company, a token); the text says who, and since when."""


class LeaseLostError(PipelineError):
    """Another took over the company we were writing, because we had not been heard of; what we wrote since is nothing.

    The text says who it was and when.
    """


class OwnershipError(PipelineError):
    """Another installation keeps these tokens: two that renew them would end the connection; the text says which."""


class QboError(PipelineError):
    """Any QuickBooks failure. Quote ``intuit_tid`` to Intuit support.

    ``status`` is the HTTP status (None when no answer came), ``code`` Intuit's error code ("4001", "invalid_grant").
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, intuit_tid: str | None = None
    ) -> None:
        tail = f" (intuit_tid {intuit_tid})" if intuit_tid else ""
        super().__init__(message + tail)
        self.status = status
        self.code = code
        self.intuit_tid = intuit_tid


class RetryableError(QboError):
    """The same request may succeed later: a 5xx, a dropped connection, a deadline passed."""


class ThrottledError(RetryableError):
    """QuickBooks asked us to slow down (HTTP 429); ``retry_after`` is its own wish in seconds, when it stated one."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        code: str | None = None,
        intuit_tid: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, intuit_tid=intuit_tid)
        self.retry_after = retry_after


class RejectedError(QboError):
    """The same request would be refused again: a bad query, an unknown entity, a wrong client secret."""


class UnusableRecordError(RejectedError):
    """QuickBooks returned a record that cannot be a row: no Id, or no JSON at all."""


class NotFoundError(RejectedError):
    """The record does not exist (any more): Intuit's code 610."""


class UnreadableRecordError(RejectedError):
    """QuickBooks cannot write out a record of its own (codes 4002 and 10000); the text says where in time it is."""


class SuspiciousDeletionsError(PipelineError):
    """So much seems deleted that a person has to look first; nothing was removed."""


class UnavailableError(RejectedError):
    """This company's plan or region does not have the feature (codes 5020 and 5030): not a failure of the sync."""


class UnauthorizedError(QboError):
    """The access token was refused (HTTP 401, code 3200): refresh it once, then try once more."""


class ReauthorizationRequiredError(QboError):
    """The refresh token is dead; a person must connect the company again (``qbo connect``)."""
