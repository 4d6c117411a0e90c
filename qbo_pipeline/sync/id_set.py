"""A set of record ids that stays small.

QuickBooks numbers its records one after the other, so a million ids are a few thousand runs of neighbours. A bit for
each number keeps them in a megabyte; as texts in a set they take ninety. Any other id is kept as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

#: Numbers that share an integer of as many bits.
_BLOCK = 256
#: Longest number that is kept as bits: a block for each would be no saving where ids lie far apart.
_DIGITS = 12


class IdSet(Set[str]):
    """Ids, each as often as a set has it: once. Iterates in no particular order."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._blocks: dict[int, int] = {}
        self._others: set[str] = set()
        self._numbers = 0
        self.update(ids)

    def update(self, ids: Iterable[str]) -> None:
        """Add ids."""
        for each in ids:
            if (number := _number(each)) is None:
                self._others.add(each)
                continue
            block, place = divmod(number, _BLOCK)
            bits = self._blocks.get(block, 0)
            if not bits >> place & 1:
                self._blocks[block] = bits | 1 << place
                self._numbers += 1

    def __contains__(self, each: object) -> bool:
        if not isinstance(each, str) or (number := _number(each)) is None:
            return each in self._others
        block, place = divmod(number, _BLOCK)
        return bool(self._blocks.get(block, 0) >> place & 1)

    def __iter__(self) -> Iterator[str]:
        yield from self._others
        for block, bits in self._blocks.items():
            for place in range(_BLOCK):
                if bits >> place & 1:
                    yield str(block * _BLOCK + place)

    def __len__(self) -> int:
        return self._numbers + len(self._others)


def _number(text: str) -> int | None:
    """Return the number that is written as ``text`` and in no other way; None where there is none."""
    plain = len(text) <= _DIGITS and text.isascii() and text.isdigit() and (text[0] != "0" or text == "0")
    return int(text) if plain else None
