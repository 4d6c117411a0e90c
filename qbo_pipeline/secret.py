"""Text that must not be shown: it shows itself as ``***``, and what others wrote down of it can be taken out again.

A ``Secret`` compares, slices, joins and encodes like the text it is, so that SQL and HTTP take it as it comes. Only
``repr``, ``str`` and formatting hide it, and those are what puts a secret into a log or an error; whoever really wants
the text says ``reveal``. The process remembers the latest secrets it has met, so that ``scrub`` can take them out of
texts of others: a driver's error, a library's log line.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from typing import Any, Self

_MASK = "***"
#: Shorter than this is no secret worth hiding, and would be found inside ordinary words.
_SHORTEST = 8
_met: deque[str] = deque(maxlen=500)

# What tokens and passwords in addresses look like, for those that never were a Secret of this process.
_SHAPES = (
    re.compile(r"(?i)(?<=bearer )[\w.~+/=-]{8,}"),
    re.compile(r"(?i)(?<=basic )[\w+/=-]{8,}"),
    re.compile(r"\bRT1-[\w-]{8,}"),
    re.compile(r"\bAB11\w{20,}"),
    re.compile(r"\beyJ[\w-]{20,}(?:\.[\w-]*)*"),
    re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"),
)


class Secret(str):
    """A token, a key or a password."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text[:])
        if len(text) >= _SHORTEST and (plain := text[:]) not in _met:
            _met.append(plain)
        return made

    def reveal(self) -> str:
        """Return the text itself."""
        return self[:]

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, _spec: str) -> str:
        return _MASK

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret, (_MASK,))  # a pickle would be the text in the clear


def scrub(text: str) -> str:
    """Return ``text`` without any secret this process has met, and without what looks like one."""
    for secret in tuple(_met):
        if secret in text:
            text = text.replace(secret, _MASK)
    for shape in _SHAPES:
        text = shape.sub(_MASK, text)
    return text


def keep_secrets_out_of_logs() -> None:
    """Scrub every log record of this process from now on, its traceback too; safe to repeat."""
    make = logging.getLogRecordFactory()
    if getattr(make, "scrubs", False):
        return

    def scrubbed(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        said = record.getMessage()
        if (clean := scrub(said)) != said:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
        return record

    scrubbed.scrubs = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(scrubbed)
