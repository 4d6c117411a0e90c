"""``/metrics``: what a Prometheus wants to know, asked of Postgres at every scrape.

The text format is rendered here (prometheus.io, "Exposition formats"): client libraries count what happens in their own
process, and everything of ours happens in others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import entity_named
from qbo_pipeline.status import CompanyStatus
from qbo_pipeline.warehouse.calls import CallLedger
from qbo_pipeline.warehouse.checks import Checks
from qbo_pipeline.warehouse.inbox import InboxState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[dict[str, str], float]


def metrics(books: Books) -> str:
    """Return every measure of an installation, as text."""
    statuses = books.statuses()
    inbox = books.inbox.states()
    return "".join(
        [
            _family(
                "qbo_last_success_timestamp_seconds",
                "When the newest sync began that brought a table up to date.",
                _last_success(books, statuses),
            ),
            *_inbox(inbox, {each.company.realm_id: each.company.partition_key for each in statuses}),
            _family("qbo_api_calls", "QuickBooks API calls of this month.", _calls(books, statuses)),
            _family("qbo_api_call_budget", "QuickBooks API calls a month may cost.", [({}, books.budget().limit)]),
            _family(
                "qbo_token_state",
                "1 for the state a company's connection is in.",
                [({"company": each.company.partition_key, "state": each.state}, 1) for each in statuses],
            ),
            *_tokens(statuses),
        ]
    )


def _last_success(books: Books, statuses: list[CompanyStatus]) -> Iterator[Sample]:
    names = {each.company.realm_id: each.company.partition_key for each in statuses}
    now = datetime.now(UTC).timestamp()
    for (realm_id, entity), age in sorted(Checks(books.engine).last_synced(list(names)).items()):
        for table in entity_named(entity).tables:
            yield {"company": names[realm_id], "table": table.name}, now - age.total_seconds()


def _inbox(states: dict[str, InboxState], names: dict[str, str]) -> Iterator[str]:
    # Every company has a line, also the one nothing waits for: an alarm on a line that is not there never sounds.
    found = {name: states.get(realm_id, InboxState()) for realm_id, name in names.items()}
    found |= {realm_id or "unknown": state for realm_id, state in states.items() if realm_id not in names}
    for name, about, values in (
        (
            "qbo_inbox_waiting",
            "Events of webhooks that wait to be acted on.",
            {who: each.waiting for who, each in found.items()},
        ),
        (
            "qbo_inbox_lag_seconds",
            "How long the first of them has waited.",
            {who: each.lag.total_seconds() for who, each in found.items()},
        ),
        (
            "qbo_dead_letters",
            "Events of webhooks that could not be acted on.",
            {who: each.dead for who, each in found.items()},
        ),
    ):
        yield _family(name, about, [({"company": who}, value) for who, value in sorted(values.items())])


def _calls(books: Books, statuses: list[CompanyStatus]) -> Iterator[Sample]:
    ledger = CallLedger(books.engine)
    for each in statuses:
        for kind, calls in ledger.month(realm_id=each.company.realm_id).items():
            yield {"company": each.company.partition_key, "kind": kind}, calls


def _tokens(statuses: list[CompanyStatus]) -> Iterator[str]:
    held = [(each.company.partition_key, each.tokens) for each in statuses if each.tokens]
    access = [(name, tokens.expires_in) for name, tokens in held]
    refresh = [(name, tokens.refresh_expires_in) for name, tokens in held]
    for name, about, ends in (
        ("qbo_access_token_expires_in_seconds", "How long an access token still works.", access),
        ("qbo_refresh_token_expires_in_seconds", "How long a refresh token still works, unused.", refresh),
    ):
        yield _family(name, about, [({"company": who}, left.total_seconds()) for who, left in _known(ends)])


def _known(ends: Iterable[tuple[str, timedelta | None]]) -> Iterator[tuple[str, timedelta]]:
    return ((who, left) for who, left in ends if left is not None)


def _family(name: str, about: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
    lines += [f"{name}{_labels(labels)} {value:.15g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    words = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{words}}}" if words else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
