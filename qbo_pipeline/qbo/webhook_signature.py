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
        matches |= hmac.compare_digest(signature_of(body, token).encode(), given)
    return matches


def signature_of(body: bytes, verifier_token: str) -> str:
    """Return what Intuit writes into ``intuit-signature`` for a body."""
    return base64.b64encode(hmac.digest(verifier_token.encode(), body, "sha256")).decode()
