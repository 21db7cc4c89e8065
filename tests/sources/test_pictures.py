"""Pictures made small for mail: every kind that sites use, upright, on white, and nothing hostile decoded."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageCms

from digest.errors import SourceError
from digest.mail.targets import HEIGHT, WIDTH, fitted
from digest.sources import pictures
from digest.sources.pictures import fetch, reduced
from tests.sources.web import Answer, Web

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def written(picture: Image.Image, kind: str, **more: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


def small(content: bytes) -> Image.Image:
    """What becomes of a file."""
    picture = Image.open(io.BytesIO(reduced(content, fitted)))
    picture.load()
    assert (picture.format, picture.mode, picture.info.get("progressive")) == ("JPEG", "RGB", 1)
    return picture


def halves(mode: str, left: Any, right: Any, size: tuple[int, int] = (400, 200)) -> Image.Image:
    """Two colours side by side."""
    picture = Image.new(mode, size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def looks(picture: Image.Image, *colours: tuple[int, int, int]) -> bool:
    """Whether its left and right are about these colours."""
    places = [(picture.width // 4, picture.height // 2), (picture.width * 3 // 4, picture.height // 2)]
    found = [picture.getpixel(place) for place in places]
    return all(
        abs(a - b) < 12 for one, other in zip(found, colours, strict=True) for a, b in zip(one, other, strict=True)
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(side: int) -> bytes:
    """A real PNG of that many pixels each way, a bit each: a hundred kilobytes that want to be gigabytes."""
    press = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    rows = b"".join(press.compress(row * 1000) for _ in range(side // 1000)) + press.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def noise(width: int, height: int) -> Image.Image:
    """What compresses badly, as photographs do."""
    return Image.effect_noise((width, height), 80).convert("RGB")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2144, 1072), (1072, 536)),
        ((1073, 1073), (1072, 1072)),
        ((600, 300), (600, 300)),  # never larger than it was
        ((1, 1), (1, 1)),
        ((100, 21_440), (10, 2144)),
        ((10_000, 1), (1072, 1)),
    ],
)
def test_it_fits_into_a_column_twice_as_fine(size, expected):
    assert small(written(Image.new("RGB", size, RED), "PNG")).size == expected == fitted(*size)
    assert (WIDTH, HEIGHT) == (1072, 2144)


@pytest.mark.parametrize(
    ("kind", "picture", "more", "colours"),
    [
        ("JPEG", halves("RGB", RED, BLUE), {"quality": 95}, (RED, BLUE)),
        ("JPEG", halves("L", 0, 255), {}, ((0, 0, 0), WHITE)),
        ("JPEG", halves("CMYK", (0, 255, 255, 0), (255, 255, 0, 0)), {"quality": 95}, (RED, BLUE)),
        ("PNG", halves("RGBA", (*RED, 255), (*BLUE, 0)), {}, (RED, WHITE)),
        ("PNG", halves("RGBA", (*RED, 128), (*BLUE, 255)), {}, ((255, 127, 127), BLUE)),
        ("PNG", halves("LA", (0, 255), (0, 0)), {}, ((0, 0, 0), WHITE)),
        ("PNG", halves("RGB", RED, BLUE), {"transparency": BLUE}, (RED, WHITE)),
        ("PNG", halves("1", 0, 1), {}, ((0, 0, 0), WHITE)),
        (
            "PNG",
            Image.frombytes("I;16", (400, 200), (b"\0\0" * 200 + b"\0\x80" * 200) * 200),
            {},
            ((0, 0, 0), (128, 128, 128)),
        ),
        ("GIF", halves("RGB", RED, BLUE).convert("P"), {}, (RED, BLUE)),
        ("GIF", halves("RGB", RED, BLUE).convert("P"), {"transparency": 0}, None),
        ("WEBP", halves("RGB", RED, BLUE), {"quality": 95}, (RED, BLUE)),
        ("WEBP", halves("RGBA", (*RED, 0), (*BLUE, 255)), {"lossless": True}, (WHITE, BLUE)),
        ("AVIF", halves("RGB", RED, BLUE), {"quality": 95}, (RED, BLUE)),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "mode", ""),
)
def test_every_kind_comes_out_in_its_colours_on_white(kind, picture, more, colours):
    found = small(written(picture, kind, **more))
    assert found.size == picture.size
    assert colours is None or looks(found, *colours)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_of_a_moving_picture_the_first_frame_is_shown(kind):
    frames = [Image.new("RGB", (40, 30), colour) for colour in (BLUE, RED, WHITE)]
    assert looks(small(written(frames[0], kind, save_all=True, append_images=frames[1:])), BLUE, BLUE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_it_stands_upright_as_the_camera_was_held(kind, orientation):
    upright = Image.new("RGB", (3000, 1500), WHITE)
    upright.paste(RED, (0, 0, 1500, 750))  # the upper left
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera held so would have stored
    stored = upright.transpose(Image.Transpose(turns[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = small(written(stored, kind, exif=exif.tobytes()))
    assert found.size == (1072, 536)
    corners = [found.getpixel((x, y)) for y in (100, 436) for x in (200, 872)]
    assert [corner[1] < 60 for corner in corners] == [True, False, False, False]


def test_nothing_of_the_camera_and_no_comment_goes_along():
    exif = Image.Exif()
    exif[0x010F] = "Camera of Anna Nowak"
    exif[0x8825] = {1: "N", 2: (52.0, 13.0, 47.0)}
    content = written(noise(300, 200), "JPEG", exif=exif.tobytes(), comment=b"taken in secret")
    assert b"Anna" in content and b"secret" in content
    kept = reduced(content, fitted)
    assert b"Anna" not in kept and b"Exif" not in kept and b"secret" not in kept


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_no_reason_to_show_nothing():
    content = written(halves("RGB", RED, BLUE), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\xff\xff\x01\x12")
    assert looks(small(content), RED, BLUE)


def test_a_short_colour_profile_goes_along_and_a_long_one_does_not():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert small(written(noise(50, 50), "JPEG", icc_profile=profile)).info["icc_profile"] == profile
    assert "icc_profile" not in small(written(noise(50, 50), "JPEG", icc_profile=profile + bytes(50_000))).info
    assert "icc_profile" not in small(written(Image.new("CMYK", (50, 50)), "JPEG", icc_profile=profile)).info


def test_five_megabytes_become_a_tenth():
    content = written(noise(4000, 3000), "JPEG", quality=85)
    assert len(content) > 5_000_000
    kept = reduced(content, fitted)
    assert len(kept) < 600_000
    assert Image.open(io.BytesIO(kept)).size == (1072, 804)


HOSTILE = {
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><rect width="9" height="9"/></svg>',
    "a page": b"<!DOCTYPE html><html><body>Please log in</body></html>",
    "nothing": b"",
    "a bomb": png_bomb(30_000),
    "half a JPEG": written(noise(500, 500), "JPEG")[:20_000],
    "half a PNG": written(noise(500, 500), "PNG")[:20_000],
    "half a WebP": written(noise(500, 500), "WEBP")[:5000],
    "half an AVIF": written(noise(500, 500), "AVIF")[:5000],
    "a PNG of no size": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IEND", b""),
    "a kind for printers": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "a TIFF": written(Image.new("RGB", (9, 9)), "TIFF"),
    "a Windows icon": written(Image.new("RGB", (16, 16)), "ICO"),
    "a JPEG's first bytes": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "a GIF of one enormous frame": b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2L\1\0;",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_or_a_trap_is_refused(name):
    with pytest.raises(SourceError, match="cannot be shown"):
        reduced(HOSTILE[name], fitted)


def test_a_bomb_is_measured_before_it_goes_off():
    with pytest.raises(SourceError) as caught:
        reduced(png_bomb(8000), fitted)  # 64 million pixels: below what Pillow itself would warn of
    assert "8000 x 8000" in caught.value.reason


# --- fetching ------------------------------------------------------------------------------------


def test_it_is_fetched_with_one_try_and_asks_for_pictures(web: Web):
    url = web.says("/a.jpg", b"bytes")
    assert asyncio.run(fetch(url, homes=[web.url])) == b"bytes"
    assert web.asked[0].headers["accept"] == "image/*"
    with pytest.raises(SourceError, match="503"):
        asyncio.run(fetch(web.says("/b.jpg", Answer(status=503)), homes=[web.url]))
    assert len(web.asked) == 2


def test_it_is_fetched_within_limits(web: Web, monkeypatch):
    with pytest.raises(SourceError, match="20,000,000 bytes"):
        asyncio.run(fetch(web.says("/huge.jpg", bytes(20_000_001)), homes=[web.url]))
    monkeypatch.setattr(pictures, "PATIENCE", 0.2)
    with pytest.raises(SourceError, match="no full answer"):
        asyncio.run(fetch(web.says("/slow.jpg", Answer(hangs=True)), homes=[web.url]))


@pytest.mark.parametrize(
    "place", ["http://localhost:{port}/a.jpg", "http://[::1]:{port}/a.jpg", "http://10.0.0.1/a.jpg"]
)
def test_nobody_leads_us_into_the_machine_room(web: Web, place: str):
    there = place.format(port=web.url.rpartition(":")[2])
    redirect = web.says("/a.jpg", Answer(status=302, headers={"Location": there}))
    for url in (there, redirect):
        with pytest.raises(SourceError, match="private network"):
            asyncio.run(fetch(url, homes=[redirect]))
    assert [asked.path for asked in web.asked] == ["/a.jpg"]
