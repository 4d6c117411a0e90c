"""The query language: what it says it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.sandbox.faults import ApiError
from qbo_pipeline.sandbox.grammar import Condition, Literal, Sort, Statement, parse, render

KEYWORDS = {
    *("select", "from", "where", "and", "in", "like", "orderby", "order", "startposition", "maxresults"),
    *("asc", "desc", "true", "false", "current_date", "count"),
}
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}(\.[A-Za-z_][A-Za-z0-9_]{0,12})?", fullmatch=True).filter(
    lambda name: name.split(".")[0].lower() not in KEYWORDS
)
strings = st.text(max_size=20).map(lambda text: Literal("string", text))
numbers = st.from_regex(r"-?[0-9]{1,6}(\.[0-9]{1,3})?", fullmatch=True).map(lambda text: Literal("number", text))
values = st.one_of(strings, numbers, st.sampled_from(("true", "false")).map(lambda text: Literal("boolean", text)))
values = st.one_of(values, st.just(Literal("date", "CURRENT_DATE")))
conditions = st.one_of(
    st.builds(Condition, names, st.sampled_from(("=", "<", ">", "<=", ">=")), st.tuples(values)),
    st.builds(Condition, names, st.just("LIKE"), st.tuples(strings)),
    st.builds(Condition, names, st.just("IN"), st.lists(values, min_size=1, max_size=4).map(tuple)),
)
positions = st.one_of(st.none(), st.integers(0, 10**6))
statements = st.one_of(
    st.builds(
        Statement,
        names,
        projection=st.lists(names, max_size=3).map(tuple),
        where=st.lists(conditions, max_size=3).map(tuple),
        order=st.lists(st.builds(Sort, names, st.booleans()), max_size=3).map(tuple),
        start=positions,
        limit=positions,
    ),
    st.builds(Statement, names, count=st.just(True), where=st.lists(conditions, max_size=2).map(tuple)),
)


@given(statements)
def test_a_statement_written_out_reads_back_as_itself(statement: Statement) -> None:
    assert parse(render(statement)) == statement


@given(st.text(max_size=80))
def test_any_text_is_a_statement_or_error_4000(text: str) -> None:
    codes: set[str | None] = {None}
    try:
        parse(text)
    except ApiError as error:
        codes = {error.code}
    assert codes <= {None, "4000"}


def test_keywords_may_be_written_in_any_case_and_clauses_in_any_order() -> None:
    one = parse("select * from Invoice where TxnDate > '2026-01-01' order by TxnDate desc maxresults 5 startposition 2")
    other = parse(
        "SELECT * FROM Invoice WHERE TxnDate > '2026-01-01' ORDERBY TxnDate DESC STARTPOSITION 2 MAXRESULTS 5"
    )
    assert one == other


def test_a_quote_inside_a_string_is_escaped_with_a_backslash() -> None:
    statement = parse(r"select * from Customer where DisplayName = 'Zora O\'Dwyer'")
    assert statement.where[0].values[0].text == "Zora O'Dwyer"


@pytest.mark.parametrize(
    "text",
    [
        "select * from Invoice where Id != '3'",
        "select * from Invoice where Id = '3' or Id = '4'",
        "select * from Invoice where not Active = true",
        "select * from Invoice where (Id = '3')",
        "select max(Id) from Invoice",
        "select * from Customer where DisplayName = 'O'Dwyer'",
        "select * from Invoice maxresults 5 maxresults 6",
        "select * from Invoice; select * from Customer",
    ],
)
def test_what_the_language_does_not_have_is_error_4000(text: str) -> None:
    with pytest.raises(ApiError, match="4000") as caught:
        parse(text)
    assert (caught.value.code, caught.value.message) == ("4000", "Error parsing query")


def test_a_parse_error_says_what_was_met_and_where() -> None:
    with pytest.raises(ApiError) as caught:
        parse("select * from Purchase TxnDate")
    assert caught.value.detail == 'QueryParserError: Encountered " <IDENTIFIER> "TxnDate "" at line 1, column 24.'
