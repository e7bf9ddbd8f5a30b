"""Focal lengths that photos and videos state: Exif of photos, QuickTime metadata of phones' videos."""

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import atan, degrees, hypot
from pathlib import Path
from typing import Any

FILM_MM = 43.27  # diagonal of 35 mm film; focal lengths "in 35 mm film" give the same diagonal field of view (CIPA)
NARROWEST_DEG, WIDEST_DEG = 10.0, 150.0  # diagonal fields of view; others are taken for errors of the file
UNITS_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # of Exif's FocalPlaneResolutionUnit
EXIF, IN_35_MM, LENGTH_MM, PER_UNIT, UNIT, SIZE = 0x8769, 0xA405, 0x920A, 0xA20E, 0xA210, (0xA002, 0xA003)
LARGEST_BYTES = 2**26  # of a video's header


def photo_focal_px(image: Any) -> float | None:
    """The focal length of a Pillow image by its Exif, pixels; None if unknown, absurd, or of another size (a crop)."""
    known: dict[int, float] = {}
    with suppress(Exception):  # damaged Exif can fail in many ways
        for tag, value in image.getexif().get_ifd(EXIF).items():
            with suppress(TypeError, ValueError, ZeroDivisionError):
                known[tag] = float(value)
    size = sorted(known.get(tag, 0) for tag in SIZE)
    if size[0] > 0 and size != sorted(image.size):
        return None
    diagonal = hypot(*image.size)
    if known.get(IN_35_MM, 0) > 0:
        return _sane(known[IN_35_MM] * diagonal / FILM_MM, diagonal)
    return _sane(
        known.get(LENGTH_MM, 0) * known.get(PER_UNIT, 0) / UNITS_MM.get(int(known.get(UNIT, 2)), 25.4), diagonal
    )


def video_focal_px(path: Path, tags: Mapping[str, str], width: float, height: float) -> float | None:
    """The focal length of a video of that size, pixels, by its tags or its QuickTime metadata; None as for photos."""
    diagonal = hypot(width, height)
    with suppress(Exception):  # a damaged header can fail in many ways
        for name, value in {**_quicktime_tags(path), **tags}.items():
            if "focal" in name.lower() and "35mm" in name.lower():
                return _sane(float(value) * diagonal / FILM_MM, diagonal)
    return None


def _sane(focal_px: float, diagonal: float) -> float | None:
    field = degrees(2 * atan(diagonal / 2 / focal_px)) if focal_px > 0 else 0.0
    return focal_px if NARROWEST_DEG <= field <= WIDEST_DEG else None


def _quicktime_tags(path: Path) -> dict[str, Any]:
    """Metadata of an MP4 or QuickTime file and of its tracks, of which FFmpeg does not read those of tracks."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            size = struct.unpack(">Q", file.read(8))[0] - 16 if size == 1 else size - 8
            if kind == b"moov":
                header = list(_boxes(file.read(min(size, LARGEST_BYTES))))
                tracks = [box for kind, track in header if kind == b"trak" for box in _boxes(track)]
                found = [_tags_of(data) for kind, data in (*header, *tracks) if kind == b"meta"]
                return {name: value for tags in found for name, value in tags.items()}
            if size < 0:  # the box extends to the end of the file
                break
            file.seek(size, 1)
    return {}


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes of which ISO and QuickTime files consist."""
    start = 0
    while start + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8:
            return
        yield kind, data[start + 8 : start + size]
        start += size


def _tags_of(meta: bytes) -> dict[str, Any]:
    """Names and values of a box of metadata: a list of names, and values that refer to it by number, from 1."""
    inside = dict(_boxes(meta if meta[4:8] == b"hdlr" else meta[4:]))  # ISO's has a version, QuickTime's none
    names, found = [name.decode() for _, name in _boxes(inside.get(b"keys", b"")[8:])], dict[str, Any]()
    for number, item in _boxes(inside.get(b"ilst", b"")):
        index, value = int.from_bytes(number, "big") - 1, dict(_boxes(item)).get(b"data", b"")
        kind, content = int.from_bytes(value[:4], "big"), value[8:]
        if index < len(names) and kind in (1, 23, 24):  # text, or floating-point numbers of two sizes
            found[names[index]] = (
                content.decode() if kind == 1 else struct.unpack(">f" if kind == 23 else ">d", content)[0]
            )
        elif index < len(names):
            found[names[index]] = int.from_bytes(content, "big")
    return found
