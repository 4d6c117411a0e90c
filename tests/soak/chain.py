"""The crash matrix of the token chain: a refresh dies at a place, trouble follows, and the chain lives or does not.

    python -m tests.soak.chain               all of it, as the table of docs/token-crashes.md

The server rotates at the very call in question, the worst moment there is. ``ok``: the next refreshes bring the chain
back by themselves, and the database holds the server's own token. ``reconnect``: a person has to press a button; no
data is lost. Everything is real: processes that SIGKILL or SIGSTOP themselves, a Postgres, a QuickBooks over HTTP.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from qbo_pipeline.errors import OwnershipError
from qbo_pipeline.sandbox.settings import POLICIES
from tests.soak.installation import Installation, installation, say
from tests.support.token_chain import Chain, chain_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "token-crashes.md"
PLACES = ("claimed", "answered", "half spooled", "spooled", "committed")
_BEARER = {"path": "tokens/bearer"}


# --- what follows a death -------------------------------------------------------------------------------------------


def crash(chain: Chain, place: str) -> None:
    """Nothing more than that."""
    chain.die(place)


def database_down(chain: Chain, place: str) -> None:
    """The database goes away while it is there; it goes on as far as it comes, and gives up."""
    pid = chain.die(place, signal.SIGSTOP)
    with chain.database_down():
        chain.wake(pid)


def lost_reply(chain: Chain, place: str) -> None:
    """The reply to the next process is lost on the wire."""
    chain.die(place)
    chain.leases_end()
    chain.sandbox.tell("/faults", {"fault": "drop_connection", "match": _BEARER, "processed": True})
    chain.renew()
    chain.sandbox.tell("/faults", method="DELETE")


def late_writer(chain: Chain, place: str) -> None:
    """It does not die: it sleeps past its lease, another refreshes, and it wakes up."""
    pid = chain.die(place, signal.SIGSTOP)
    chain.leases_end()
    chain.renew()
    chain.wake(pid)


def restored(chain: Chain, place: str) -> None:
    """The database comes back as it was two refreshes ago."""
    restore = chain.snapshot()
    chain.renew()
    chain.rotation_is_near()
    chain.renew()
    chain.rotation_is_near()
    chain.die(place)
    restore()


def second_installation(chain: Chain, place: str) -> None:
    """A copy of the installation, on another machine, wants to refresh."""
    chain.die(place)
    chain.leases_end()
    before = len(chain.sandbox.calls())
    assert chain.renew(installation="a laptop with a dump") == OwnershipError.__name__
    assert len(chain.sandbox.calls()) == before, "it may not ask QuickBooks at all"


TROUBLES = (crash, database_down, lost_reply, late_writer, restored, second_installation)


# --- trouble without a death ----------------------------------------------------------------------------------------


def reply_lost(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "drop_connection", "match": _BEARER, "processed": True})
    assert chain.renew() == "RetryableError"


def gateway_error_after_the_rotation(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "http_503_html", "match": _BEARER, "processed": True})
    assert chain.renew() == "RetryableError"


def gateway_error_before_it(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "http_503_html", "match": _BEARER})
    assert chain.renew() == "RetryableError"


def refused_in_passing(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "invalid_grant", "match": _BEARER, "times": 2})
    assert chain.renew() == "RetryableError"


def refused_for_a_quarter_of_an_hour(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "invalid_grant", "match": _BEARER, "times": 6})
    for _ in range(3):
        assert chain.renew() == "RetryableError"
        chain.leases_end()


def rotation_forgotten(chain: Chain) -> None:
    assert chain.renew() == "renewed"
    chain.sandbox.tell("/tokens/forget", {})


def wrong_client_secret(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "invalid_client", "match": _BEARER})
    assert chain.renew() == "RejectedError"


def database_restored(chain: Chain) -> None:
    restore = chain.snapshot()
    for _ in range(2):
        chain.renew()
        chain.rotation_is_near()
    restore()


ALONE: dict[str, Callable[[Chain], None]] = {
    "reply lost": reply_lost,
    "5xx after the rotation": gateway_error_after_the_rotation,
    "5xx before it": gateway_error_before_it,
    "invalid_grant, twice": refused_in_passing,
    "invalid_grant for a quarter of an hour": refused_for_a_quarter_of_an_hour,
    "provider forgot the rotation": rotation_forgotten,
    "wrong client secret, once": wrong_client_secret,
    "database restored from a backup": database_restored,
}


def rows(*, places: tuple[str, ...] = PLACES) -> dict[str, Callable[[Chain], None]]:
    """Return the rows of the matrix: what happens, by what it is called."""
    deaths = {
        f"killed when {place}" if trouble is crash else f"{place}, then {trouble.__name__.replace('_', ' ')}": (
            lambda chain, trouble=trouble, place=place: trouble(chain, place)
        )
        for place in places
        for trouble in TROUBLES
    }
    return ALONE | deaths


def matrix(chain: Chain, policies: tuple[str, ...], wanted: dict[str, Callable[[Chain], None]]) -> dict[str, list[str]]:
    """Play rows under policies; return the outcomes of each row."""
    found: dict[str, list[str]] = {}
    for name, happens in wanted.items():
        found[name] = []
        for policy in policies:
            chain.begin(policy)
            happens(chain)
            chain.sandbox.tell("/faults", method="DELETE")
            found[name].append(chain.fate())
        say(f"{name:<48} {'  '.join(found[name])}")
    return found


def table(found: dict[str, list[str]], policies: tuple[str, ...]) -> list[str]:
    """Return the lines of the table."""
    lines = [f"| What happens | {' | '.join(policies)} |", "|---" * (len(policies) + 1) + "|"]
    return lines + [f"| {name} | {' | '.join(outcomes)} |" for name, outcomes in found.items()]


def documented() -> dict[str, dict[str, str]]:
    """Return what the document says: what happens -> policy -> outcome."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    head, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: dict(zip(head[1:], outcomes, strict=True)) for name, *outcomes in body}


def differences(found: dict[str, list[str]], policies: tuple[str, ...]) -> list[str]:
    """Return where outcomes are not as documented."""
    known = documented()
    return [
        f"{name}, {policy}: {outcome}, and not {known[name][policy]}"
        for name, outcomes in found.items()
        for policy, outcome in zip(policies, outcomes, strict=True)
        if known[name][policy] != outcome
    ]


def whole(home: Installation) -> list[str]:
    """Play all of it, print the table, and return what is not as documented."""
    policies = tuple(POLICIES)
    with chain_of(home.sandbox, home.database_url, home.home / "state") as chain:
        found = matrix(chain, policies, rows())
    say("\n".join(["", *table(found, policies)]))
    return differences(found, policies)


def main() -> None:
    """Run it; exit 1 when an outcome is not as documented."""
    with installation() as (home, _):
        wrong = whole(home)
    say("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
