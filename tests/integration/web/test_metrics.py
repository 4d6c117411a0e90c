"""``/metrics``: every measure, in the words a Prometheus reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import tables
from qbo_pipeline.web.metrics import _labels
from tests.support.quickbooks import Sandbox
from tests.support.webhooks import Letters, cloud_event

_LINE = re.compile(r'(?P<name>[a-z_]+)(\{(?P<labels>([a-z]+="([^"\\]|\\.)*",?)*)\})? (?P<value>-?[0-9.e+]+)')


def scraped(letters: Letters) -> dict[tuple[str, str], float]:
    """Return every sample by name and labels; a line that is none fails."""
    answer = letters.get("/metrics")
    assert answer.status == 200
    assert (b"content-type", b"text/plain; version=0.0.4; charset=utf-8") in answer.headers
    lines = answer.body.decode().splitlines()
    samples = [_LINE.fullmatch(line) for line in lines if not line.startswith("#")]
    assert None not in samples
    named = {match["name"] for match in samples if match}
    assert {line.split()[2] for line in lines if line.startswith("# TYPE")} == named
    assert lines[-1] != ""
    return {(match["name"], match["labels"] or ""): float(match["value"]) for match in samples if match}


def test_everything_worth_an_alarm_is_measured(loaded: Books, quickbooks: Sandbox) -> None:
    letters, company = Letters(loaded), loaded.company(None).partition_key
    quiet = scraped(letters)
    who = f'company="{company}"'
    assert quiet[("qbo_inbox_waiting", who)] == 0, "a line from the first day on"
    fresh = {labels: value for (name, labels), value in quiet.items() if name == "qbo_last_success_timestamp_seconds"}
    assert set(fresh) == {f'{who},table="{table.name}"' for table in tables()}
    assert all(0 <= datetime.now(UTC).timestamp() - value < 3600 for value in fresh.values())
    assert quiet[("qbo_token_state", f'{who},state="active"')] == 1
    assert 0 < quiet[("qbo_access_token_expires_in_seconds", who)] <= 3600
    assert quiet[("qbo_refresh_token_expires_in_seconds", who)] > 80 * 86_400
    assert quiet[("qbo_api_calls", f'{who},kind="query"')] > 0
    assert quiet[("qbo_api_call_budget", "")] == 500_000

    letters.tell([cloud_event(), cloud_event("Nonsense"), cloud_event(realm="9140"), cloud_event(realm="nobody")])
    told = scraped(letters)
    assert told[("qbo_inbox_waiting", who)] == 1
    assert told[("qbo_inbox_lag_seconds", who)] > 0
    assert told[("qbo_dead_letters", who)] == 1
    assert told[("qbo_dead_letters", 'company="9140"')] == 1
    assert told[("qbo_dead_letters", 'company="unknown"')] == 1


def test_a_name_cannot_break_out_of_its_label() -> None:
    assert _labels({"company": 'a"b\\c\nd'}) == '{company="a\\"b\\\\c\\nd"}'
