"""What a report draws beside its tables: joints, calibration, curves over S, and the best and worst frames."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from prpose import metrics
from prpose.data.windows import Windows
from prpose.evaluation import Draw, extra_sigma
from prpose.evaluation.protocols import LEAST_N, Protocol, Row, Scores, covered_shares, groups_of
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17

MOST_SAMPLES = 20  # of an example; more are not easier to see
EXAMPLES = 3  # best frames, and as many worst ones


def joint_table(scores: Scores, windows: Windows, protocol: Protocol) -> dict[str, Any]:
    """Error of the deterministic pose and spread of the samples by joint but the pelvis, mm, by group and on average.

    The average is the protocol's. ``rank_correlation`` is Spearman's of spread and error over the frames, per joint;
    None of fewer than 50 frames or one sample.
    """
    values = {name: value[:, 1:].double() * 1000 for name, value in scores["joints"].items()}
    groups = groups_of(windows, protocol.group)
    means: dict[str, dict[str, list[float]]] = {}
    for group in sorted(set(groups)):
        inside = torch.tensor([name == group for name in groups])
        means[group] = {name: value[inside].mean(0).tolist() for name, value in values.items()}
    by_group = {name: torch.tensor([row[name] for row in means.values()], dtype=torch.float64) for name in values}
    average = {name: x.mean(0).tolist() for name, x in (values if protocol.average == "frames" else by_group).items()}
    ranks: list[float | None] = [None] * (len(H36M_17) - 1)
    if "spread" in values and len(groups) >= LEAST_N:
        pairs = zip(values["spread"].T.numpy(), values["error"].T.numpy(), strict=True)
        ranks = [metrics.rank_correlation(*pair) for pair in pairs]
    return {"names": H36M_17.names[1:], "rows": means, "average": average, "rank_correlation": ranks}


def calibration(covered: Tensor, hidden: Tensor | None) -> dict[str, Any]:
    """Share of the (N, J - 1, levels) regions that contain the truth, by level; the ECE is its mean distance from it.

    ``overall``, and ``hidden`` where (N, J) says which joints are occluded, are the median of the joints' shares, of
    which :func:`prpose.evaluation.protocols.calibration_error` is the error.
    """
    by_joint, _ = covered_shares(covered)
    found: dict[str, Any] = {"levels": metrics.LEVELS, "overall": by_joint.median(0).values.tolist()}
    if hidden is not None:
        shares, enough = covered_shares(covered, hidden[:, 1:])
        found |= {"hidden": shares[enough].median(0).values.tolist()} if enough.any() else {}
    return found | {"joints": dict(zip(H36M_17.names[1:], by_joint.tolist(), strict=True))}


def curve_over_samples(average: Row, counts: Sequence[int]) -> dict[str, Any]:
    """Metrics of the best and of the mean of the first S samples, for each S of ``counts``."""
    found: dict[str, Any] = {"num_samples": list(counts)}
    for choice in ("best", "mean"):
        by = [average.values[f"{choice}_of_{S}"] for S in counts]
        found[choice] = {name: [values[name] for values in by] for name in by[0]}
    return found


def extremes(values: Tensor, clip_of: Tensor) -> dict[str, list[int]]:
    """Items of the smallest of (N,) values, ``best``, and of the largest, ``worst``, each at most one of a clip."""
    clips, order = clip_of.tolist(), values.argsort(stable=True).tolist()
    found = {}
    for name, items in (("best", order), ("worst", order[::-1])):
        chosen: dict[int, int] = {}
        for item in items:
            chosen.setdefault(clips[item], item)
            if len(chosen) == EXAMPLES:
                break
        found[name] = list(chosen.values())
    return found


@torch.no_grad()
def example_frames(
    net: Sampler,
    windows: Windows,
    scores: Scores,
    draw: Draw,
    batch_size: int,
    device: torch.device | str = "cpu",
    confidence_noise: float = 0.0,
) -> dict[str, list[dict[str, Any]]]:
    """The frames of the smallest and the largest P1 of the deterministic pose, with truth, pose and the first samples.

    The samples are those that were scored: their noise is drawn once more, so that no other frame's are kept. Poses
    are in metres (camera axes, relative to the pelvis, rounded to 0.1 mm), keypoints in pixels, scores in mm.
    """

    def example(item: int) -> dict[str, Any]:
        start = item // batch_size * batch_size
        items = range(start, min(start + batch_size, len(windows)))
        batch = windows[torch.tensor([item])].to(device)
        shape = torch.Size((len(items), *batch.keypoints.shape[1:-1], net.noise_channels))
        noise = next(iter(draw(items, shape)))
        eps, eps_mirrored = (part[:MOST_SAMPLES, item - start, None].to(batch.keypoints) for part in noise)
        prepared = net.prepare(batch.keypoints, extra_sigma(batch, confidence_noise))
        samples = net(batch.keypoints, eps, eps_mirrored, prepared=prepared)
        pose, _ = net.moments(batch.keypoints, prepared)
        clip, frame = windows.clips[int(windows.clip_of[item])], int(windows.frame_of[item])
        found = {"subject": clip.subject, "action": clip.action, "camera": clip.camera_index, "frame": frame}
        found["P1"] = float(scores["deterministic"]["P1"][item]) * 1000
        if "cloud" in scores:
            found["ES"] = float(scores["cloud"]["ES"][item]) * 1000
        poses = {"truth": batch.target[0, 0], "pose": pose[0, 0], "samples": samples[:, 0, 0]}
        found |= {name: value.cpu().double().numpy().round(4).tolist() for name, value in poses.items()}
        return found | {"keypoints_px": clip.keypoints_px[frame].astype(float).round(2).tolist()}

    chosen = extremes(scores["deterministic"]["P1"], windows.clip_of)
    return {name: [example(item) for item in items] for name, items in chosen.items()}
