"""Did Intuit send this notification? Verify first, parse second.

Flows in    the raw body, the ``intuit-signature`` header, our verifier tokens (two while one is being replaced)
Flows out   True or False
Refuses     to look inside the body: until it is verified it is anybody's
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence


def verify_signature(body: bytes, signature: str | None, verifier_tokens: Sequence[str]) -> bool:
    """Was ``signature`` made over exactly these bytes with one of our verifier tokens?"""
    given = (signature or "").strip().encode("utf-8", "replace")
    matches = False
    for token in verifier_tokens:
        if not token:  # an unset setting would otherwise be a key everybody knows
            continue
        expected = base64.b64encode(hmac.digest(token.encode(), body, "sha256"))
        matches |= hmac.compare_digest(expected, given)
    return matches
