import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr

from prpose import metrics
from prpose.data import load_clips
from prpose.metrics import LEVELS, covariance, covered, energy_score, mahalanobis
from prpose.skeleton import H36M_17, PCK_14, PCK_17
from tests.golden_numbers import arrays

GOLDEN = arrays("metrics/metrics.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN})
ALIGNABLE = [case for case in CASES if f"{case}/p2_hyp" in GOLDEN]


def case_of(name):
    """pred (S, N, 17, 3) and target (N, 17, 3)."""
    pred = torch.from_numpy(GOLDEN[f"{name}/pred"]).transpose(0, 1)
    return pred, torch.from_numpy(GOLDEN[f"{name}/target"][:, 0])


def golden(name):
    return torch.from_numpy(np.asarray(GOLDEN[name]))


def scipy_p2(pose, target):
    """Procrustes by SciPy's Kabsch, one pose at a time."""
    x, y = pose - pose.mean(0), target - target.mean(0)
    turned = Rotation.align_vectors(y, x)[0].apply(x)
    scale = (turned * y).sum() / (x * x).sum()
    return np.linalg.norm(scale * turned - y, axis=-1).mean()


@pytest.mark.parametrize("case", CASES)
def test_p1_parity(case):
    p1 = metrics.mpjpe(*case_of(case))
    assert (p1.T - golden(f"{case}/p1_hyp")).abs().max() < 2e-6
    assert (metrics.best_of_s(p1) - golden(f"{case}/p1_best")).abs().max() < 2e-6


@pytest.mark.parametrize("case", ALIGNABLE)
@pytest.mark.filterwarnings("ignore:Optimal rotation is not uniquely:UserWarning")
def test_p2_parity_also_with_scipy(case):
    pred, target = case_of(case)
    p2, expected = metrics.p_mpjpe(pred, target), golden(f"{case}/p2_hyp_float64")
    assert (p2.T - expected).abs().max() < 2e-6
    assert (metrics.best_of_s(p2) - golden(f"{case}/p2_best_float64")).abs().max() < 2e-6
    pred, target = pred.double(), target.double()
    exact = metrics.p_mpjpe(pred, target)
    assert (exact.T - expected).abs().max() < 1e-8
    scipy = [[scipy_p2(pose.numpy(), y.numpy()) for pose, y in zip(poses, target, strict=True)] for poses in pred]
    assert (exact - torch.tensor(scipy).double()).abs().max() < 1e-6


@pytest.mark.parametrize("case", [case for case in CASES if case != "pck_threshold"])
def test_pck_and_auc_parity(case):
    pred, target = case_of(case)
    pck = metrics.pck(pred, target, PCK_17)
    assert (pck.T - golden(f"{case}/pck_hyp")).abs().max() < 1e-6
    assert (metrics.best_of_s(pck, higher_is_better=True) - golden(f"{case}/pck_best")).abs().max() < 1e-6
    auc = metrics.auc(pred, target, PCK_17, [step / 1000 for step in range(150)])  # the reference's thresholds
    assert (auc.T - golden(f"{case}/auc_hyp")).abs().max() < 1e-3


def test_pck_is_strict_at_the_threshold():
    target = torch.zeros(17, 3)
    for distance, expected in [(0.1499, 1.0), (0.150, 0.0), (0.1501, 0.0)]:
        assert float(metrics.pck(target + torch.tensor([0, 0, distance]), target, PCK_17)) == expected
    pck = metrics.pck(*case_of("pck_threshold"), PCK_17)
    assert (pck.T - golden("pck_threshold/pck_hyp")).abs().max() < 1 / 17 + 1e-6


def test_pck_joint_sets_differ_by_the_joints_left_out():
    pose, target = torch.zeros(2, 17, 3)
    pose[[7, 9]] = 1.0  # spine and neck wrong: seen by 17 joints, not by 14
    assert float(metrics.pck(pose, target, PCK_14)) == 1
    assert float(metrics.pck(pose, target, PCK_17)) == pytest.approx(15 / 17)


def test_auc_uses_the_official_31_thresholds():
    assert pytest.approx(np.arange(0, 0.1501, 0.005)) == metrics.AUC_THRESHOLDS_M
    pose, target = torch.zeros(17, 3), torch.zeros(17, 3)
    pose[:, 0] = 0.0725  # right for 75 … 150 mm: 16 of 31
    assert float(metrics.auc(pose, target, PCK_14)) == pytest.approx(16 / 31)
    assert float(metrics.auc(target, target, PCK_14)) == pytest.approx(30 / 31)  # 0 < 0 is false


def random_pose(seed, *shape):
    return torch.randn(*shape, 17, 3, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("seed", range(3))
def test_p2_is_invariant_to_similarities_and_not_to_reflections(seed):
    pose, target = random_pose(seed), random_pose(seed + 10)
    turn = torch.from_numpy(Rotation.random(random_state=seed).as_matrix())
    moved = 3.7 * pose @ turn.T + torch.tensor([1.0, -2.0, 5.0])
    p2 = metrics.p_mpjpe(pose, target)
    assert abs(float(metrics.p_mpjpe(moved, target) - p2)) < 1e-9
    assert float(metrics.p_mpjpe(moved, pose)) < 1e-9
    assert float(metrics.p_mpjpe(pose * torch.tensor([-1, 1, 1]), pose)) > 0.1


def test_degenerate_poses_have_the_limit_values():
    target = random_pose(0)
    centroid = float((target - target.mean(0)).norm(dim=-1).mean())
    assert float(metrics.p_mpjpe(torch.ones(17, 3).double(), target)) == pytest.approx(centroid)
    assert float(metrics.p_mpjpe(random_pose(1), torch.ones(17, 3).double())) == pytest.approx(0)


def umeyama(poses, target):
    """The aligned poses by NumPy's SVD, (N, J, 3)."""
    mean = target.mean(-2, keepdims=True)
    x, y = poses - poses.mean(-2, keepdims=True), target - mean
    u, sigma, vt = np.linalg.svd(x.swapaxes(-1, -2) @ y)
    sign = np.stack([*np.ones((2, len(sigma))), np.sign(np.linalg.det(u @ vt))], axis=-1)
    scale = (sigma * sign).sum(-1) / np.square(x).sum((-2, -1))
    return scale[:, None, None] * (x @ ((u * sign[:, None]) @ vt)) + mean


@pytest.mark.parametrize("noise", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("thin", [1.0, 1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("axes", [(1, 0.4, "thin"), (1, "thin", "thin"), (-1, 0.5, "thin"), (0.4, 0.4, "thin")])
def test_p2_of_flat_thin_and_mirrored_poses_is_that_of_the_svd(axes, thin, noise):
    shape = torch.tensor([thin if axis == "thin" else axis for axis in axes]).double()
    pose = random_pose(0, 300) * shape.abs()
    target = pose * shape.sign() + noise * random_pose(1, 300) * shape.abs()
    aligned = umeyama(pose.numpy(), target.numpy())
    expected = np.linalg.norm(aligned - target.numpy(), axis=-1).mean(-1)
    assert np.abs(metrics.p_mpjpe(pose, target).numpy() - expected).max() < 1e-8
    assert np.abs(metrics.p_mpjpe(pose.float(), target.float()).numpy() - expected).max() < 1e-5
    assert np.abs(metrics.procrustes(pose, target).numpy() - aligned).max() < 1e-7


def test_p2_does_not_depend_on_the_poses_aligned_at_a_time(monkeypatch):
    poses, target = random_pose(0, 5, 7, 3), random_pose(1, 7, 3)
    whole = metrics.p_mpjpe(poses, target)
    for few in (1, 21, 50):
        monkeypatch.setattr(metrics, "POSES_AT_ONCE", (few, few))
        assert torch.allclose(metrics.p_mpjpe(poses, target), whole)
        one = target[:, :1]
        assert torch.allclose(metrics.p_mpjpe(one, poses[0]), metrics.p_mpjpe(one.expand_as(poses[0]), poses[0]))
    assert torch.allclose(torch.stack([metrics.p_mpjpe(pose, target) for pose in poses]), whole)
    assert metrics.p_mpjpe(poses[:0], target).shape == (0, 7, 3)
    before = poses.clone()
    metrics.procrustes(poses, target)
    assert torch.equal(poses, before)


@pytest.mark.parametrize("metric", [metrics.mpjpe, metrics.p_mpjpe])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_values_do_not_depend_on_the_batch(metric, shape):
    poses, target = random_pose(1, *shape), random_pose(2, *shape)
    values = metric(poses, target)
    assert values.shape == shape
    flat = [metric(p, t) for p, t in zip(poses.view(-1, 17, 3), target.view(-1, 17, 3), strict=True)]
    assert torch.allclose(values.flatten(), torch.stack(flat))


@pytest.mark.parametrize("higher", [False, True])
def test_best_of_s(higher):
    values = torch.rand(20, 7, generator=torch.Generator().manual_seed(0))
    for S in range(1, 21):
        best = [(max if higher else min)(column) for column in values[:S].T.tolist()]
        assert metrics.best_of_s(values[:S], higher).tolist() == best


def test_shapes_that_do_not_match_and_values_that_are_not_finite_raise():
    for bad in ((float("nan"), 0), (0, float("inf"))):
        with pytest.raises(ValueError, match="finite poses and target"):
            metrics.p_mpjpe(random_pose(0) + bad[0], random_pose(0) + bad[1])
    with pytest.raises(ValueError, match=r"same \(J, 3\), got \(2, 17, 3\) and \(2, 16, 3\)"):
        metrics.mpjpe(torch.zeros(2, 17, 3), torch.zeros(2, 16, 3))
    for poses, target in [((3, 17, 3), (2, 17, 3)), ((3,), (3,)), ((), ()), ((17, 2), (17, 2))]:
        for metric in (metrics.mpjpe, metrics.p_mpjpe, metrics.procrustes):
            with pytest.raises(ValueError, match="broadcast and end in the same"):
                metric(torch.zeros(poses), torch.zeros(target))


def test_bones_of_a_rigid_person_are_constant_and_symmetric():
    clip = load_clips("walkers", ".", "test", actions=("walk",))[0]
    poses = torch.from_numpy(clip.poses_cam).double()
    parents, mirror = H36M_17.parents, H36M_17.mirror
    lengths = metrics.bone_lengths(poses, parents)
    assert lengths.shape == (len(clip), 16)
    assert lengths[3, 12] == pytest.approx(float((poses[3, 13] - poses[3, 12]).norm()))  # the left forearm: joint 13
    assert metrics.bone_length_deviation(poses, parents) < 1e-5
    assert metrics.bone_asymmetry(poses, parents, mirror).max() < 1e-5
    poses[:, 13] += (poses[:, 13] - poses[:, 12]) * 0.6  # a longer left forearm
    sides = float(lengths[0, 12]) * 0.6 / 6
    assert metrics.bone_asymmetry(poses, parents, mirror)[0] == pytest.approx(sides, rel=1e-3)
    poses[::2] *= 1.1
    expected = metrics.bone_lengths(poses, parents).numpy().std(axis=0).mean()
    assert metrics.bone_length_deviation(poses, parents) == pytest.approx(float(expected))


@pytest.mark.parametrize("decimals", [0, 9])
def test_rank_correlation_is_that_of_scipy(decimals):
    rng = np.random.default_rng(0)
    a, b = np.round(rng.normal(size=(2, 200)), decimals)  # with and without ties
    assert metrics.rank_correlation(a + b, b) == pytest.approx(spearmanr(a + b, b).statistic)
    assert metrics.rank_correlation(np.ones(5), np.arange(5.0)) is None


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
@pytest.mark.parametrize("S", [1, 2, 7, 12])
def test_energy_score_against_a_loop(shape, S):
    poses, target = draws(S, *shape, 5, 3), draws(*shape, 5, 3, seed=1)
    ours = energy_score(poses, target)
    assert ours.shape == shape
    flat, truth = poses.reshape(S, -1, 15).numpy(), target.reshape(-1, 15).numpy()
    for n in range(flat.shape[1]):
        near = np.mean([np.linalg.norm(flat[s, n] - truth[n]) for s in range(S)])
        among = np.mean([np.linalg.norm(flat[a, n] - flat[b, n]) for a in range(S) for b in range(S)])
        assert float(ours.flatten()[n]) == pytest.approx(near - among / 2)


def test_covariance_is_numpys():
    poses = draws(6, 2, 5, 3)
    by_numpy = np.cov(poses[:, 1, 4].numpy(), rowvar=False)
    assert np.allclose(covariance(poses)[1, 4], by_numpy)
    assert covariance(poses).shape == (2, 5, 3, 3)


def test_energy_score_is_proper():
    """The ground truth has spread 1; samples of that spread score best."""
    truth = draws(1000, 2, 3, seed=3)
    scores = {}
    for width in (0.5, 0.8, 1.0, 1.25, 2.0):
        scores[width] = float(energy_score(width * draws(60, 1000, 2, 3, seed=4), truth).mean())
    assert min(scores, key=scores.get) == 1.0


def test_small_distances_survive_in_float32():
    poses = 1 + 1e-4 * draws(20, 3, 17, 3).float()
    exact = energy_score(poses.double(), poses[0].double())
    assert (energy_score(poses, poses[0]) - exact).abs().max() < 1e-6


def test_coverage_of_calibrated_samples_is_the_level():
    truth, poses = draws(4000, 3, 3, seed=1), draws(60, 4000, 3, 3, seed=2)
    for width, check in [
        (1.0, lambda w, q: abs(w - q) < 0.03),
        (0.3, lambda w, q: w < q or q in (0, 1)),
        (3.0, lambda w, q: w > q - 1e-9 or q in (0, 1)),
    ]:
        share = covered(width * poses, truth).double().mean((0, 1))
        for q, w in zip(LEVELS[1:-1], share[1:-1].tolist(), strict=True):
            assert check(w, q), (width, q, w)


@pytest.mark.parametrize("S", [3, 4])
def test_covered_against_a_loop(S):
    poses, target = draws(S, 6, 2, 3), draws(6, 2, 3, seed=1)
    ours = covered(poses, target)
    assert ours.shape == (6, 2, 21)
    for n in range(6):
        for j in range(2):
            points = poses[:, n, j].numpy()
            median = np.sort(points, axis=0)[(S - 1) // 2]  # the lower one for even S
            e = np.linalg.norm(points - median, axis=-1)
            t = np.linalg.norm(target[n, j].numpy() - median)
            expected = [np.quantile(e, q) > t for q in LEVELS]
            assert ours[n, j].tolist() == expected


def test_mahalanobis_against_numpy_and_chi_square():
    poses, truth, centre = draws(9, 6, 2, 3), draws(6, 2, 3, seed=1), draws(6, 2, 3, seed=2)
    ours = mahalanobis(poses, truth, centre)
    for n in range(6):
        for j in range(2):
            off = (truth - centre)[n, j].numpy()
            expected = off @ np.linalg.inv(np.cov(poses[:, n, j].numpy().T)) @ off
            assert ours[n, j] == pytest.approx(expected, rel=1e-4)
    many, truth = draws(500, 2000, 1, 3, seed=3), draws(2000, 1, 3, seed=4)
    inside = mahalanobis(many, truth, torch.zeros(2000, 1, 3)) < 7.8147
    assert inside.double().mean() == pytest.approx(0.95, abs=0.015)
    copies = torch.ones(5, 3, 17, 3)
    assert mahalanobis(copies, copies[0], copies[0]).abs().max() == 0
    assert mahalanobis(copies, copies[0] + 0.01, copies[0]).isfinite().all()
    with pytest.raises(ValueError, match="expected S >= 4 samples for a covariance, got 3"):
        mahalanobis(poses[:3], poses[0], poses[0])


def test_other_shapes_raise():
    for function in (energy_score, covered):
        for shape in [(4, 16, 3), (17, 3), (5, 17, 3)]:
            with pytest.raises(ValueError, match=r"expected samples \(S, \*, J, 3\)"):
                function(draws(50, 4, 17, 3), torch.zeros(shape))
