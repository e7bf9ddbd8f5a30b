"""Numbers: types of arrays, image sizes, one frame, long clips, many samples, numbers of threads."""

import tracemalloc

import numpy as np
import pytest
import torch

import prpose
from prpose import atomic, model, swaps
from prpose.data import load_clips
from prpose.io.export import save_prediction
from prpose.nets.gaussian import GaussianMixture
from prpose.one_pass import build_sampler
from prpose.preprocess import preprocess
from tests.make_formats import walker

SIZE = (1000, 1002)


@pytest.fixture(scope="module")
def xy():
    return load_clips("walkers", ".", "test", actions=("reach",))[0].keypoints_px[:80]


def predicted(name, xy, size=SIZE, num_samples=4, fps=60.0, **config):
    config = prpose.InferenceConfig(**config)
    return prpose.load(name)(xy, num_samples, layout="h36m17", image_size=size, fps=fps, config=config)


def numbers(prediction):
    fields = ("samples", "pose", "covariance", "deterministic", "root", "root_covariance")
    return np.concatenate([getattr(prediction, field).ravel() for field in fields])


@pytest.mark.parametrize("name", ["mgcn-cmu17", "temporal-cmu17", "graphmlp-cmu17", "gaussian-cmu17"])
def test_a_model_predicts_the_same_numbers_with_any_number_of_threads(name, xy):
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(numbers(predicted(name, xy)))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize(("dtype", "atol"), [("float16", 5e-3), ("float32", 0), ("float64", 0), (">f4", 0), (">f8", 0)])
def test_keypoints_of_every_floating_point_type_are_predicted(dtype, atol, xy):
    expected, found = (predicted("mgcn-cmu17", each) for each in (xy[:8], xy[:8].astype(dtype)))
    assert found.pose.dtype == found.samples.dtype == np.float32
    assert np.allclose(found.pose, expected.pose, rtol=0, atol=atol)


@pytest.mark.parametrize("size", [1, 2, 16, 100, 16_384])
def test_poses_do_not_depend_on_the_resolution(size, xy):
    scale = np.float32(size / 1000)
    expected, found = (predicted("mgcn-cmu17", xy[:8] * s, (n, n)) for s, n in ((1, 1000), (scale, size)))
    assert found.camera.width == size
    assert np.allclose(found.pose, expected.pose, rtol=0, atol=1e-4)
    assert np.allclose(found.root, expected.root, rtol=1e-3)
    assert found.mean_spread == pytest.approx(expected.mean_spread, rel=1e-3)


def test_a_single_frame_is_predicted_without_and_with_a_frame_rate(xy):
    for fps in (None, 60.0):
        prediction = predicted("temporal-cmu17", xy[:1], fps=fps)
        assert prediction.pose.shape == (1, 17, 3)
        assert prediction.samples.shape == (4, 1, 17, 3)


@pytest.mark.parametrize("smooth", ["rts", "none"])
def test_results_in_temporary_files_are_those_in_memory(smooth, xy, monkeypatch, tmp_path):
    paths = tmp_path / "memory.npz", tmp_path / "files.npz"
    predicted("gaussian-cmu17", xy, smooth=smooth).save(paths[0])
    monkeypatch.setattr(atomic, "LARGE", 2**10)
    prediction = predicted("gaussian-cmu17", xy, smooth=smooth)
    assert isinstance(base_of(prediction.covariance), atomic.Mapped)
    prediction.save(paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def base_of(array):
    while type(array) is np.ndarray and array.base is not None:
        array = array.base
    return array


@pytest.mark.parametrize("name", ["mgcn-cmu17", "temporal-cmu17", "gaussian-cmu17"])
def test_frames_times_samples_at_once_are_bounded_with_the_same_noise(name, xy, monkeypatch):
    expected, loaded, shapes = predicted(name, xy), prpose.load(name), []
    monkeypatch.setattr(model, "SAMPLES_AT_ONCE", 40)
    sampler = loaded.sampler
    draw = type(sampler).draw

    def spied(self, keypoints, eps, *others):
        shapes.append(eps.shape)
        return draw(self, keypoints, eps, *others)

    monkeypatch.setattr(type(sampler), "draw", spied)
    found = predicted(name, xy)
    assert max(S * (T - sampler.F + 1) for S, _, T, *_ in shapes) <= max(40, 4 * sampler.F)
    assert np.allclose(numbers(found), numbers(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["mgcn-cmu17", "temporal-cmu17", "gaussian-wide"])
def test_very_many_samples_are_lifted_some_at_a_time(name, xy, monkeypatch):
    expected, loaded, sizes = predicted(name, xy[:9], num_samples=32), prpose.load(name), []
    monkeypatch.setattr(model, "SAMPLES_AT_ONCE", 16)
    monkeypatch.setattr(atomic, "LARGE", 2**10)
    draw = type(loaded.sampler).draw

    def spied(self, keypoints, eps, *others):
        sizes.append(len(eps))
        return draw(self, keypoints, eps, *others)

    monkeypatch.setattr(type(loaded.sampler), "draw", spied)
    found = predicted(name, xy[:9], num_samples=32)
    assert max(sizes) <= 16
    assert np.allclose(numbers(expected), numbers(found), atol=1e-5)


def test_preparing_and_writing_a_long_clip_take_little_memory_a_frame(monkeypatch, tmp_path):
    for name, value in (("LARGE", 2**14), ("PIECE", 2**14)):
        monkeypatch.setattr(atomic, name, value)
    for module in (swaps, prpose.prediction):
        monkeypatch.setattr(module, "FRAMES_AT_ONCE", 64)
    T, confidence, joints = 4000, np.full((4000, 17), 0.9, np.float32), walker("coco17")[0].astype(np.float32)
    shown = np.concatenate([joints, joints[::-1]])[np.arange(T) % (2 * len(joints))]
    keypoints = prpose.Keypoints(shown, SIZE, "coco17", confidence, 30)
    pose, covariance = (atomic.large_array((T, 17, *shape), np.float32, 0) for shape in ((3,), (3, 3)))
    tracemalloc.start()
    try:
        preprocess(keypoints)
        prepared = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        save_prediction(prpose.Prediction(pose, covariance, pose, 2, fps=30), tmp_path / "a.npz")
        written = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert prepared < 500 * T, f"{prepared / T:.0f} bytes a frame"
    assert written < 300 * T, f"{written / T:.0f} bytes a frame"


def test_frames_of_a_high_rate_are_predicted_with_a_lifter_of_a_lower_one(xy, monkeypatch):
    monkeypatch.setattr(model, "FRAMES_AT_ONCE", 4)
    many = np.repeat(xy[:4], 1500, axis=0)
    found = predicted("gaussian-cmu17", many, num_samples=2, fps=50_000.0)
    assert found.samples.shape == (2, 6000, 17, 3)
    assert np.isfinite(found.samples).all()


def test_samples_of_a_mixture_do_not_depend_on_how_they_are_cut(xy, monkeypatch):
    lifters = [prpose.load(name).sampler.lifter for name in ("gaussian-wide", "gaussian-cmu17")]
    net, found = prpose.Model(build_sampler(GaussianMixture([*lifters[0].members, lifters[1]]), None)), []
    for most in (2**16, 40):  # with 6 components, that take turns
        monkeypatch.setattr(model, "SAMPLES_AT_ONCE", most)
        found.append(net(xy[:4], 200, layout="h36m17", image_size=SIZE, fps=60.0).samples)
    assert np.allclose(*found, rtol=0, atol=1e-5)


@pytest.mark.parametrize("format", ["csv", "trc", "bvh"])
def test_files_do_not_depend_on_how_they_are_cut(format, xy, tmp_path, monkeypatch):
    prediction = predicted("gaussian-cmu17", xy)
    for frames in (1024, 7):
        monkeypatch.setattr(prpose.prediction, "FRAMES_AT_ONCE", frames)
        prediction.save(tmp_path / f"{frames}.{format}")
    whole, cut = ((tmp_path / f"{frames}.{format}").read_bytes() for frames in (1024, 7))
    assert whole.replace(b"1024.trc", b"7.trc") == cut


def test_few_arrays_are_in_files_at_a_time(monkeypatch):
    monkeypatch.setattr(atomic, "LARGE", 0)
    others = len(atomic._mapped)
    monkeypatch.setattr(atomic, "MOST_MAPPED", others + 2)
    arrays = [atomic.large_array((3,), np.float32, n) for n in range(4)]
    assert len(atomic._mapped) == others + 2
    assert [array.tolist() for array in arrays] == [[n] * 3 for n in range(4)]
    del arrays
    assert len(atomic._mapped) == others
