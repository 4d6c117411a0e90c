"""What keeps a process from writing to a company that another has taken over meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

#: Given a DBAPI cursor at the start of its transaction; raises LeaseLostError when this process may not write any more.
Fence: TypeAlias = Callable[[Any], None]
