"""The file that MediaPipe Pose needs: the user's, or fetched once and kept."""

import os
import shutil
import zipfile
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from prpose.atomic import replacing

URL = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/"
    "float16/latest/pose_landmarker_full.task"
)
"""Google's, of MediaPipe's documentation. It has no published checksum: what comes is held against
the announced length, and must be a model of two parts."""

PARTS = ("pose_detector.tflite", "pose_landmarks_detector.tflite")
LARGEST = 200_000_000
TIMEOUT_S = 30


def cached(url: str = URL) -> Path:
    """Where a fetched model is kept: ``$XDG_CACHE_HOME/prpose``, or ``~/.cache/prpose``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "prpose" / url.rsplit("/", 1)[-1]


def find(given: Path | None, url: str = URL) -> Path:
    """The model: that of the user, the one that was fetched before, or a new copy of it.

    Raises:
        ValueError: naming the file, if it is none; saying what to get from where, if it cannot be
            fetched.
    """
    if given is not None:
        if not given.is_file():
            raise ValueError(f"{given}: no such file; expected a detector's model, as from {url}")
        return checked(given)
    path = cached(url)
    return checked(path) if path.is_file() else fetch(path, url)


def fetch(path: Path, url: str = URL) -> Path:
    """The model, fetched to ``path``, whole or not at all.

    Raises:
        ValueError: saying what to get from where, if that fails.
    """
    try:
        with replacing(path) as temporary:
            with urlopen(url, timeout=TIMEOUT_S) as answer, temporary.open("wb") as file:
                announced = int(answer.headers.get("Content-Length") or -1)
                if announced > LARGEST:
                    raise ValueError(f"expected a model of some 10 MB, got {announced} bytes")
                shutil.copyfileobj(answer, file)
            size = temporary.stat().st_size
            if announced not in (-1, size):
                raise ValueError(f"expected {announced} bytes, got {size}")
            checked(temporary, "what came")
    except (OSError, HTTPException, ValueError) as error:
        said = str(error)
        if isinstance(error, HTTPError):
            said = f"HTTP {error.code}"
            error.close()
        raise ValueError(
            f"MediaPipe's model cannot be fetched ({said.removeprefix('<').removesuffix('>')}): "
            f"get {url} where there is a connection, and name the file with --detector-model"
        ) from None
    return path


def checked(path: Path, name: str = "") -> Path:
    """The path, if a pose landmarker's model is there.

    Raises:
        ValueError: if it is something else.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            missing = set(PARTS) - set(bundle.namelist())
            damaged = None if missing else bundle.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        raise ValueError(
            f"{name or path}: expected a model of MediaPipe's pose landmarker (.task), "
            "got something else, or part of one"
        ) from None
    if missing or damaged:
        what = f"without {min(missing)}" if missing else f"with a damaged {damaged}"
        raise ValueError(f"{name or path}: expected a model of MediaPipe's pose landmarker, {what}")
    return path
