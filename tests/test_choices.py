import pytest
import torch

from prpose import build_lifter, metrics
from prpose.data import load_clips
from prpose.evaluation.choices import OWN, VALUES, score_choices
from prpose.hub import find_model_folder
from prpose.noise import ConstantNoise
from prpose.postprocess import medoid
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17


@pytest.fixture(scope="module")
def clips():
    return load_clips("walkers", ".", "val", actions=("wave",), stride=2)[:2]


def test_every_choice_has_a_value_for_every_frame(clips):
    net = find_model_folder("mgcn-cmu17").sampler()
    scores = score_choices(net, clips, 5, 0, lambda fps: 0.0)
    assert len(scores) == 10
    for values in scores.values():
        assert set(values) == set(VALUES)
        assert values["P1"].shape == values["bone wobble"].shape == (sum(map(len, clips)),)
        assert values["acceleration error"].shape == (sum(len(clip) - 2 for clip in clips),)
    averages = {k: {n: float(v.mean()) for n, v in by.items()} for k, by in scores.items()}
    jitter = {name: values["acceleration error"] for name, values in averages.items()}
    assert jitter["mean, Gaussian 50 ms"] < 0.5 * jitter["mean"] < 0.5 * jitter["a hypothesis"]
    for name in (OWN, "mean"):
        assert jitter[f"{name}, Gaussian 50 ms"] < 0.5 * jitter[name]
        assert jitter[f"{name}, One-Euro"] < 0.8 * jitter[name]
    assert averages["mean"]["P1"] < averages["a hypothesis"]["P1"]


def test_without_noise_all_choices_are_the_lifters_own(clips):
    torch.manual_seed(0)
    net = Sampler(build_lifter("mgcn_lw").eval(), ConstantNoise(0.0))
    scores = score_choices(net, clips, 3, 0, lambda fps: 0.0)
    own = scores["the lifter's own"]["P1"]
    for name in (
        "a hypothesis",
        "mean",
        "medoid",
        "geometric_median",
        "reprojection-weighted mean",
    ):
        assert torch.allclose(scores[name]["P1"], own, atol=1e-5), name


def test_values_are_those_of_the_metrics(clips):
    torch.manual_seed(0)
    net = Sampler(build_lifter("mgcn_lw").eval(), ConstantNoise(0.02))
    scores = score_choices(net, clips[:1], 3, 7, lambda fps: 0.5)
    clip = clips[0]
    from prpose.camera import normalise
    from prpose.rng import mixed_seed

    x = torch.from_numpy(normalise(clip.keypoints_px, clip.camera.width, clip.camera.height))
    generator = torch.Generator().manual_seed(mixed_seed(7, 0))
    with torch.no_grad():
        poses = net.sample(x.float()[None], 3, generator, 0.5)[:, 0]
    expected = metrics.bone_asymmetry(medoid(poses), H36M_17.parents, H36M_17.mirror)
    assert torch.allclose(scores["medoid"]["left/right"], expected, atol=1e-6)


def test_mistakes_are_named(clips):
    net = Sampler(build_lifter("mgcn_lw").eval(), ConstantNoise(0.0))
    with pytest.raises(ValueError, match="expected S >= 2"):
        score_choices(net, clips, 1, 0, lambda fps: 0.0)
    still = clips[0].__class__(**{**vars(clips[0]), "fps": None})
    with pytest.raises(ValueError, match="a frame rate, and a camera with a focal length"):
        score_choices(net, [still], 2, 0, lambda fps: 0.0)
