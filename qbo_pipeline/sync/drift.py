"""What records carried that the catalogue does not expect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Drift:
    """Path of a field -> in how many records: ``unknown`` to the catalogue, or of ``unusual`` type or spelling."""

    unknown: Counter[str] = field(default_factory=Counter)
    unusual: Counter[str] = field(default_factory=Counter)
