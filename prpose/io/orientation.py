"""Which way up a picture is: what cameras write beside it, and pixels turned accordingly."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array

ORIENTATION = 0x0112
"""Exif's tag (TIFF 6.0, section 8): 1 is upright, 2 to 8 the other turns and mirrorings."""

TURNS = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}


def upright(frame: Any, path: Path, aspect: Fraction | None = None) -> Array:
    """PyAV's frame of a file as (H, W, 3) uint8 RGB, as it is meant to be seen.

    Args:
        frame: of PyAV.
        path: of its file.
        aspect: width of a pixel over its height; others than square ones are made square.

    JPEGs say in Exif which way up they are, mirrored ones, too; of anything else it is the frame's
    rotation, which knows of no mirrors.
    """
    wide = round(frame.width * aspect) if aspect else frame.width
    pixels = np.asarray(frame.to_ndarray(format="rgb24", width=wide, height=frame.height))
    if path.suffix.lower() in (".jpg", ".jpeg"):
        turned = TURNS[orientation(path)](pixels)
    else:
        turned = np.rot90(pixels, round(frame.rotation / 90))
    return np.ascontiguousarray(turned)


def orientation(path: Path) -> int:
    """A JPEG's orientation, 1 to 8; 1 where it says none."""
    with path.open("rb") as file:
        if file.read(2) != b"\xff\xd8":
            return 1
        while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != 0xDA:
            size = int.from_bytes(head[2:], "big") - 2
            content = file.read(max(size, 0))
            if head[1] == 0xE1 and content.startswith(b"Exif\0\0"):
                try:
                    return _of_exif(content[6:])
                except (struct.error, ValueError):
                    return 1
    return 1


def _of_exif(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        raise ValueError("neither of the two orders of bytes")
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for i in range(count):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * i)
        if tag == ORIENTATION:
            return value if value in TURNS else 1
    return 1
