"""How a company is called: the readable key that Dagster's partitions and the command line use."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 100


def partition_key(name: str, realm_id: str) -> str:
    """Return e.g. ``craigs-landscaping-9130000000000001``: only [a-z0-9-], at most 100 characters.

    The realm id makes it unique; the name makes it readable, as far as it can be said in ASCII.
    """
    realm = _slug(realm_id)
    room = _LONGEST - len(realm) - 1
    return f"{_slug(name)[:room].rstrip('-') or 'company'}-{realm}"


def environment_of(base_url: str | None) -> str:
    """Return the environment an API root belongs to: production, sandbox, or local for anything not Intuit's."""
    root = (base_url or "").lower()
    if "sandbox-quickbooks" in root:
        return "sandbox"
    return "production" if "quickbooks.api" in root else "local"


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"['`]", "", plain)  # "Craig's" is one word
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
