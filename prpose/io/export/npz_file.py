"""npz: arrays by name, and an ``info`` text with the rest as JSON."""

import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from prpose.camera import Array
from prpose.io.export.schema import arrays, header, poses_of
from prpose.prediction import Prediction
from prpose.skeleton import H36M_17
from prpose.unpickle import entry_names, read_npz


def write(poses: Prediction, stream: BinaryIO, name: str) -> None:
    """Plain arrays, no pickles; not compressed, as float noise hardly shrinks."""
    content: dict[str, Any] = {
        **arrays(poses),
        "joints": np.array(H36M_17.names),
        "parents": np.array(H36M_17.parents),
        **({} if poses.fps is None else {"fps": np.array(poses.fps)}),
        "info": np.array(json.dumps(header(poses), indent=1)),
    }
    np.savez(stream, **content)


def read(path: Path) -> Prediction:
    """What :func:`write` wrote.

    Raises:
        ValueError: if the file is damaged or of something else.
    """
    names = entry_names(path)
    if "info" not in names:
        raise ValueError("expected an info text in the npz file, got none")

    def array(name: str) -> Array | None:
        return np.asarray(read_npz(path, name)) if name in names else None

    try:
        head = json.loads(str(read_npz(path, "info")))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"expected JSON in the info text, got: {error}") from None
    return poses_of(head, array)
