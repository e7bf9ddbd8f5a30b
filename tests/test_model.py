"""The facade: what users call, what it accepts, and the errors it raises."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

import prpose
from prpose.config import InferenceConfig, PointEstimate, config_from
from prpose.data import load_clips
from prpose.keypoints import Keypoints
from prpose.model import Model
from prpose.noise import ConstantNoise
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17, mirror_pose
from tests.prediction_files import model_of

SMALL = {"channels": 8, "filter_widths": (3, 3)}
SIZE = (1000, 1002)
DESCRIBED = {"layout": "h36m17", "image_size": SIZE}


@pytest.fixture(scope="module")
def clip():
    return load_clips("walkers", ".", "test", actions=("wave",))[0]


@pytest.mark.parametrize("name", ["mgcn-cmu17", "temporal-cmu17", "graphmlp-cmu17"])
def test_bundled_models_predict_save_and_stream(name, clip, tmp_path):
    model = prpose.load(name)
    prediction = model(clip.keypoints_px[:3], num_samples=3, fps=60, **DESCRIBED)
    prediction.save(tmp_path / "a.json")
    found = prpose.read_prediction(tmp_path / "a.json")
    assert np.array_equal(found.samples, prediction.samples)
    assert name in repr(model)
    assert name in repr(found)
    step = model.stream(SIZE, "h36m17", num_samples=3, fps=60)(clip.keypoints_px[0])
    assert step.samples.shape == (3, 1, 17, 3)


def test_arrays_lists_and_keypoints_give_the_same_prediction(clip):
    model, xy = model_of(), clip.keypoints_px[:4]
    expected = model(Keypoints(xy, SIZE, "h36m17", fps=60), 3)
    for given, size in ((xy, SIZE), (xy.tolist(), list(SIZE)), (xy.astype(float), np.array(SIZE))):
        found = model(given, 3, layout="h36m17", image_size=size, fps=60)
        assert np.allclose(found.samples, expected.samples, atol=1e-6)
    single = model(xy[0].tolist(), 3, confidence=[1.0] * 17, fps=60, **DESCRIBED)
    assert np.allclose(single.samples, model(xy[:1], 3, **DESCRIBED).samples, atol=1e-6)
    wide = model(xy, 3, intrinsics=[900, 900, 500, 501], config=InferenceConfig(fov_deg=50), **DESCRIBED)
    assert wide.camera.focal_px == (900, 900)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": None}, "expected layout, the order of the 17 joints: (h36m17, coco17|coco17, h36m17); got none"),
        ({"layout": "coco"}, r"unknown layout 'coco'; did you mean coco17 or"),
        ({"image_size": None}, "expected image_size, the width and height of the image in pixels, got none"),
        ({"image_size": "1000x1002"}, "expected image_size as 2 numbers, got '1000x1002'"),
        ({"num_samples": 2.5}, "expected num_samples as an integer from 2 to 2,147,483,647, got 2.5"),
        ({"num_samples": None}, "expected num_samples as an integer from 2 to 2,147,483,647, got None"),
        ({"seed": -1}, "expected seed as an integer from 0 to 9,223,372,036,854,775,807, got -1"),
        ({"fps": 0}, "expected fps > 0, got 0"),
        ({"confidence": np.ones(17)}, r"expected confidence of shape \(3, 17\)"),
        ({"intrinsics": (1, 2, 3)}, "expected intrinsics as 4 numbers, got"),
        ({"intrinsics": (0, 1000, 500, 500)}, "fx and fy > 0"),
        (
            {"intrinsics": (4580, 4580, 2048, 2060)},
            "of 1000 x 1002 pixels, got .* cx 2048, cy 2060 .*another resolution",
        ),
        ({"intrinsics": (1145, 1145, 500, 990)}, "expected the intrinsics of an image of 1000 x 1002 pixels"),
        ({"intrinsics": (1.1, 1.1, 500, 500)}, r"180 x 180 degrees"),
        ({"intrinsics": (1145, 200, 500, 500)}, "expected the intrinsics of an image"),
        ({"keypoints": [[[1, 2], [3]]]}, "inhomogeneous shape"),
        ({"keypoints": np.zeros(17)}, "expected keypoints of shape"),
        ({"keypoints": np.full((3, 17, 2), "a")}, "expected keypoints of shape .*, got <U1"),
        ({"keypoints": np.full((3, 17, 2), np.inf)}, "expected coordinates"),
    ],
)
def test_invalid_arguments_are_named(changes, message, clip):
    arguments = {"keypoints": clip.keypoints_px[:3], "num_samples": 2} | DESCRIBED | changes
    with pytest.raises(ValueError, match=message) as caught:
        model_of()(**arguments)
    assert "\n" not in str(caught.value)


def test_invalid_arguments_of_keypoints_and_streams_are_named(clip):
    with pytest.raises(ValueError, match="expected layout, fps with an array only; Keypoints have their own"):
        model_of()(Keypoints(clip.keypoints_px[:2], SIZE, "h36m17"), 2, layout="h36m17", fps=3)
    for changes, message in (({"num_samples": 1}, "got 1"), ({"layout": "coco"}, "did you mean coco17")):
        with pytest.raises(ValueError, match=message):
            model_of().stream(**DESCRIBED | changes)


@pytest.mark.parametrize(("name", "kw"), [("mgcn_lw", {}), ("temporal", SMALL), ("temporal", SMALL | {"causal": True})])
def test_prediction_does_not_depend_on_the_size_of_pieces(name, kw, clip, monkeypatch):
    model, xy = model_of(name, **kw), clip.keypoints_px[:70]
    a = model(xy, 4, 1, fps=60, **DESCRIBED)
    monkeypatch.setattr("prpose.model.FRAMES_AT_ONCE", 7)
    b = model(xy, 4, 1, fps=60, **DESCRIBED)
    for field in ("samples", "pose", "deterministic", "covariance", "root"):
        assert np.allclose(getattr(a, field), getattr(b, field), atol=1e-4), field
    assert a.samples.shape == (4, 70, 17, 3)


def test_root_is_the_true_position_with_true_intrinsics_and_poses(clip):
    true = torch.from_numpy(clip.poses_cam - clip.poses_cam[:, :1])[:40]

    class Oracle(torch.nn.Module):
        def forward(self, keypoints):
            half = keypoints.shape[0] // 2
            poses = true.expand(half, *true.shape).clone()
            return torch.cat([poses, mirror_pose(poses, H36M_17.mirror)])

    model = Model(Sampler(Oracle(), ConstantNoise(0.0)))
    intrinsics = (*clip.camera.focal_px, *clip.camera.center_px)
    prediction = model(clip.keypoints_px[:40], 2, fps=60, intrinsics=intrinsics, **DESCRIBED)
    offset = np.linalg.norm(prediction.root - clip.poses_cam[:40, 0], axis=-1)
    assert offset.max() < 0.05 * clip.poses_cam[:40, 0, 2].mean()
    deviation = np.sqrt(prediction.root_covariance[:, 2, 2])
    assert (offset < 5 * deviation + 0.05).all()


def test_point_estimates_and_smoothing(clip):
    model, xy, found = model_of(), clip.keypoints_px[:20], {}
    for method in get_args(PointEstimate):
        prediction = model(xy, 6, fps=60, config=InferenceConfig(point_estimate=method, smooth="none"), **DESCRIBED)
        assert prediction.point_estimate == method
        found[method] = prediction.pose
    assert np.allclose(found["mean"], prediction.samples.mean(0), atol=1e-5)
    assert np.array_equal(found["deterministic"], prediction.deterministic)
    assert not np.allclose(found["medoid"], found["mean"])
    for method, label in (("gaussian", "gaussian"), ("auto", "rts")):
        config = InferenceConfig(smooth=method)
        smooth = model(xy, 6, fps=60, config=config, **DESCRIBED)
        assert smooth.point_estimate == f"deterministic, {label}"
        jitter = [np.abs(np.diff(pose, 2, axis=0)).mean() for pose in (smooth.pose, found["deterministic"])]
        assert jitter[0] < (0.5 if method == "gaussian" else 1) * jitter[1]
    assert model(xy, 6, config=config, **DESCRIBED).point_estimate == "deterministic"  # no frame rate, no smoothing
    config = InferenceConfig(smooth="gaussian")
    with pytest.raises(ValueError, match="expected fps, the frame rate, to smooth by gaussian, got none"):
        model(xy, 6, config=config, **DESCRIBED)


def test_save_samples_limits_the_samples_and_not_the_covariance(clip):
    model, xy = model_of(), clip.keypoints_px[:5]
    whole, few, none = (model(xy, 6, fps=60, config=InferenceConfig(save_samples=K), **DESCRIBED) for K in (None, 2, 0))
    assert np.array_equal(few.samples, whole.samples[:2])
    assert none.samples is None
    assert np.array_equal(none.covariance, whole.covariance)


def test_low_confidence_and_interpolated_keypoints_are_flagged(clip):
    confidence = np.ones((2, 17), np.float32)
    confidence[:, 13] = 0.1
    flags = model_of()(clip.keypoints_px[:2], 2, fps=60, confidence=confidence, **DESCRIBED).flags
    assert (flags == (confidence < 0.3)).all()
    xy = clip.keypoints_px[:9].copy()
    xy[4, 13] = np.nan
    with pytest.warns(UserWarning, match="left_wrist in 1 frame") as caught:
        prediction = model_of()(xy, 2, **DESCRIBED)
    assert caught[0].filename == __file__
    assert prediction.flags[4, 13] == 2
    assert prediction.flags.sum() == 2
    assert [message for message in prediction.warnings if "left_wrist" in message]


@pytest.mark.parametrize(("name", "kw"), [("mgcn_lw", {}), ("temporal", SMALL | {"causal": True})])
def test_stream_matches_the_whole_clip(name, kw, clip):
    model, xy = model_of(name, **kw), clip.keypoints_px[:12]
    confidence = np.random.default_rng(0).uniform(0.2, 1, xy.shape[:2])
    whole = model(xy, 3, 5, fps=60, confidence=confidence, **DESCRIBED)
    stream = model.stream(SIZE, "h36m17", num_samples=3, seed=5, fps=60)
    steps = [stream(frame, scores) for frame, scores in zip(xy.tolist(), confidence, strict=True)]
    assert np.allclose(np.concatenate([step.deterministic for step in steps]), whole.deterministic, atol=1e-5)
    assert all(step.samples.shape == (3, 1, 17, 3) for step in steps)
    if not kw:
        assert np.allclose(np.concatenate([step.samples for step in steps], axis=1), whole.samples, atol=1e-5)


def test_a_stream_of_another_rate_gets_the_frames_nearest_in_time(clip):
    """Of a network of every fourth frame of 60 a second, every second frame of a stream of 30, exactly."""
    model = model_of("gaussian_gcn", hidden=8, blocks=1, frames=5, step=4)

    def lifted(fps, trained_fps):
        stream = replace(model.stream(SIZE, "h36m17", num_samples=3, fps=fps), card={"fps": trained_fps})
        return np.concatenate([stream(xy).deterministic for xy in clip.keypoints_px[: 48 : 60 // fps]])

    assert np.allclose(lifted(60, 60.0)[::2], lifted(30, 60.0), atol=1e-6)
    assert np.allclose(lifted(60, 60.0), lifted(60, None), atol=1e-6)
    assert np.allclose(lifted(60, 0.01), lifted(60, 6.0), atol=1e-6), "bounded"
    assert np.abs(lifted(30, None) - lifted(30, 60.0)).max() > 1e-4


def test_implausible_keypoints_end_a_stream_only_in_its_first_frame(clip):
    stream = model_of().stream(SIZE, "h36m17", num_samples=3, fps=60)
    upright, outside = clip.keypoints_px[0], clip.keypoints_px[0] + 2000
    for _ in range(2):
        with pytest.raises(ValueError, match="expected joints within the image"):
            stream(outside)
    assert not stream(upright).warnings
    assert "lie outside the image" in stream(outside).warnings[0]
    allowed = model_of().stream(SIZE, "h36m17", 3, config=InferenceConfig(allow_implausible=True))
    assert allowed(outside).warnings


def test_stream_ignores_confidences_once_one_is_outside_0_to_1(clip):
    model, xy = model_of(), clip.keypoints_px[:2]
    plain, other = (model.stream(SIZE, "h36m17", num_samples=3, fps=60) for _ in range(2))
    for frame, value in zip(xy, (5.0, 0.5), strict=True):
        assert np.array_equal(other(frame, np.full(17, value)).samples, plain(frame).samples)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"point_estimate": "mena"}, "'mena'"),
        ({"smooth": "one-euro"}, "'one-euro'"),
        ({"max_gapp": 3}, "unknown field of InferenceConfig 'max_gapp'; did you mean max_gap"),
        ({"max_gap": "3"}, "InferenceConfig: Expected `int`, got `str`"),
        ({"max_gap": -1}, "expected max_gap >= 0, got -1"),
        ({"jobs": 0}, "expected jobs >= 1, got 0"),
        ({"fov_deg": 200}, "expected fov_deg from 1 to 170 degrees"),
        ({"fov_deg": 50, "intrinsics": [1, 1, 0, 0]}, "expected fov_deg or intrinsics, got both"),
        ({"intrinsics": [1, 1, 0]}, "Expected `array` of length 4"),
        ({"confidence_noise": float("nan")}, "expected confidence_noise >= 0"),
        ({"noise_time_constant_s": 0}, "time_constant_s"),
        ({"max_seconds": 0}, "expected max_seconds > 0"),
        ({"level": "flat"}, "Invalid enum value 'flat'"),
        ({"level": [100, 0]}, "expected level as pitch and roll"),
    ],
)
def test_invalid_settings_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        config_from(InferenceConfig, values)


def test_settings_of_a_file_are_converted():
    values = {"max_gap": 3, "intrinsics": [900, 900, 500, 500], "detector_model": "pose.task", "smooth": "gaussian"}
    config = config_from(InferenceConfig, values)
    assert config.intrinsics == (900.0, 900.0, 500.0, 500.0)
    assert config.detector_model.name == "pose.task"
    assert replace(config, max_gap=5, intrinsics=None, detector_model=None, smooth="auto") == InferenceConfig()


def test_confidences_that_are_not_used_are_stated_for_every_model():
    config = InferenceConfig()
    for trained in (False, True):
        (first, *_) = config.assumptions(np.array([[0.5, 2.0]]), trained)
        assert first == "confidences range from 0.50 to 2.00, not from 0 to 1: not used for the noise"
    assert "low confidences do not widen" in config.assumptions(np.array([[0.1, 0.9]]), True)[0]
    assert len(config.assumptions(np.array([[0.5, 0.9]]), True)) == 1
