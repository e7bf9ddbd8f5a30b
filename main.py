"""The command line of PRPose's release, flag for flag, on prpose.

    python main.py --shhpe_model "htnet" --sample_nums 200 --mutilhyp_test
    python main.py --shhpe_model "htnet" --sample_nums 200 --mutilhyp_test \\
        --dataset '3dhp' -k 'hrnet_coco'
    python main.py --shhpe_model "htnet" --train

Faithful to the printed digits, averaging faults included; docs/reproduce.md lists them.
For right averages use ``prpose evaluate``.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prpose.atomic import replacing
from prpose.cli.console import named_device, progress
from prpose.data import human36m, load_clips
from prpose.data.windows import Windows
from prpose.evaluation import POSES_AT_ONCE, Draw, score
from prpose.evaluation.protocols import METRICS, PROTOCOLS, action_of, groups_of
from prpose.lifter import LIFTERS
from prpose.metrics import joint_errors
from prpose.noise import AdaptiveNoise, build_variance_net
from prpose.sampler import Sampler
from prpose.tables import look_up
from prpose.training import Loss, State, TrainConfig, fit
from prpose.training.weak_supervision import mean_error
from prpose.weights import VARIANCE_PREFIX, load_published

RELEASED_ACTIONS = {"h36m": human36m.ACTIONS, "3dhp": ("Seq1",)}
"""Actions that the release averages over."""
MOST = 2**31 - 1
"""Largest count on the command line."""
UNUSED_BY_THE_RELEASE = (
    *("--out_all", "--drop", "--stride", "--lr_min", "--min_lr", "--crop_uv"),
    *("--data_augmentation", "--test_augmentation", "--reverse_augmentation"),
)
"""Accepted without effect, as in the release: training mirrors with --data_augmentation False, too."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--shhpe_model", default="htnet", help=f"lifter: {', '.join(LIFTERS)}")
    add("--dataset", default="h36m", help=f"data set: {', '.join(RELEASED_ACTIONS)}")
    add("--mutilhyp_test", action="store_true", help="test the best of --sample_nums samples")
    add("--sample_nums", type=int, default=10, help="number of samples")
    add("--alpha", type=float, help="scale of the noise (h36m 0.005, 3dhp 0.01)")
    add("--train", action="store_true", help="train the variance net")
    add("--nepoch", type=int, default=30, help="epochs, plus one: 30 runs 29, as published")
    add("--batch_size", type=int, default=512)
    add("--lr", type=float, default=5e-4)
    add("--large_decay_epoch", type=int, default=5)
    add("-lrd", "--lr_decay", type=float, default=0.95)
    add("--lr_decay_large", type=float, default=0.5)
    add("--gpu", default="0", help="index of the CUDA device, where there is one")
    add("--workers", type=int, default=4, help="accepted, without effect")
    add("--seed", type=int, default=1)
    add("-k", "--keypoints", default="cpn_ft_h36m_dbb", help="2D, as in the file's name")
    add("--root_path", default="./dataset/", help="folder of the npz files")
    add("-a", "--actions", default="*", help="one action, or * for all")
    add("--downsample", type=int, default=1)
    add("--subset", type=float, default=1)
    add("--save_ckpt_path", default="./ckpt/your_model", help="where --train writes")
    add("--reload_sigma", action="store_true", help=argparse.SUPPRESS)
    for flag in UNUSED_BY_THE_RELEASE:
        add(flag, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, draw: Draw | None = None) -> None:
    """Runs the command; ``draw`` replaces the seeded noise (the tests give the golden one)."""
    args = parse(argv)
    look_up(args.dataset, RELEASED_ACTIONS, "data set")
    look_up(args.shhpe_model, LIFTERS, "lifter")
    for name in ("sample_nums", "batch_size", "nepoch", "large_decay_epoch"):
        if not 1 <= getattr(args, name) <= MOST:
            raise ValueError(f"expected --{name} from 1 to {MOST:,}, got {getattr(args, name)}")
    for name in ("lr", "lr_decay", "lr_decay_large"):
        if not 0 < getattr(args, name) < float("inf"):
            raise ValueError(f"expected --{name} > 0, got {getattr(args, name)}")
    if not 0 <= args.seed < 2**63:
        raise ValueError(f"expected --seed from 0 to 2^63 - 1, got {args.seed}")
    device = released_device(args.gpu)
    torch.manual_seed(args.seed)
    if args.train:
        if args.batch_size < 2:
            raise ValueError(f"expected --batch_size >= 2 with --train, got {args.batch_size}")
        if args.nepoch < 2:
            raise ValueError(f"expected --nepoch >= 2 (n runs n - 1 epochs), got {args.nepoch}")
        train(args, device)
    else:
        test(args, device, draw or released_draw(args.seed, args.sample_nums, device))


def released_device(gpu: str) -> torch.device:
    """The CUDA device of that index; where there is no CUDA at all, the CPU."""
    if not gpu.isdecimal():
        raise ValueError(f"expected --gpu to be the index of a CUDA device, got {gpu!r}")
    if torch.cuda.is_available():
        return named_device(f"cuda:{int(gpu)}")
    return torch.device("cpu")


def released_draw(seed: int, S: int, device: torch.device) -> Draw:
    """One stream on the test's device, sample by sample within each batch.

    On CUDA these are the release's own numbers, since nothing else there draws on that device.
    The release has no CPU path.
    """
    generator = torch.Generator(device).manual_seed(seed)

    def draw(items: range, shape: torch.Size) -> Iterator[tuple[Tensor, Tensor]]:
        B, *rest = shape
        try:  # all at once, since CUDA's numbers depend on how many are asked for
            eps = torch.randn(S * B, 2, *rest, generator=generator, device=device)
        except (RuntimeError, TypeError) as error:
            reason = str(error).split("\n")[0]
            raise ValueError(f"no memory for the noise of --sample_nums {S} ({reason})") from None
        eps = eps.unflatten(0, (S, B))
        at_once = max(1, POSES_AT_ONCE // B)
        yield from zip(eps[:, :, 0].split(at_once), eps[:, :, 1].split(at_once), strict=True)

    return draw


def test(args: argparse.Namespace, device: torch.device, draw: Draw) -> None:
    net = Sampler(
        load_published(args.shhpe_model, f"ckpt/shhpe_model_{args.shhpe_model}.pth"),
        AdaptiveNoise(
            load_published(VARIANCE_PREFIX + args.shhpe_model, f"ckpt/avg_model_{args.shhpe_model}.pth"),
            PROTOCOLS[args.dataset].alpha if args.alpha is None else args.alpha,
        ),
    ).to(device)
    windows = load_windows(args, "test")
    names = ("P1", "P2") if args.dataset == "h36m" else ("PCK17",)
    if args.mutilhyp_test:
        print(f"INFO: Generate multiple hypotheses with a number of {args.sample_nums}")
    else:
        print("INFO: Generate without multiple hypotheses ")
    with progress("test", len(windows)) as advance:
        noise = draw if args.mutilhyp_test else None
        scores = score(net, windows, names, noise, args.batch_size, device, False, (), advance)
    values = scores["best" if args.mutilhyp_test else "deterministic"]
    listed = RELEASED_ACTIONS[args.dataset] if args.actions == "*" else (args.actions,)
    printed = [
        average_as_released(values[name], windows, args.batch_size, listed, name == "P2") * METRICS[name].scale
        for name in names
    ]
    if args.dataset == "h36m":
        print("Human3.6M  [  p1: {:.2f}, p2: {:.2f} ]".format(*printed))
    else:
        print("MPI-INF-3DHP [  pck: {:.2f}  ]".format(*printed))


def train(args: argparse.Namespace, device: torch.device) -> None:
    if args.dataset != "h36m":
        raise ValueError("expected --dataset h36m with --train: MPI-INF-3DHP is tested on only")
    lifter = load_published(args.shhpe_model, f"ckpt/shhpe_model_{args.shhpe_model}.pth")
    windows = load_windows(args, "train")
    folder = Path(args.save_ckpt_path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder for --save_ckpt_path, got a file")
    folder.mkdir(parents=True, exist_ok=True)
    with progress("targets", len(windows)) as advance:
        targets = error_targets(lifter.to(device), windows, args.batch_size, device, advance)
    net = build_variance_net(args.shhpe_model).to(device)
    epochs = args.nepoch - 1  # the release's loop ends one early
    config = TrainConfig(
        epochs=epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        seed=args.seed,
        schedule="published",
        lr_decay=args.lr_decay,
        lr_decay_large=args.lr_decay_large,
        large_decay_every=args.large_decay_epoch,
        clip=None,
        ema=None,
        precision="float32",
    )
    state = State(net, config)

    def save(steps: list[tuple[int, float]]) -> None:
        # The release divides the sum of batch means by the number of items.
        logged = sum(loss for _, loss in steps) / len(windows)
        mean = sum(items * loss for items, loss in steps) / sum(items for items, _ in steps)
        rate = config.rate(state.epoch - 1, 0, 1)
        print(f"e: {state.epoch}, lr: {rate:.7f}, loss: {logged:.4f}  (mse {mean:.4f})")
        with replacing(folder / f"avg_model_{args.shhpe_model}.pth") as path:
            torch.save({k: v.cpu() for k, v in net.state_dict().items()}, path)

    with progress("train", epochs * len(windows), "poses") as advance:
        fit(state, windows, fixed_targets(targets), lambda items, loss: advance(items), save)


def error_targets(
    lifter: nn.Module,
    windows: Windows,
    batch_size: int = 512,
    device: torch.device | str = "cpu",
    on_batch: Callable[[int], None] = lambda items: None,
) -> Tensor:
    """Targets of the variance net for every item of ``windows``, (N, 1, J, 1).

    The distance of each joint from the truth, divided by the mean distance over all items and joints (arXiv 2405.02114,
    §3.2). The truth's pelvis is at 0, the prediction's stays where the lifter puts it.

    Args:
        lifter: frozen, in eval mode, on ``device``.
        windows: with mirror images, as published.
        batch_size: items at once.
        on_batch: called with the number of items after each batch.
    """
    distance = windows.values(
        lambda batch: joint_errors(lifter(batch.keypoints), batch.target)[..., None], device, batch_size, on_batch
    )
    return distance / mean_error(distance)


def fixed_targets(targets: Tensor) -> Loss:
    """Loss against precomputed targets, (N, 1, J, 1), by item, of windows of one frame."""
    return lambda net, indices, batch: F.mse_loss(net(batch.keypoints), targets[indices].to(batch.keypoints))


def load_windows(args: argparse.Namespace, split: str) -> Windows:
    clips = load_clips(
        args.dataset, args.root_path, split, args.keypoints, (args.actions,), args.downsample, args.subset
    )
    return Windows(clips, mirrored=split == "train")


def average_as_released(
    values: Tensor, windows: Windows, batch_size: int, listed: Sequence[str], batch_mean: bool
) -> float:
    """The average of (N,) that PRPose's release prints, with two of its faults.

    Args:
        values: per frame, in the order of the data set.
        windows: that were scored.
        batch_size: of the run that is repeated.
        listed: actions that are averaged; one without data counts as zero.
        batch_mean: first give every frame its batch's mean, which mixes the actions of a batch (the release's P2).
    """
    if batch_mean:
        values = torch.cat([b.mean().expand(len(b)) for b in values.split(batch_size)])
    groups, total = groups_of(windows, action_of), 0.0
    for action in listed:
        inside = torch.tensor([group == action for group in groups])
        total += float(values[inside].double().mean()) if inside.any() else 0.0
    return total / len(listed)


if __name__ == "__main__":
    from prpose.cli import guarded

    sys.exit(guarded(main))
