"""Errors of one-pass models where cameras, bodies and motions are unusual, as on real recordings.

    python studies/conditions.py gaussian-wide gaussian-cmu17 --root dataset

Windows of cmu17's validation recordings in front of random cameras: like those of the benchmark; of any kind, 2.5 to
6 m away, from 10 degrees below to 35 above, rolled; with bones that differ by 15 % (and 8 % in size); and with arms and
legs that move as somebody else's.
"""

import sys
from pathlib import Path

import torch
import tyro
from scipy.special import chdtri
from tyro.conf import Positional

import prpose
from prpose.cli import guarded
from prpose.cli.console import print_table
from prpose.data import load_motions
from prpose.data.synthetic.random_views import Proportions, RandomCameras, RandomViews
from prpose.lifter import frame_step, receptive_field
from prpose.metrics import mpjpe, p_mpjpe

CONDITIONS = {  # share of windows with wide cameras, wide bodies and exchanged limbs
    "benchmark": (0.0, 0.0, 0.0),
    "cameras": (1.0, 0.0, 0.0),
    "cameras, bodies": (1.0, 1.0, 0.0),
    "cameras, bodies, motions": (1.0, 1.0, 1.0),
}


@torch.no_grad()
def measures(model: prpose.Model, views: RandomViews, batches: int, seed: int) -> list[float]:
    """P1 and P2, mm, and how many joints the 95 % regions of the covariance hold, %."""
    found = []
    for number, (_, batch) in enumerate(views.batches(256, (seed,))):
        if number == batches:
            break
        mean, covariance = model.sampler.moments(batch.keypoints)
        assert covariance is not None, "a one-pass model states its covariance"
        off = (mean - batch.target)[:, :, 1:]
        distance = (off * torch.linalg.solve(covariance[:, :, 1:], off)).sum(-1)
        inside = (distance < chdtri(3, 0.05)).double().mean((1, 2))
        found.append(torch.stack([1e3 * mpjpe(mean, batch.target), 1e3 * p_mpjpe(mean, batch.target)], -1).mean((0, 1)))
        found[-1] = torch.cat([found[-1].double(), 100 * inside.mean(0, keepdim=True)])
    return torch.stack(found).mean(0).tolist()


def main(
    models: Positional[tuple[str, ...]], root: Path = Path("dataset"), batches: int = 8, seed: int = 7
) -> dict[str, list[float]]:
    """Print P1, P2 (mm) and the share of joints in 95 % regions (%) for each condition and model.

    Args:
        models: Bundled one-pass models or model folders.
        root: Folder with the npz files of cmu17.
        batches: Number of batches of 256 windows.
        seed: Of cameras, bodies and detector noise.
    """
    motions, rows = load_motions("cmu17", root, "val"), {}
    for condition, (cameras, bodies, motion) in CONDITIONS.items():
        for name in models:
            model = prpose.load(name)
            lifter = model.sampler.lifter
            wide = RandomCameras(wide=cameras, wide_pitch_deg=(-10, 35), wide_distance_m=(2.5, 6), wide_zoom=0)
            views = RandomViews(
                motions, receptive_field(lifter), 5, framed=True, step=frame_step(lifter), balance=0.5, cameras=wide,
                proportions=Proportions(wide=bodies, exchanged=motion),
            )  # fmt: skip
            rows[f"{condition}: {Path(name).name}"] = measures(model, views, batches, seed)
    shown = {label: [f"{value:.1f}" for value in row] for label, row in rows.items()}
    print_table("cmu17 val", ("P1", "P2", "95 %"), shown)
    return rows


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
