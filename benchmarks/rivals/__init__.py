"""What somebody would write or take instead. Each is a program of its own and loads into schema ``rival``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from benchmarks.fake import REALM


def pages(fake: str, invoices: int) -> Iterator[list[dict[str, Any]]]:
    """Yield pages of a thousand invoices, read as everybody reads them."""
    session = requests.Session()
    for start in range(1, invoices + 1, 1000):
        statement = f"select * from Invoice orderby Id startposition {start} maxresults 1000"
        answer = session.get(f"{fake}/v3/company/{REALM}/query", params={"query": statement}, timeout=60)
        answer.raise_for_status()
        yield answer.json()["QueryResponse"]["Invoice"]
