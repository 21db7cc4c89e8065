"""Which addresses of a list came before, in the same few megabytes however long the list is."""

from __future__ import annotations

_BITS = 27  # 16 MB: among a million addresses, one in a million that is new is taken for one that came before
_MASK = (1 << _BITS) - 1
_SPREAD = 0x9E3779B97F4A7C15


class Seen:
    """A Bloom filter over the hashes of addresses. `level` tells sightings of one address apart."""

    def __init__(self) -> None:
        self._bits = bytearray(1 << (_BITS - 3))

    def add(self, address_hash: str, level: int = 0) -> None:
        """Remember a hash of at least 32 hexadecimal digits."""
        number = int(address_hash[:32], 16) + level * _SPREAD
        bits = self._bits
        for _ in range(4):
            place = number & _MASK
            bits[place >> 3] |= 1 << (place & 7)
            number >>= _BITS

    def __contains__(self, address_hash: str) -> bool:
        return self.has(address_hash)

    def has(self, address_hash: str, level: int = 0) -> bool:
        """Whether it came before. Never wrong when it says no."""
        number = int(address_hash[:32], 16) + level * _SPREAD
        bits = self._bits
        for _ in range(4):
            place = number & _MASK
            if not bits[place >> 3] >> (place & 7) & 1:
                return False
            number >>= _BITS
        return True
