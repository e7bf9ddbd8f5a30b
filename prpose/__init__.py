"""prpose: one 2D human pose in, many plausible 3D poses out (PRPose, arXiv 2405.02114)."""

from prpose import metrics
from prpose.lifter import LIFTERS, build_lifter
from prpose.noise import VARIANCE_NETS, AdaptiveNoise, build_variance_net
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17, Skeleton
from prpose.weights import load_published

__version__ = "0.1.0"

__all__ = [
    "H36M_17",
    "LIFTERS",
    "VARIANCE_NETS",
    "AdaptiveNoise",
    "Sampler",
    "Skeleton",
    "build_lifter",
    "build_variance_net",
    "load_published",
    "metrics",
]
