"""The way into Postgres: one engine per process, and plain sentences when the door is shut.

A URL comes in as people paste it (``postgres://``, ``postgresql://``, ``postgresql+psycopg://``) and goes out the one
way this project uses it: through psycopg2. (With ``psycopg`` 3 installed, a bare ``postgresql://`` may silently pick
that driver, which breaks dagster-postgres.) No password ever appears in an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from qbo_pipeline.errors import SettingsError, WarehouseError

_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2")
_EXAMPLE = "postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require"

# What a server says that will serve us in a moment: one that is starting, or a Neon compute that was asleep.
_SOON = ("starting up", "timeout expired", "control plane", "connect to compute", "ssl syscall error", "unexpectedly")


def psycopg2_url(url: str) -> str:
    """Return ``url`` for SQLAlchemy and Dagster, password included."""
    return _parse(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def plain_url(url: str) -> str:
    """Return ``url`` for dlt, psql and other programs that know only ``postgresql://``, password included."""
    return _parse(url).set(drivername="postgresql").render_as_string(hide_password=False)


def display_url(url: str) -> str:
    """Return ``url`` fit for a terminal or a log: the password is starred out."""
    return _parse(url).set(drivername="postgresql").render_as_string(hide_password=True)


def address(url: str) -> str:
    """Return where a database is, and nothing of who may enter: ``host:port/database``."""
    parsed = _parse(url)
    return f"{parsed.host or parsed.query.get('host')}:{parsed.port or 5432}/{parsed.database}"


def open_engine(url: str, *, application_name: str = "qbo", pool_size: int = 5, **more: Any) -> sa.Engine:
    """Return an engine; nothing connects yet (see ``check_connection``). Its sessions are in UTC.

    ``more`` are arguments of ``sa.create_engine``; its ``connect_args`` are added to ours.
    """
    engine = sa.create_engine(
        psycopg2_url(url),
        pool_size=pool_size,
        hide_parameters=True,  # parameters are tokens and books; they stay out of exceptions
        connect_args={
            "connect_timeout": 15,
            "application_name": application_name,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            **more.pop("connect_args", {}),
        },
        **{"pool_pre_ping": True, **more},
    )

    # A statement, not a start-up option: poolers and proxies refuse options they do not know.
    @sa.event.listens_for(engine, "connect")
    def _speak_utc(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
        connection.commit()

    @sa.event.listens_for(engine, "handle_error")
    def _say_no_values(context: sa.engine.ExceptionContext) -> None:
        """Keep the first line of a failed statement's error: those below quote the statement, or the row."""
        if context.statement is None:  # a failed connection has a line for each address that was tried
            return
        for error in (context.original_exception, context.sqlalchemy_exception):
            if error is not None and error.args and isinstance(error.args[0], str):
                error.args = (error.args[0].split("\n", 1)[0], *error.args[1:])

    return engine


def open_quick_engine(url: str, *, pool_size: int, seconds: int = 2) -> sa.Engine:
    """Return an engine for whoever is waited for: what takes longer than ``seconds`` fails instead.

    Every statement is a transaction by itself and costs one round trip: no connection is looked at before it is used
    (one that broke fails once), nor put in order afterwards.
    """
    engine = open_engine(
        url,
        application_name="qbo webhooks",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=seconds,
        pool_pre_ping=False,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": seconds, "tcp_user_timeout": seconds * 1000},
    )

    @sa.event.listens_for(engine, "connect")
    def _be_quick(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", (f"{seconds}s",))
        connection.commit()

    return engine


def check_connection(
    engine: sa.Engine,
    *,
    deadline_seconds: float = 45,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Return when the database answers; raise WarehouseError with one sentence when it does not.

    A sleeping Neon compute needs a few seconds for its first connection, so what may pass is tried again until the
    deadline; what cannot pass (a wrong password, an unknown host) is said at once.
    """
    give_up_at = monotonic() + deadline_seconds
    pause = 0.5
    while True:
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
        except DBAPIError as error:
            said = str(error.orig)
            if monotonic() + pause >= give_up_at or not any(hint in said.lower() for hint in _SOON):
                raise connection_error(engine.url, said) from None  # the driver's text may quote the URL
        else:
            return
        sleep(pause)
        pause = min(pause * 2, 5)


def connection_error(url: sa.URL, said: str) -> WarehouseError:
    """Return the sentence for what the driver said when it could not connect."""
    where = f"{url.host or 'localhost'}:{url.port or 5432}"
    low = said.lower()
    if "password authentication failed" in low or "no password supplied" in low or "28p01" in low:
        why = f"refuses the user '{url.username}' or its password: check both in DATABASE_URL"
    elif "database" in low and "does not exist" in low:
        why = f"has no database '{url.database}': create it, or name another in DATABASE_URL"
    elif "role" in low and "does not exist" in low:
        why = f"knows no user '{url.username}': check the user in DATABASE_URL"
    elif "translate host name" in low or "name or service not known" in low:
        why = "was not found: check the host in DATABASE_URL"
    elif "connection refused" in low:
        why = "refuses connections: is Postgres running there, and is the port in DATABASE_URL right?"
    elif "certificate" in low or "ssl" in low or "tls" in low or "no pg_hba.conf entry" in low:
        why = f"and we do not agree about TLS: check sslmode in DATABASE_URL ({_first_line(said, url)})"
    elif "invalid connection option" in low:  # "pgbouncer=true", "schema=…": what other tools put into a URL
        why = f"was not asked: DATABASE_URL carries an option that Postgres does not know ({_first_line(said, url)})"
    elif "timeout expired" in low:
        why = "does not answer: is it reachable from this machine, and is the host in DATABASE_URL right?"
    elif "too many" in low or "remaining connection slots" in low:
        why = "has no connection left: close some programs, or raise its max_connections"
    else:
        why = f"refuses the connection ({_first_line(said, url)})"
    return WarehouseError(f"Postgres at {where} {why}.".replace("?.", "?"))


def _first_line(said: str, url: sa.URL) -> str:
    line = next((line.strip() for line in said.splitlines() if line.strip()), "no reason given")
    line = line.rpartition("failed: ")[2]
    return line.replace(str(url.password), "***") if url.password else line


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url.strip())
    except (ArgumentError, ValueError):
        raise SettingsError(
            f"DATABASE_URL is no database URL; it looks like {_EXAMPLE}, and a password with one of @ / : # ? % in it "
            "must have that character percent-encoded (@ is %40)."
        ) from None  # the parser's own message quotes the URL, password included
    if parsed.drivername not in _SCHEMES:
        raise SettingsError(
            f"DATABASE_URL names '{parsed.drivername}', and only Postgres can be the warehouse: "
            f"it looks like {_EXAMPLE}."
        )
    for part, value in (("user", parsed.username), ("database", parsed.database)):
        if not value:
            raise SettingsError(f"DATABASE_URL names no {part}; it looks like {_EXAMPLE}.")
    if not parsed.host and "host" not in parsed.query:
        raise SettingsError(f"DATABASE_URL names no host; it looks like {_EXAMPLE}.")
    return _for_neon(parsed)


def _for_neon(url: sa.URL) -> sa.URL:
    host = url.host or ""
    if "-pooler." in host:
        # Its transaction pooling breaks what lives in a session: Dagster's LISTEN/NOTIFY, and dlt's search path.
        direct = host.replace("-pooler.", ".", 1)
        raise SettingsError(
            f"DATABASE_URL names a pooled endpoint ({host}), on which Dagster does not work: use the direct host "
            f"{direct} instead."
        )
    if host.endswith(".neon.tech") and "sslmode" not in url.query:
        return url.update_query_dict({"sslmode": "require"})
    return url
