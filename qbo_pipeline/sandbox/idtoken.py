"""Signing an id_token (RS256), with a key made on first use.

Plain arithmetic instead of a cryptography library: the key protects nothing, it only lets real clients verify what they
receive (Intuit: OpenID Connect).
"""

from __future__ import annotations

import base64
import hashlib
import random
from functools import cache
from typing import Any

from qbo_pipeline.sandbox.values import encode

_EXPONENT = 65_537
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
_SIZE = 256  # bytes of the modulus


@cache
def _key() -> tuple[int, int]:
    numbers = random.Random("the sandbox signs with this")
    while True:
        first, second = _prime(numbers), _prime(numbers)
        rest = (first - 1) * (second - 1)
        if (first * second).bit_length() == _SIZE * 8 and rest % _EXPONENT:
            return first * second, pow(_EXPONENT, -1, rest)


def _prime(numbers: random.Random) -> int:
    while True:
        candidate = numbers.getrandbits(_SIZE * 4) | 1 | 3 << (_SIZE * 4 - 2)
        if all(candidate % small for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)) and _is_prime(candidate):
            return candidate


def _is_prime(candidate: int) -> bool:
    """Miller and Rabin, with bases enough for a sandbox."""
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(candidate, base, odd, twos) for base in (2, 3, 5, 7, 11, 13, 17, 19))


def _passes(candidate: int, base: int, odd: int, twos: int) -> bool:
    found = pow(base, odd, candidate)
    if found in {1, candidate - 1}:
        return True
    for _ in range(twos - 1):
        found = found * found % candidate
        if found == candidate - 1:
            return True
    return False


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_key() -> dict[str, str]:
    """Return the key as a JWK."""
    modulus, _ = _key()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": "sandbox",
        "n": _text(modulus.to_bytes(_SIZE, "big")),
        "e": _text(_EXPONENT.to_bytes(3, "big")),
    }


def signed(claims: dict[str, Any], *, now: int) -> str:
    """Return the claims as a signed JWT that is good for an hour."""
    modulus, private = _key()
    whole = claims | {"iat": now, "auth_time": now, "exp": now + 3600}
    head = encode({"kid": "sandbox", "typ": "JWT", "alg": "RS256"})
    message = f"{_text(head)}.{_text(encode(whole))}"
    digest = _SHA256_PREFIX + hashlib.sha256(message.encode()).digest()
    padded = b"\x00\x01" + b"\xff" * (_SIZE - len(digest) - 3) + b"\x00" + digest
    signature = pow(int.from_bytes(padded, "big"), private, modulus)
    return f"{message}.{_text(signature.to_bytes(_SIZE, 'big'))}"
