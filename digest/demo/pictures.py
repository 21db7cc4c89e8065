"""The sample site's pictures: quiet landscapes, drawn from the article's name. Nothing but zlib is needed."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache

WIDTH, HEIGHT = 1200, 630
_SCALE = 2  # drawn at half the size; each dot becomes four
# Sky from top to bottom, sun, then hills from far to near.
_PALETTES = {
    "Politics": ("#2f3e5c", "#d9a58c", "#ffe9c9", "#7b7f9e", "#565d80", "#3a4263", "#262d47"),
    "Business": ("#6fa3b8", "#f4e3bd", "#fff6dd", "#a9b98a", "#7f9a68", "#587a4f", "#3a5a3c"),
    "Culture": ("#5b3f72", "#f0a08a", "#ffe3b8", "#9a6a94", "#74507f", "#523a66", "#37284b"),
    "Cities": ("#7fb2d9", "#fbe6d0", "#fffaf0", "#b6a9b4", "#8d8298", "#665f7b", "#45415a"),
    "Science": ("#0f1b3d", "#3f6b8f", "#f4f7e4", "#2f5678", "#234462", "#18334d", "#0f2238"),
    "Sport": ("#3b7fb0", "#cdeae0", "#fffbe0", "#7dbb8f", "#57a074", "#3a8260", "#28634c"),
    "Travel": ("#3f86a6", "#f9cfa0", "#fff1cf", "#86a9a8", "#5b8a92", "#3e6d7b", "#285262"),
    "Food": ("#d98a5b", "#fbe2b6", "#fff7e2", "#d4a05f", "#b67f47", "#8f5f38", "#68432b"),
}


@lru_cache(maxsize=64)
def picture(name: str, section: str) -> bytes:
    """A PNG of 1200 x 630 pixels, always the same for the same article."""
    chance = random.Random(name)  # noqa: S311 - a picture, not a secret
    colours = [_rgb(each) for each in _PALETTES.get(section, _PALETTES["Travel"])]
    width, height = WIDTH // _SCALE, HEIGHT // _SCALE
    sky = [_mix(colours[0], colours[1], (step / 23) ** 1.2) for step in range(24)]
    palette = [*sky, *colours[2:]]
    hills = [_ridge(chance, width, height, depth) for depth in range(4)]
    sun = (chance.uniform(0.2, 0.8) * width, chance.uniform(0.25, 0.5) * height, chance.uniform(22, 40))
    return _png(_rows(width, height, hills, sun), palette)


def drawn(name: str, sections: Mapping[str, str]) -> bytes:
    """The picture of an article by the name of its file."""
    slug = name.removesuffix(".png")
    return picture(slug, sections.get(slug, ""))


def _ridge(chance: random.Random, width: int, height: int, depth: int) -> list[float]:
    """The height of a line of hills at each column; nearer ones are lower and softer."""
    base = height * (0.56 + 0.12 * depth)
    waves = [(chance.uniform(0.6, 3.2) * (n + 1), chance.uniform(0, 6.3), 20 / (n + 1)) for n in range(4)]
    return [
        base + sum(size * math.sin(x / width * speed * math.pi + phase) for speed, phase, size in waves)
        for x in range(width)
    ]


def _rows(width: int, height: int, hills: list[list[float]], sun: tuple[float, float, float]) -> list[bytes]:
    sun_x, sun_y, radius = sun
    rows = []
    for y in range(height):
        row = bytearray([min(23, int(y / (height * 0.8) * 24))]) * width
        reach = radius**2 - (y - sun_y) ** 2
        if reach > 0:
            half = int(math.sqrt(reach))
            left, right = max(0, int(sun_x) - half), min(width, int(sun_x) + half)
            row[left:right] = b"\x18" * (right - left)
        for depth, ridge in enumerate(hills):
            for x in range(width):
                if y >= ridge[x]:
                    row[x] = 25 + depth
        rows.append(bytes(row))
    return rows


def _png(rows: list[bytes], palette: list[tuple[int, int, int]]) -> bytes:
    raw = b"".join((b"\0" + _stretched(row)) * _SCALE for row in rows)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    colours = b"".join(bytes(each) for each in palette)
    chunks = [(b"IHDR", header), (b"PLTE", colours), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _stretched(row: bytes) -> bytes:
    wide = bytearray(len(row) * _SCALE)
    for offset in range(_SCALE):
        wide[offset::_SCALE] = row
    return bytes(wide)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rgb(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _mix(one: tuple[int, int, int], other: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
