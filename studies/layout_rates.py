"""How often wrong and right layouts are rejected, the table of docs/formats.md: python -m studies.layout_rates"""

import sys
from dataclasses import replace

from prpose.data import DATASETS, load_clips
from prpose.layouts import LAYOUTS
from prpose.plausibility import implausibilities
from tests.detections import detect


def one_frame(clip, t):
    frames = slice(t, t + 1)
    xy, poses = clip.keypoints_px[frames], clip.poses_cam[frames]
    return replace(clip, keypoints_px=xy, poses_cam=poses, confidence=None, hidden=None)


def count(clips, true, declared, kinds=("layout", "lying", "upside-down"), change=lambda xy, height: xy):
    """How many clips are rejected, and how many only warned of, for one of these kinds."""
    rejected = warned = 0
    for clip in clips:
        xy, confidence = detect(clip, true, ear=0.8)  # in profile, and with hair, detectors are less sure of ears
        found = implausibilities(change(xy, clip.camera.height), declared, confidence)
        found = [finding.certain for finding in found if finding.kind in kinds]
        rejected += any(found)
        warned += bool(found) and not any(found)
    return f"{rejected} rejected, {warned} warned of"


def main(data="walkers", root=".", stride=1):
    clips = [clip for split in DATASETS[data].splits for clip in load_clips(data, root, split, stride=int(stride))]
    frames = [one_frame(clip, t) for clip in clips for t in range(0, len(clip), max(1, len(clip) // 8))]
    for what, some in (("clips", clips), ("single frames", frames)):
        print(f"{len(some)} {what}")
        for one, other in (("h36m17", "coco17"), ("coco17", "h36m17"), *((name, name) for name in LAYOUTS)):
            print(f"  {one} as {other}: {count(some, one, other)}", flush=True)
    mirror = list(LAYOUTS["coco17"].mirror)
    for what, kind, change in (
        ("y upwards", "upside-down", lambda xy, height: xy * [1, -1] + [0, height]),
        ("x and y exchanged", "lying", lambda xy, height: xy[..., ::-1]),
        ("left and right exchanged", "sides", lambda xy, height: xy[:, mirror]),
    ):
        print(f"  {what}: {count(clips, 'coco17', 'coco17', (kind,), change)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
