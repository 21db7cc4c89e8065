"""Pictures of articles, fetched and made small for mail: any kind in that sites use, one kind of JPEG out.

What comes in may be hostile. It is fetched with the guard of all sources, opened by a few decoders only, and measured
before it is decoded.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import timedelta

from PIL import Image

from digest.errors import SourceError
from digest.sources.fetch import Fetcher

PATIENCE = 10.0  # seconds for one picture
MAX_BYTES = 20_000_000
_MAX_PIXELS = 30_000_000  # a good camera's; decoded, 120 MB, and as much again where it is transparent
_IN_PARTS = ("JPEG", "MPO")  # of these there may be twice as many, as not all are decoded
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")  # no SVG: it is a document, and mailboxes do not show it
_QUALITY = 82
_LONGEST_PROFILE = 4096  # bytes of a colour profile we pass on; those of cameras and screens are shorter
_ORIENTATION = 0x0112  # EXIF's tag; the values say how the camera was held
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = tuple(_TURNS[each] for each in (5, 6, 7, 8))  # its width is its height

Fit = Callable[[int, int], tuple[int, int]]  # the size of a picture to the size it should have


async def fetch(url: str, homes: Sequence[str] = (), private_hosts: Sequence[str] = ()) -> bytes:
    """A picture's bytes, by one try. `homes` are addresses we may read in a private network too. Raises SourceError."""
    fetcher = Fetcher(
        "pictures",
        timedelta(seconds=PATIENCE),
        MAX_BYTES,
        headers={"Accept": "image/*"},
        homes=tuple(homes),
        private_hosts=tuple(private_hosts),
        tries=1,
    )
    async with fetcher:
        return (await fetcher.get(url)).content or b""


def reduced(content: bytes, fit: Fit) -> bytes:
    """The picture as a progressive JPEG of the size that `fit` says: upright, on white, its first frame, without EXIF.

    Raises SourceError when it is none, or too large to be decoded. Takes up to a second: call it in a thread.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MAX_PIXELS * (2 if picture.format in _IN_PARTS else 1):
                raise ValueError(f"it has {picture.width} x {picture.height} pixels")
            return _written(picture, fit)
    except Exception as error:  # decoders raise whatever they like
        raise SourceError("pictures", "the picture", f"it cannot be shown: {error or type(error).__name__}") from None


def _written(picture: Image.Image, fit: Fit) -> bytes:
    profile = picture.info.get("icc_profile") or b"" if picture.mode in ("RGB", "RGBA") else b""
    turn = _turn(picture)
    size = fit(*picture.size[::-1])[::-1] if turn in _LYING else fit(*picture.size)
    picture.draft("RGB", (2 * size[0], 2 * size[1]))  # a JPEG is decoded at a part of its size: less time and memory
    small = _on_white(_plain(picture).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
    upright = small if turn is None else small.transpose(turn)
    upright.info.clear()  # comments, and what else the picture was given on its way
    written = io.BytesIO()
    profile = profile if len(profile) <= _LONGEST_PROFILE else b""
    upright.save(written, "JPEG", quality=_QUALITY, progressive=True, optimize=True, icc_profile=profile)
    return written.getvalue()


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """What sets it upright. Broken EXIF is common, and no reason to show nothing."""
    try:
        return _TURNS.get(int(picture.getexif().get(_ORIENTATION, 1)))
    except Exception:
        return None


def _plain(picture: Image.Image) -> Image.Image:
    """In RGB, or RGBA if anything of it is transparent. The same picture where that is so: a copy may be large."""
    if picture.mode.startswith("I"):  # 16 bits a pixel; converting would cut them off above 255
        return picture.point(lambda value: value / 256).convert("L").convert("RGB")
    wanted = "RGBA" if picture.has_transparency_data else "RGB"
    return picture if picture.mode == wanted else picture.convert(wanted)


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
