"""Telling people that something failed: one message to a webhook that takes Slack's JSON (``{"text": …}``).

What is said holds names of jobs, of companies and what to do next: never a token, an error's text, or anything of the
books. The address is a secret itself (whoever has it can write there), so it is in no log and no error either.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import requests

from qbo_pipeline.secret import Secret
from qbo_pipeline.status import CompanyStatus

_log = logging.getLogger(__name__)


def failure_text(job: str, run_id: str, statuses: Sequence[CompanyStatus]) -> str:
    """Return what to say about a run that failed: which, and what a person should do about any connection."""
    said = [f"qbo: the run {run_id[:8]} of job {job} failed; its log in Dagster has the reason."]
    said += [
        f"• {status.company.name} ({status.state}): {status.connection_action}"
        for status in statuses
        if status.connection_action is not None
    ]
    return "\n".join(said)


def post(url: Secret, text: str) -> bool:
    """Send a message; False, and a line in the log, when nobody took it. An alert never fails what it tells of."""
    try:
        answer = requests.post(url.reveal(), json={"text": text}, timeout=10, allow_redirects=False)
    except requests.RequestException as error:
        _log.warning("The alert could not be sent to QBO_ALERT_WEBHOOK_URL (%s).", type(error).__name__)
        return False
    if not answer.ok or answer.is_redirect:
        _log.warning("QBO_ALERT_WEBHOOK_URL did not take the alert (HTTP %d).", answer.status_code)
        return False
    return True
