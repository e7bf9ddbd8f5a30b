"""Models on data sets: scores of every frame in bounded memory, and baselines of adaptive noise."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prpose import metrics
from prpose.data.windows import Batch, Windows
from prpose.evaluation.protocols import LEAST_N, METRICS, Scores
from prpose.noise import AdaptiveNoise, ConstantNoise, correlated, draw_eps
from prpose.rng import confidence_sigma, mixed_seed
from prpose.sampler import Sampler

LARGEST_S = 1_000_000  # samples of a frame; more would take days
Draw = Callable[[range, torch.Size], Iterable[tuple[Tensor, Tensor]]]
"""(positions in the data set, shape of a sample's noise) → eps and mirrored eps, in parts of (s, *shape)."""
Values = Callable[[Tensor], dict[str, Tensor]]
POSES_AT_ONCE = 4096  # that are scored, whatever S is; Procrustes needs some kB for each


class IsotropicCloud(Sampler):
    """One isotropic 3D Gaussian around a sampler's deterministic pose, with a standard deviation of ``sigma_m``.

    Samples use three of the four noise coordinates of a joint.
    """

    def __init__(self, net: Sampler, sigma_m: float) -> None:
        super().__init__(net.lifter, None, net.mirror)
        self.net, self.sigma_m = net, sigma_m

    def deterministic(self, keypoints: Tensor) -> Tensor:
        return self.net.deterministic(keypoints)

    def moments(self, keypoints: Tensor, prepared: Any = None) -> tuple[Tensor, None]:
        return self.deterministic(keypoints) if prepared is None else prepared, None

    def _prepare(self, keypoints: Tensor, extra_sigma: Tensor | None) -> Any:
        return self.deterministic(keypoints)

    def _samples(self, prepared: Any, eps: Tensor, eps_mirrored: Tensor, first: int) -> Tensor:
        eps3 = torch.cat([eps, eps_mirrored[..., :1]], dim=-1)  # (S, B, T, J, 3)
        cloud = prepared + self.sigma_m * eps3[..., self.own_frame : self.own_frame + prepared.shape[1], :, :]
        cloud[..., 0, :] = 0
        return cloud


def seeded_draw(seed: int, S: int, rho: float = 0.0) -> Draw:
    """Noise of S samples that depends on the seed and a batch's position only; of a smaller S, the first samples.

    Neighbouring frames of a window have noise with the correlation ``rho`` (:func:`prpose.rng.noise_rho`).
    """
    if not (1 <= S <= LARGEST_S and 0 <= seed < 2**63):
        raise ValueError(f"expected num_samples >= 1, at most {LARGEST_S:,}, and 64-bit seed >= 0, got {S} and {seed}")

    def draw(items: range, shape: torch.Size) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(mixed_seed(seed, items.start))
        at_once = max(1, POSES_AT_ONCE // shape[0])
        for start in range(0, S, at_once):
            eps = correlated(draw_eps(min(at_once, S - start), (2, *shape), generator), rho)
            yield eps[:, 0], eps[:, 1]

    return draw


@torch.no_grad()
def score(
    net: Sampler,
    windows: Windows,
    names: Sequence[str],
    draw: Draw | None,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    cloud: bool = False,
    curve: Sequence[int] = (),
    on_batch: Callable[[int], None] = lambda frames: None,
    confidence_noise: float = 0.0,
) -> Scores:
    """Scores of every frame, on the CPU, in metres or shares.

    Args:
        net: on ``device``, in eval mode; ``ValueError`` naming the frames if its poses are not finite.
        windows: of the test clips, without mirror images.
        names: keys of :data:`METRICS`.
        draw: noise of each batch; without it only the deterministic pose is scored.
        batch_size: frames at once.
        cloud: whether to score the samples as a distribution, too, if there are two or more.
        curve: numbers of samples whose best and mean are scored as the choices ``best_of_{S}`` and ``mean_of_{S}``.
        on_batch: called with the number of frames after each batch.
        confidence_noise: scale of the extra noise of low confidence (:func:`prpose.rng.confidence_sigma`).

    Returns:
        ``{choice: {metric: (N,)}}`` for each of :data:`prpose.evaluation.protocols.CHOICES`, and ``{"joints": {"error":
        (N, J), "spread": (N, J)}}``, of the deterministic pose and of two or more samples; with ``cloud`` also
        ``{"cloud": {"ES": (N,), "spread": (N,), "covered": (N, J - 1, levels), "mahalanobis": (N, J - 1)}}``, all but
        the first of all joints but the pelvis, and the last, from the deterministic pose, with four samples or more.
    """
    parts = []
    for indices, batch in windows.batches(batch_size):
        items = range(int(indices[0]), int(indices[-1]) + 1)
        batch = batch.to(device)
        keypoints, target = batch.keypoints, batch.target
        extra = extra_sigma(batch, confidence_noise)
        prepared = None if draw is None else net.prepare(keypoints, extra)
        deterministic, closed = net.moments(keypoints, prepared)
        values_of = partial(_values, target=target, names=names, items=items)
        errors = metrics.joint_errors(deterministic, target)
        part = {"deterministic": values_of(deterministic[None]), "joints": {"error": errors[None, :, 0]}}
        if draw is not None:
            shape = torch.Size((*keypoints.shape[:-1], net.noise_channels))
            samples = _samples(net, keypoints, draw(items, shape), prepared)
            scores, spread = _score_samples(samples, target, values_of, deterministic if cloud else None, curve, closed)
            part |= scores
            part["joints"] |= {} if spread is None else {"spread": spread}
        parts.append(part)
        on_batch(len(indices))
    return {
        choice: {name: torch.cat([part[choice][name][0].cpu() for part in parts]) for name in by}
        for choice, by in parts[0].items()
    }


def extra_sigma(batch: Batch, confidence_noise: float) -> Tensor | None:
    """Further standard deviation of keypoints of low confidence, (B, F, J); None where its scale is 0."""
    if not confidence_noise:
        return None
    keypoints, confidence = (value.cpu().numpy() for value in (batch.keypoints, batch.confidence))
    return torch.from_numpy(confidence_sigma(keypoints, confidence, confidence_noise)).to(batch.keypoints)


def _samples(
    net: Sampler, keypoints: Tensor, noise: Iterable[tuple[Tensor, Tensor]], prepared: Any
) -> Iterator[Tensor]:
    first = 0
    for eps, eps_mirrored in noise:
        yield net(keypoints, eps.to(keypoints), eps_mirrored.to(keypoints), first=first, prepared=prepared)
        first += len(eps)


def _score_samples(
    parts: Iterable[Tensor],
    target: Tensor,
    values_of: Values,
    centre: Tensor | None,
    curve: Sequence[int],
    closed: Tensor | None,
) -> tuple[Scores, Tensor | None]:
    """Scores of a batch, each (1, B, ...), from sums and best values; with ``centre``, also from all samples.

    ``closed`` is the joints' covariance where it is known in closed form, (B, 1, J, 3, 3). Beside the scores is the
    standard deviation of each joint, mean over the axes, (1, B, J) metres, of two samples or more.
    """
    all_samples, best, sums = [], dict[str, Tensor](), dict[str, Tensor]()
    curves: Scores = {f"best_of_{k}": {} for k in curve}
    S, total = 0, torch.zeros_like(target, dtype=torch.float64)
    squares = torch.zeros_like(total)
    for poses in parts:
        all_samples += [] if centre is None else [poses]
        for name, values in values_of(poses).items():
            added = values.sum(0, dtype=torch.float64).cpu()
            sums[name] = sums[name] + added if S else added
            values = torch.cat([best[name], values]) if S else values  # the best so far, then the new ones
            for k in curve:
                if S < k <= S + len(poses):
                    curves[f"best_of_{k}"][name] = _best(name, values[: k - S + bool(S)])
            best[name] = _best(name, values)
        for k in curve:
            if S < k <= S + len(poses):
                first = total + poses[: k - S].sum(0, dtype=torch.float64)
                curves[f"mean_of_{k}"] = values_of((first / k).to(target)[None])
        S, total = S + len(poses), total + poses.sum(0, dtype=torch.float64)
        squares += poses.double().square().sum(0)
    scores = {
        "mean": values_of((total / S).to(target)[None]),
        "best": best,
        "any": {name: (value / S).float()[None] for name, value in sums.items()},
    } | {choice: by for choice, by in curves.items() if by}
    if centre is not None and S >= 2:
        own = None if closed is None else closed[:, 0]
        scores["cloud"] = _score_cloud(torch.cat(all_samples)[:, :, 0], target[:, 0], centre[:, 0], own)
    if S < 2:
        return scores, None
    return scores, ((squares - total**2 / S).clamp_min(0) / (S - 1)).sqrt().mean(-1).to(target)[None, :, 0]


def _best(name: str, values: Tensor) -> Tensor:
    return metrics.best_of_s(values, METRICS[name].higher_is_better)[None]


def _score_cloud(samples: Tensor, truth: Tensor, centre: Tensor, closed: Tensor | None) -> dict[str, Tensor]:
    """Scores of (S, B, J, 3) as a distribution against (B, J, 3), each (1, B, ...)."""
    scores = {
        "ES": metrics.energy_score(samples, truth)[None],
        "spread": metrics.spread(samples)[:, 1:].mean((-2, -1))[None],
        "covered": metrics.covered(samples, truth)[:, 1:][None],
    }
    if len(samples) >= metrics.LEAST_S:
        scores["mahalanobis"] = metrics.mahalanobis(samples, truth, centre, closed)[:, 1:][None]
    return scores


def _values(poses: Tensor, target: Tensor, names: Sequence[str], items: range) -> dict[str, Tensor]:
    """Metrics of (S, B, 1, J, 3) against (B, 1, J, 3), each (S, B)."""
    if not poses.isfinite().all():
        frames = f"frames {items.start} to {items.stop - 1} of the data set"
        raise ValueError(f"expected finite poses, got NaN or infinity in {frames}: check the weights and alpha")
    return {name: METRICS[name].of(poses, target)[..., 0] for name in names}


def baseline_samplers(
    net: Sampler, windows: Windows, device: torch.device, on_batch: Callable[[int], None] = lambda frames: None
) -> dict[str, Sampler]:
    """A sampler on ``device``, constant noise of its mean variance, and a 3D Gaussian of maximum likelihood, by name.

    The baselines are fitted on ``windows``, which should be of the validation split. Constant noise is a baseline of
    adaptive noise only. ``on_batch`` is called with the number of frames after each batch of the first fit, which takes
    longest.
    """
    noise = net.noise

    def squared_errors(batch: Batch) -> Tensor:
        return (net.deterministic(batch.keypoints) - batch.target)[..., 1:, :].square().flatten(1).mean(1)

    sigma_m = float(windows.values(squared_errors, device, on_batch=on_batch).double().mean().sqrt())
    gaussian: dict[str, Sampler] = {f"3D Gaussian, {sigma_m * 1000:.1f} mm": IsotropicCloud(net, sigma_m)}
    if not isinstance(noise, AdaptiveNoise):
        return {"samples of the model": net, **gaussian}
    variances = windows.values(lambda batch: noise(batch.keypoints).variance.flatten(1).mean(1), device)
    sigma = float(variances.double().mean().sqrt())
    constant = Sampler(net.lifter, ConstantNoise(sigma)).to(device)
    return {f"adaptive, alpha {noise.alpha:.4g}": net, f"constant, sigma {sigma:.4g}": constant, **gaussian}


def sigma_rank_correlation(
    net: Sampler, windows: Windows, device: torch.device, on_batch: Callable[[int], None] = lambda frames: None
) -> dict[str, list[float | None]]:
    """Spearman's correlation over frames of predicted sigma and error of the deterministic pose, per joint.

    Sigma is that of the noise; of a one-pass lifter, that of the joint.

    Of ``all`` frames, and ``visible`` and ``occluded`` where clips know it; None for a joint of fewer than 50 frames.
    ``on_batch`` is called with the number of frames after each batch, of sigma and then of the error.
    """
    own, noise = net.own_frame, net.noise

    def sigma_of(batch: Batch) -> Tensor:
        if noise is not None:
            return noise(batch.keypoints[:, own]).variance.mean(-1).sqrt()
        _, variances = net.moments(batch.keypoints)
        assert variances is not None, "only one-pass lifters have no noise"
        return variances[:, 0].diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()

    sigma = windows.values(sigma_of, device, on_batch=on_batch).numpy()
    error = windows.values(
        lambda batch: metrics.joint_errors(net.deterministic(batch.keypoints), batch.target)[:, 0],
        device,
        on_batch=on_batch,
    ).numpy()
    masks = {"all": np.ones(error.shape, bool)}
    if (hidden := windows.hidden) is not None:
        occluded = hidden.numpy()
        masks |= {"visible": ~occluded, "occluded": occluded}
    return {
        name: [
            metrics.rank_correlation(sigma[mask[:, j], j], error[mask[:, j], j])
            if mask[:, j].sum() >= LEAST_N
            else None
            for j in range(error.shape[1])
        ]
        for name, mask in masks.items()
    }
