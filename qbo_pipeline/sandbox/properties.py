"""The property names Intuit's schema knows, per entity: what a write may carry and a query may name.

``properties.txt`` holds one line per entity, after Intuit's published XSD (Intuit: QuickBooks-V3-Java-SDK, Finance.xsd)
and the members seen in recorded JSON. An entity without a line knows nothing and so refuses nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def _all_properties() -> dict[str, frozenset[str]]:
    lines = (Path(__file__).parent / "properties.txt").read_text().splitlines()
    named = (line.split(":", 1) for line in lines)
    return {entity: frozenset(words.split()) for entity, words in named}


@cache
def known_properties(entity: str) -> frozenset[str]:
    """Return the top-level properties of an entity."""
    return _all_properties().get(entity, frozenset()) | {"Id", "SyncToken", "MetaData", "domain", "sparse", "status"}
