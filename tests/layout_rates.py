"""How often a wrong layout is doubted, and a right one: the table of docs/formats.md.

python -m tests.layout_rates walkers
python -m tests.layout_rates cmu17 --root dataset --stride 6
"""

import argparse
from dataclasses import replace

from prpose.data import DATASETS, load_clips
from prpose.layouts import LAYOUTS
from prpose.plausibility import implausibilities
from tests.detections import detect


def one_frame(clip, t):
    return replace(
        clip, keypoints_px=clip.keypoints_px[t : t + 1], poses_cam=clip.poses_cam[t : t + 1],
        score=None, hidden=None,
    )  # fmt: skip


def count(clips, true, declared):
    """How many raise a doubt."""
    found = ((detect(clip, true), clip) for clip in clips)
    return sum(bool(implausibilities(keypoints, declared, score)) for (keypoints, score), _ in found)


def count_turned(clips, turn, kind, layout="coco17"):
    """How many raise a doubt of a kind after their pixels are turned."""
    total = 0
    for clip in clips:
        keypoints, score = detect(clip, layout)
        found = implausibilities(turn(keypoints, clip.camera.height), layout, score)
        total += any(doubt.kind == kind for doubt in found)
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--root", default=".")
    parser.add_argument("--stride", type=int, default=1)
    args = parser.parse_args()
    splits = DATASETS[args.data].splits
    clips = [c for s in splits for c in load_clips(args.data, args.root, s, stride=args.stride)]
    frames = [one_frame(c, t) for c in clips for t in range(0, len(c), max(1, len(c) // 8))]
    for what, some in (("clips", clips), ("single frames", frames)):
        print(f"{len(some)} {what}")
        for one, other in (("h36m17", "coco17"), ("coco17", "h36m17")):
            right, wrong = count(some, one, one), count(some, one, other)
            print(f"  {one} as {one}: {right}, as {other}: {wrong}")
    for layout in LAYOUTS:
        print(f"  {layout} as itself: {count(clips, layout, layout)} of {len(clips)} clips")
    mirror = list(LAYOUTS["coco17"].mirror)
    for what, turn, kind in (
        ("y upwards", lambda k, height: k * [1, -1] + [0, height], "upside-down"),
        ("x and y exchanged", lambda k, height: k[..., ::-1], "lying"),
        ("left and right exchanged", lambda k, height: k[:, mirror], "sides"),
    ):
        print(f"  {what}: {count_turned(clips, turn, kind)} of {len(clips)} clips")


if __name__ == "__main__":
    main()
