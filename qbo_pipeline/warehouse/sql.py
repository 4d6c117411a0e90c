"""Names and texts as SQL wants them, for statements that take no parameters (DDL)."""

from __future__ import annotations


def quoted(name: str) -> str:
    """Return a name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text in single quotes."""
    return "'" + text.replace("'", "''") + "'"
