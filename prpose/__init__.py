"""prpose: 2D human keypoints in, many plausible 3D poses out (PRPose, arXiv 2405.02114).

>>> import prpose
>>> model = prpose.load("gaussian-wide")
>>> model
Model('gaussian-wide', lifter='gaussian_mixture', F=33, device='cpu')
"""

from prpose import metrics
from prpose.camera import Camera
from prpose.config import InferenceConfig
from prpose.io.export import read_prediction
from prpose.io.keypoints import read_keypoints, read_people
from prpose.keypoints import Keypoints
from prpose.layouts import LAYOUTS
from prpose.lifter import LIFTERS, build_lifter
from prpose.model import Model, load
from prpose.noise import VARIANCE_NETS, AdaptiveNoise, build_variance_net
from prpose.prediction import Prediction
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17, Skeleton
from prpose.stream import Stream
from prpose.weights import load_published

__version__ = "0.1.0"

__all__ = [
    "H36M_17", "LAYOUTS", "LIFTERS", "VARIANCE_NETS", "AdaptiveNoise", "Camera", "InferenceConfig", "Keypoints",
    "Model", "Prediction", "Sampler", "Skeleton", "Stream", "build_lifter", "build_variance_net", "load",
    "load_published", "metrics", "read_keypoints", "read_people", "read_prediction",
]  # fmt: skip
