"""How often wrong and right layouts are found implausible: the table of docs/formats.md.

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
    frames = slice(t, t + 1)
    return replace(
        clip, keypoints_px=clip.keypoints_px[frames], poses_cam=clip.poses_cam[frames], confidence=None, hidden=None
    )


def count(clips, true, declared, kinds=("layout", "lying", "upside-down"), change=lambda xy, height: xy):
    """How many clips are rejected, and how many only warned of, for one of these kinds."""
    rejected = warned = 0
    for clip in clips:
        xy, confidence = detect(clip, true)
        found = implausibilities(change(xy, clip.camera.height), declared, confidence)
        found = [finding.certain for finding in found if finding.kind in kinds]
        rejected += any(found)
        warned += bool(found) and not any(found)
    return f"{rejected} rejected, {warned} warned of"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--root", default=".")
    parser.add_argument("--stride", type=int, default=1)
    args = parser.parse_args()
    splits = DATASETS[args.data].splits
    clips = [clip for split in splits for clip in load_clips(args.data, args.root, split, stride=args.stride)]
    frames = [one_frame(clip, t) for clip in clips for t in range(0, len(clip), max(1, len(clip) // 8))]
    for what, some in (("clips", clips), ("single frames", frames)):
        print(f"{len(some)} {what}")
        for one, other in (("h36m17", "coco17"), ("coco17", "h36m17")):
            print(f"  {one} as {other}: {count(some, one, other)}")
        for layout in LAYOUTS:
            print(f"  {layout} as itself: {count(some, layout, layout)}", flush=True)
    mirror = list(LAYOUTS["coco17"].mirror)
    for what, kind, change in (
        ("y upwards", "upside-down", lambda xy, height: xy * [1, -1] + [0, height]),
        ("x and y exchanged", "lying", lambda xy, height: xy[..., ::-1]),
        ("left and right exchanged", "sides", lambda xy, height: xy[:, mirror]),
    ):
        print(f"  {what}: {count(clips, 'coco17', 'coco17', (kind,), change)}")


if __name__ == "__main__":
    main()
