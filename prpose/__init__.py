"""prpose: 2D human keypoints in, many plausible 3D poses out (PRPose, arXiv 2405.02114).

>>> import prpose
>>> model = prpose.load("gaussian-wide")
>>> model
Model('gaussian-wide', lifter='gaussian_mixture', F=33, device='cpu')
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prpose import metrics
    from prpose.camera import Camera
    from prpose.config import InferenceConfig
    from prpose.io.export import read_prediction
    from prpose.io.keypoints import read_keypoints, read_people
    from prpose.keypoints import Keypoints
    from prpose.layouts import LAYOUTS
    from prpose.lifter import LIFTERS, build_lifter
    from prpose.model import Model, load
    from prpose.nets.folded import for_inference
    from prpose.noise import VARIANCE_NETS, AdaptiveNoise, build_variance_net
    from prpose.prediction import Prediction
    from prpose.sampler import Sampler
    from prpose.skeleton import H36M_17, Skeleton
    from prpose.stream import Stream
    from prpose.weights import load_published

__version__ = "0.1.0"

__all__ = [
    "H36M_17", "LAYOUTS", "LIFTERS", "VARIANCE_NETS", "AdaptiveNoise", "Camera", "InferenceConfig", "Keypoints",
    "Model", "Prediction", "Sampler", "Skeleton", "Stream", "build_lifter", "build_variance_net", "for_inference",
    "load", "load_published", "metrics", "read_keypoints", "read_people", "read_prediction",
]  # fmt: skip

_HOMES = {
    "camera": ("Camera",), "config": ("InferenceConfig",), "io.export": ("read_prediction",),
    "io.keypoints": ("read_keypoints", "read_people"), "keypoints": ("Keypoints",), "layouts": ("LAYOUTS",),
    "lifter": ("LIFTERS", "build_lifter"), "model": ("Model", "load"), "nets.folded": ("for_inference",),
    "noise": ("VARIANCE_NETS", "AdaptiveNoise", "build_variance_net"), "prediction": ("Prediction",),
    "sampler": ("Sampler",), "skeleton": ("H36M_17", "Skeleton"), "stream": ("Stream",), "weights": ("load_published",),
}  # fmt: skip
"""Modules and their public names, which are imported when they are first used: PyTorch takes more than a second."""


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"prpose.{home}"), name)
            globals()[name] = value
            return value
    try:
        return importlib.import_module(f"prpose.{name}")  # a module, such as prpose.metrics
    except ModuleNotFoundError as error:
        if error.name != f"prpose.{name}":
            raise
        raise AttributeError(f"module 'prpose' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
