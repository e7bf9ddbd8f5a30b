"""Models on data sets: scores of every frame in bounded memory, and the tables made of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from prpose import metrics
from prpose.data.windows import Batch, Windows
from prpose.evaluation.baselines import IsotropicCloud
from prpose.evaluation.protocols import (
    CHOICES,
    METRICS,
    MOCAP,
    PROTOCOLS,
    RELEASED_ACTIONS,
    Protocol,
    Row,
    action_of,
    average_as_released,
    conformal_quantiles,
    tabulate,
)
from prpose.noise import confidence_sigma, correlated, draw_eps
from prpose.rng import mixed_seed
from prpose.sampler import Sampler

__all__ = [
    "CHOICES",
    "METRICS",
    "MOCAP",
    "POSES_AT_ONCE",
    "PROTOCOLS",
    "RELEASED_ACTIONS",
    "Draw",
    "Protocol",
    "Row",
    "Scores",
    "action_of",
    "average_as_released",
    "conformal_quantiles",
    "score",
    "seeded_draw",
    "tabulate",
]

Draw = Callable[[range, torch.Size], Iterable[tuple[Tensor, Tensor]]]
"""(positions in the data set, shape of the keypoints) → eps and mirrored eps, in parts of (s, *shape)."""

Scores = dict[str, dict[str, Tensor]]
"""``{choice: {metric: (N, ...)}}``."""

FRAMES_AT_ONCE = 64
"""Largest number of frames whose S² distances are in memory at once."""

POSES_AT_ONCE = 4096
"""Largest number of poses that are scored at once, whatever S is; Procrustes needs some kB for each."""


def seeded_draw(seed: int, S: int, rho: float = 0.0) -> Draw:
    """Noise of S samples that depends on the seed and a batch's position only.

    Drawn on the CPU, so that every device gets the same numbers; a smaller S gives the first samples of a larger one.

    Args:
        seed: >= 0.
        S: number of samples, >= 1.
        rho: correlation of the noise of neighbouring frames of a window (:func:`prpose.noise.noise_rho`).
    """
    if S < 1:
        raise ValueError(f"expected num_samples >= 1, got {S}")
    if seed < 0:
        raise ValueError(f"expected seed >= 0, got {seed}")

    def draw(items: range, shape: torch.Size) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(mixed_seed(seed, items.start))
        at_once = max(1, POSES_AT_ONCE // shape[0])
        for start in range(0, S, at_once):
            eps = correlated(draw_eps(min(at_once, S - start), (2, *shape), generator), rho)
            yield eps[:, 0], eps[:, 1]

    return draw


@torch.no_grad()
def score(
    net: Sampler | IsotropicCloud,
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
    """Scores of every frame.

    Args:
        net: on ``device``, in eval mode.
        windows: of the test clips, without mirror images.
        names: keys of :data:`METRICS`.
        draw: the noise of each batch; without it only the deterministic pose is scored.
        batch_size: frames at once.
        cloud: whether to score the samples as a distribution, too, if there are two or more.
        curve: numbers of samples whose best is scored as the choice ``best_of_{S}``.
        on_batch: called with the number of frames after each batch.
        confidence_noise: scale of the extra noise of keypoints with low confidence
            (:func:`prpose.noise.confidence_sigma`).

    Returns:
        ``{choice: {metric: (N,)}}`` for each of :data:`CHOICES`, in metres or shares, on the CPU; with ``cloud`` also
        ``{"cloud": {"ES": (N,), "spread": (N,), "covered": (N, J - 1, levels), "mahalanobis": (N, J - 1)}}``, all but
        the first of all joints but the pelvis, and the last, from the deterministic pose, with four samples or more.

    Raises:
        ValueError: if poses are not finite, naming the frames.
    """
    parts = []
    for indices, batch in windows.batches(batch_size):
        items = range(int(indices[0]), int(indices[-1]) + 1)
        parts.append(_score_batch(net, batch, items, names, draw, device, cloud, curve, confidence_noise))
        on_batch(len(indices))
    return {
        choice: {name: torch.cat([part[choice][name] for part in parts]) for name in by}
        for choice, by in parts[0].items()
    }


def _score_batch(
    net: Sampler | IsotropicCloud,
    batch: Batch,
    items: range,
    names: Sequence[str],
    draw: Draw | None,
    device: torch.device | str,
    cloud: bool,
    curve: Sequence[int],
    confidence_noise: float,
) -> Scores:
    keypoints, target = batch.keypoints.to(device), batch.target.to(device)
    deterministic = net.deterministic(keypoints)
    scores = {"deterministic": _values(deterministic[None], target, names, items)}
    if draw is not None:
        extra_sigma = None
        if confidence_noise:
            extra_sigma = confidence_sigma(keypoints, batch.confidence.to(device), confidence_noise)
        samples = (
            net(keypoints, eps.to(keypoints), mirrored.to(keypoints), extra_sigma)
            for eps, mirrored in draw(items, keypoints.shape)
        )
        scores |= _score_samples(samples, target, names, items, deterministic if cloud else None, curve)
    return {choice: {name: value[0].cpu() for name, value in by.items()} for choice, by in scores.items()}


def _score_samples(
    samples: Iterable[Tensor],
    target: Tensor,
    names: Sequence[str],
    items: range,
    centre: Tensor | None,
    curve: Sequence[int],
) -> Scores:
    """Mean, best and average sample of a batch, ``{choice: {metric: (1, B)}}``.

    Only sums and best values are in memory, so that S may be any number; with ``centre``, the centre of the regions,
    the poses are, too.
    """
    all_samples = []
    curves: Scores = {f"best_of_{k}": {} for k in curve}
    S, total = 0, torch.zeros_like(target, dtype=torch.float64)
    best: dict[str, Tensor] = {}
    sums = {name: torch.zeros(len(target), dtype=torch.float64) for name in names}
    for poses in samples:
        all_samples += [] if centre is None else [poses]
        for name, values in _values(poses, target, names, items).items():
            sums[name] += values.sum(0, dtype=torch.float64).cpu()
            values = torch.cat([best[name], values]) if S else values  # the best so far, then the new ones
            for k in curve:
                if S < k <= S + len(poses):
                    curves[f"best_of_{k}"][name] = _best(name, values[: k - S + bool(S)])
            best[name] = _best(name, values)
        S, total = S + len(poses), total + poses.sum(0, dtype=torch.float64)
    scores = {
        "mean": _values((total / S).to(target)[None], target, names, items),
        "best": best,
        "any": {name: (value / S).float()[None] for name, value in sums.items()},
    } | {choice: by for choice, by in curves.items() if by}
    if centre is not None and S >= 2:
        scores["cloud"] = _score_cloud(torch.cat(all_samples)[:, :, 0], target[:, 0], centre[:, 0])
    return scores


def _best(name: str, values: Tensor) -> Tensor:
    return metrics.best_of_s(values, METRICS[name].higher_is_better)[None]


def _score_cloud(samples: Tensor, truth: Tensor, centre: Tensor) -> dict[str, Tensor]:
    """Scores of (S, B, J, 3) as a distribution against (B, J, 3), each (1, B, ...)."""
    parts = zip(samples.split(FRAMES_AT_ONCE, dim=1), truth.split(FRAMES_AT_ONCE), strict=True)
    scores = {
        "ES": torch.cat([metrics.energy_score(*part) for part in parts])[None],
        "spread": metrics.spread(samples)[:, 1:].mean((-2, -1))[None],
        "covered": metrics.covered(samples, truth)[:, 1:][None],
    }
    if len(samples) >= metrics.LEAST_S:
        scores["mahalanobis"] = metrics.mahalanobis(samples, truth, centre)[:, 1:][None]
    return scores


def _values(poses: Tensor, target: Tensor, names: Sequence[str], items: range) -> dict[str, Tensor]:
    """Metrics of (S, B, 1, J, 3) against (B, 1, J, 3), each (S, B)."""
    if not poses.isfinite().all():
        raise ValueError(
            f"expected finite poses, got NaN or infinity in frames {items.start} to {items.stop - 1} of the data set: "
            "check the weights and alpha"
        )
    return {name: METRICS[name].of(poses, target)[..., 0] for name in names}
