"""A detector by its name: MediaPipe, or a class of the user's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from prpose.imports import is_path, named_attribute
from prpose.io.detector import Detector
from prpose.io.mediapipe_pose import MediaPipePose
from prpose.io.model_file import find


@contextmanager
def detector_of(name: str, model: Path | None = None, people: int = 1) -> Iterator[Detector]:
    """The detector, closed at the end if it knows how to (``close()``).

    Args:
        name: ``mediapipe``, or ``package.module:Class``, which is made without arguments, or with
            the path of the model if there is one.
        model: file that it needs; MediaPipe's is fetched if there is none.
        people: at most, in one picture; of MediaPipe.

    Raises:
        ValueError: for an unknown name, a class that is no detector, and as of
            :class:`MediaPipePose`.
    """
    if is_path(name):
        detector = _own(name, model)
    elif name == "mediapipe":
        detector = MediaPipePose(find(model), people)
    else:
        raise ValueError(f"expected a detector, mediapipe or package.module:Class, got {name!r}")
    try:
        yield detector
    finally:
        close: Callable[[], None] | None = getattr(detector, "close", None)
        if close is not None:
            close()


def _own(name: str, model: Path | None) -> Detector:
    made = named_attribute(name)
    if not callable(made):
        raise ValueError(f"expected {name} to make a detector, got {type(made).__name__}")
    try:
        detector = made() if model is None else made(model)
    except Exception as error:  # the class is the user's: anything may happen
        raise ValueError(f"{name} cannot be made: {type(error).__name__}: {error}") from None
    if not callable(detector) or not isinstance(getattr(detector, "layout", None), str):
        raise ValueError(
            f"expected {name} to be a detector, with a layout and a call (image, time_s), got {type(detector).__name__}"
        )
    return cast(Detector, detector)
