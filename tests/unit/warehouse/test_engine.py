"""DATABASE_URL as people paste it, and the sentences they get when it does not work."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from qbo_pipeline.errors import SettingsError
from qbo_pipeline.warehouse.engine import connection_error, display_url, open_engine, plain_url, psycopg2_url

PLACE = "ana:s3cret@db.example.com/books"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_spelling_of_postgres_goes_through_psycopg2(scheme: str) -> None:
    assert psycopg2_url(f" {scheme}://{PLACE}\n") == f"postgresql+psycopg2://{PLACE}"
    assert plain_url(f"{scheme}://{PLACE}") == f"postgresql://{PLACE}"
    assert open_engine(f"{scheme}://{PLACE}").dialect.driver == "psycopg2"


def test_a_password_with_odd_characters_survives() -> None:
    url = "postgresql://ana:p%40ss%2Fw%25rd@h/books?sslmode=require"
    assert sa.make_url(psycopg2_url(url)).password == "p@ss/w%rd"
    assert plain_url(url) == url


def test_the_password_is_not_displayed() -> None:
    assert display_url(f"postgres://{PLACE}") == "postgresql://ana:***@db.example.com/books"
    assert "s3cret" not in repr(open_engine(f"postgres://{PLACE}"))


def test_a_pooled_neon_endpoint_is_refused_and_the_direct_one_named() -> None:
    with pytest.raises(
        SettingsError, match=r"use the direct host ep-cool-1\.eu-central-1\.aws\.neon\.tech instead"
    ) as caught:
        psycopg2_url("postgresql://ana:s3cret@ep-cool-1-pooler.eu-central-1.aws.neon.tech/books?sslmode=require")
    assert "s3cret" not in str(caught.value)


def test_neon_is_always_spoken_to_over_tls() -> None:
    host = "ep-cool-1.eu-central-1.aws.neon.tech"
    assert plain_url(f"postgres://ana:x@{host}/books").endswith("?sslmode=require")
    assert plain_url(f"postgres://ana:x@{host}/books?sslmode=verify-full").endswith("?sslmode=verify-full")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "books",
        "postgresql://ana:s3c#ret@db:port/books",
        "mysql://ana:s3cret@db/books",
        "postgresql://ana:s3cret@db",
        "postgresql://db/books",
        "postgresql:///books",
    ],
)
def test_what_is_no_url_is_explained_without_quoting_it(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        open_engine(url)
    assert "s3c" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ('FATAL:  password authentication failed for user "ana"', "refuses the user 'ana' or its password"),
        ('FATAL:  database "books" does not exist', "has no database 'books'"),
        ('FATAL:  role "ana" does not exist', "knows no user 'ana'"),
        ('could not translate host name "db.example.com" to address: Name or service not known', "was not found"),
        ('connection to server at "db", port 5432 failed: Connection refused', "refuses connections"),
        ('connection to server at "db", port 5432 failed: timeout expired', "does not answer"),
        (
            (
                'connection to server at "localhost" (::1), port 1 failed: Connection refused\n\tIs it running?\n'
                'connection to server at "localhost" (127.0.0.1), port 1 failed: FATAL:  password authentication failed'
            ),
            "refuses the user 'ana'",
        ),
        ('invalid dsn: invalid connection option "pgbouncer"', 'option that Postgres does not know .*"pgbouncer"'),
        ("server does not support SSL, but SSL was required", "do not agree about TLS"),
        (
            'connection to server at "db", port 1 failed: FATAL:  s3cret is odd',
            r"refuses the connection \(FATAL:  \*\*\*",
        ),
    ],
)
def test_every_refusal_has_its_sentence(said: str, sentence: str) -> None:
    text = str(connection_error(sa.make_url(f"postgresql://{PLACE}"), said))
    assert text.startswith("Postgres at db.example.com:5432 ")
    assert "s3cret" not in text
    assert re.search(sentence, text)
