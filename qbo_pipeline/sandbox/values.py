"""JSON in and out with every number exactly as written.

``decode`` turns fractions into ``Decimal`` (never float) and keeps spellings a Decimal would change (``1e5``) as raw
text; ``encode`` writes money back digit for digit, so ``120.00`` stays ``120.00``. Key order is kept both ways.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

Payload: TypeAlias = dict[str, Any]
Scalar: TypeAlias = str | int | bool | Decimal


def _fraction(text: str) -> Decimal | msgspec.Raw:
    number = Decimal(text)
    return number if str(number) == text else msgspec.Raw(text.encode())


_decoder = msgspec.json.Decoder(float_hook=_fraction)
_encoder = msgspec.json.Encoder(decimal_format="number")


class NotJsonError(ValueError):
    """The bytes are not JSON; the text says what is wrong with them."""


def decode(data: bytes | str) -> Any:
    """Read JSON, exactly."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJsonError(str(error)) from None


def encode(value: Any) -> bytes:
    """Write JSON, exactly."""
    return _encoder.encode(value)


def copy(value: Any) -> Any:
    """Return an independent copy of a decoded value."""
    return decode(encode(value))


def amount(value: Any) -> Decimal:
    """Read a number out of a payload, whatever way it was written; absent means zero."""
    if value is None or value == "":
        return Decimal(0)
    if isinstance(value, msgspec.Raw):
        return Decimal(bytes(value).decode())
    return value if isinstance(value, Decimal) else Decimal(str(value))


def money(value: Decimal) -> Decimal:
    """Round to cents, and show both of them."""
    return value.quantize(Decimal("0.01"))
