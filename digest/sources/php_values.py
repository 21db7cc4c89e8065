"""Values that PHP's `serialize` wrote down, as WordPress keeps its settings and what it knows of a picture.

Arrays become dictionaries; objects and references are refused: nothing we look for holds any.
"""

from __future__ import annotations

from typing import Any

_DEEPEST = 20  # arrays in arrays; WordPress's own have four


def php_value(text: str) -> Any:
    """The value, or None when `text` is not what PHP would write. Lengths count bytes of UTF-8."""
    content = text.encode("utf-8", "surrogatepass")
    try:
        value, end = _value(content, 0, 0)
    except (ValueError, IndexError, KeyError):
        return None
    return value if end == len(content) else None


def within(value: Any, *path: str) -> Any:
    """What lies at the end of a path of keys, or None."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _value(content: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at `at`, and where it ends."""
    kind = content[at : at + 2]
    if kind == b"N;":
        return None, at + 2
    if kind in (b"i:", b"b:", b"d:"):
        end = content.index(b";", at)
        number = content[at + 2 : end]
        return (float(number) if kind == b"d:" else bool(int(number)) if kind == b"b:" else int(number)), end + 1
    if kind == b"s:":
        begins, length = _length(content, at)
        if content[begins - 1 : begins] != b'"' or content[begins + length : begins + length + 2] != b'";':
            raise ValueError("a string of another length")
        return content[begins : begins + length].decode("utf-8", "replace"), begins + length + 2
    if kind == b"a:" and depth < _DEEPEST:
        return _array(content, at, depth)
    raise ValueError("not a plain value")


def _array(content: bytes, at: int, depth: int) -> tuple[dict[Any, Any], int]:
    at, length = _length(content, at)
    values: dict[Any, Any] = {}
    for _ in range(length):
        key, at = _value(content, at, depth + 1)
        if not isinstance(key, str | int):
            raise ValueError("no key")
        values[key], at = _value(content, at, depth + 1)
    if content[at : at + 1] != b"}":
        raise ValueError("an array of another length")
    return values, at + 1


def _length(content: bytes, at: int) -> tuple[int, int]:
    """Where the contents of `s:5:"` or `a:5:{` begin, and the number."""
    end = content.index(b":", at + 2)
    return end + 2, int(content[at + 2 : min(end, at + 12)])
