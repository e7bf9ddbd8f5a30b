"""A model on a data set: scores of every frame, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from prpose import metrics, processes
from prpose.data.windows import Batch, Windows
from prpose.evaluation.baselines import IsotropicCloud
from prpose.evaluation.protocols import METRICS
from prpose.noise import confidence_sigma, correlated, draw_eps
from prpose.rng import mixed_seed
from prpose.sampler import Sampler

Draw = Callable[[range, torch.Size], Iterable[tuple[Tensor, Tensor]]]
"""(positions in the data set, keypoints' shape) → eps and mirrored eps, in parts of (s, *shape)."""

FRAMES_AT_ONCE = 64
"""Most frames whose S² distances are held at once."""

POSES_AT_ONCE = 4096
"""Most poses that are held and scored at once, whatever S is; Procrustes needs some kB for each."""


def seeded_draw(seed: int, S: int, rho: float = 0.0) -> Draw:
    """Noise of S hypotheses that depends on the seed and on a batch's place alone.

    Drawn on the CPU, so that every device gets the same numbers; the first of a larger S are those
    of a smaller one. Within a window of several frames each keeps the share ``rho`` of the noise
    of the one before (:mod:`prpose.noise`).

    Raises:
        ValueError: if S < 1 or seed < 0.
    """
    if S < 1:
        raise ValueError(f"expected S >= 1 hypotheses, got {S}")
    if seed < 0:
        raise ValueError(f"expected seed >= 0, got {seed}")

    def draw(items: range, shape: torch.Size) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(mixed_seed(seed, items.start))
        at_once = max(1, POSES_AT_ONCE // shape[0])
        for start in range(0, S, at_once):
            eps = draw_eps(min(at_once, S - start), (2, *shape), generator)
            eps = correlated(eps, rho)
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
) -> dict[str, dict[str, Tensor]]:
    """Scores of every frame, in bounded memory.

    Several processes take batches in turn, and each gets all scores: the same as one gets alone.

    Args:
        net: on ``device``, in eval mode.
        windows: of the test clips, without mirror images.
        names: keys of :data:`METRICS`.
        draw: the noise of each batch; without it only the ``single`` choice is scored.
        batch_size: frames at once.
        cloud: whether to score the hypotheses as a distribution, too, if there are two or more.
        curve: numbers of hypotheses whose best is scored, too, as the choices ``best_of_{S}``.
        on_batch: told the number of frames after each batch.
        confidence_noise: scale of what the keypoints' confidences add to the noise
            (:func:`prpose.noise.confidence_sigma`).

    Returns:
        ``{choice: {metric: (N,)}}`` for each of :data:`CHOICES`, in metres or shares, on the CPU;
        with ``cloud`` also ``{"cloud": {"ES": (N,), "spread": (N,), "covered": (N, J - 1, Q),
        "mahalanobis": (N, J - 1)}}``, all but the first of all joints but the pelvis, and the last
        of the truth from the single hypothesis, if there are four hypotheses or more.

    Raises:
        ValueError: if poses are not finite, naming the frames.
    """

    def batches() -> Iterator[tuple[Tensor, Batch]]:
        for indices, batch in windows.batches(batch_size):
            on_batch(len(indices))
            yield indices, batch

    def scored(_: int, item: tuple[Tensor, Batch]) -> dict[str, dict[str, Tensor]]:
        indices, batch = item
        items = range(int(indices[0]), int(indices[-1]) + 1)
        scores = _score_batch(net, batch, items, names, draw, device, cloud, curve, confidence_noise)
        return {c: {n: v[0].cpu() for n, v in by.items()} for c, by in scores.items()}

    parts = processes.in_turn(batches(), scored)
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
) -> dict[str, dict[str, Tensor]]:
    """Scores of a batch, ``{choice: {metric: (1, B)}}``."""
    keypoints, target = batch.keypoints.to(device), batch.target.to(device)
    single = net.deterministic(keypoints)
    scores = {"single": _values(single[None], target, names, items)}
    if draw is None:
        return scores
    more = None
    if confidence_noise:
        more = confidence_sigma(keypoints, batch.confidence.to(device), confidence_noise)
    hypotheses = (
        net(keypoints, eps.to(keypoints), mirrored.to(keypoints), more)
        for eps, mirrored in draw(items, keypoints.shape)
    )
    centre = single if cloud else None
    return scores | _score_many(hypotheses, target, names, items, centre, curve)


def _score_many(
    hypotheses: Iterable[Tensor],
    target: Tensor,
    names: Sequence[str],
    items: range,
    centre: Tensor | None,
    curve: Sequence[int],
) -> dict[str, dict[str, Tensor]]:
    """Mean, best and average hypothesis of a batch, ``{choice: {metric: (1, B)}}``.

    Of each part of them only sums and the best values are kept, so that S may be any number;
    the poses themselves only for the cloud, if a centre of its regions is given.
    """
    kept = []
    curves: dict[str, dict[str, Tensor]] = {f"best_of_{k}": {} for k in curve}
    S, total = 0, torch.zeros_like(target, dtype=torch.float64)
    best: dict[str, Tensor] = {}
    sums = {name: torch.zeros(len(target), dtype=torch.float64) for name in names}
    for poses in hypotheses:
        kept += [] if centre is None else [poses]
        for name, values in _values(poses, target, names, items).items():
            so_far = torch.cat([best[name], values]) if name in best else values
            before = len(so_far) - len(values)
            for k in curve:
                if S < k <= S + len(poses):
                    some = so_far[: before + k - S]
                    curves[f"best_of_{k}"][name] = _best(name, some)
            best[name] = _best(name, so_far)
            sums[name] += values.sum(0, dtype=torch.float64).cpu()
        S, total = S + len(poses), total + poses.sum(0, dtype=torch.float64)
    mean = (total / S).to(target)[None]
    scores = {
        "mean": _values(mean, target, names, items),
        "best": best,
        "any": {name: (value / S).float()[None] for name, value in sums.items()},
    } | {choice: by for choice, by in curves.items() if by}
    if centre is None or S < 2:
        return scores
    return scores | {"cloud": _score_cloud(torch.cat(kept), target, centre)}


def _best(name: str, values: Tensor) -> Tensor:
    return metrics.best_of_s(values, METRICS[name].higher_is_better)[None]


def _score_cloud(poses: Tensor, target: Tensor, centre: Tensor) -> dict[str, Tensor]:
    """Distributional scores of (S, B, 1, J, 3) against (B, 1, J, 3), each (1, B, ...)."""
    cloud, truth = poses[:, :, 0], target[:, 0]
    measured = len(poses) >= metrics.LEAST_S
    distances = metrics.mahalanobis(cloud, truth, centre[:, 0])[:, 1:] if measured else None
    few = zip(cloud.split(FRAMES_AT_ONCE, dim=1), truth.split(FRAMES_AT_ONCE), strict=True)
    return {
        "ES": torch.cat([metrics.energy_score(x, y) for x, y in few])[None],
        "spread": metrics.spread(cloud)[:, 1:].mean((-2, -1))[None],
        "covered": metrics.covered(cloud, truth)[:, 1:][None],
    } | ({} if distances is None else {"mahalanobis": distances[None]})


def _values(poses: Tensor, target: Tensor, names: Sequence[str], items: range) -> dict[str, Tensor]:
    """Metrics of (S, B, 1, J, 3) against (B, 1, J, 3), each (S, B)."""
    if not poses.isfinite().all():
        raise ValueError(
            f"expected finite poses, got NaN or infinity in frames {items.start} to "
            f"{items.stop - 1} of the data set: are weights and alpha what they should be?"
        )
    return {name: METRICS[name].of(poses, target)[..., 0] for name in names}
