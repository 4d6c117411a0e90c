"""Recurring templates come wrapped: ``{"Invoice": {"Id": "4", ...}}``. Here they are unwrapped, and wrapped again.

Inside, the kind becomes a field like any other (``TxnType``), so that a template is decoded and stored as all records
are. What QuickBooks may put beside the one object (it does so in answers to a delete) is kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from qbo_pipeline.catalog.templates import WRAPPER
from qbo_pipeline.sync.fast import UnusualError

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def fast_unwrapped(raw: msgspec.Raw) -> msgspec.Raw:
    """Return the bytes of the object inside, its kind added; UnusualError for anything but one plain object."""
    members = _members(raw)
    if len(members) != 1:
        raise UnusualError
    ((kind, value),) = members.items()
    inner = bytes(value).strip()
    # A template with a TxnType of its own would have two; links inside it have one too, and take the careful path.
    if not kind or not inner.startswith(b"{") or f'"{WRAPPER}"'.encode() in inner:
        raise UnusualError
    rest = inner[1:].lstrip()
    return msgspec.Raw(b'{"%s":%s%s%s' % (WRAPPER.encode(), _encode(kind), b"" if rest == b"}" else b",", rest))


def unwrapped(payload: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the kind, the object inside, and what stands beside it; an empty object when there is none with an Id."""
    for kind, inner in payload.items():
        if kind and isinstance(inner, dict) and "Id" in inner:
            return kind, inner, {name: value for name, value in payload.items() if name != kind}
    return "", {}, payload


def wrapped(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a template's record as QuickBooks wraps it."""
    inner = dict(payload)
    return {inner.pop(WRAPPER): inner}
