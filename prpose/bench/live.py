"""People who are watched live: how long a frame takes."""

import time
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from prpose.bench.clip import FPS, SIZE, now_on
from prpose.camera import Array
from prpose.config import InferenceConfig
from prpose.data import load_clips
from prpose.model import Model

PERCENTILES = (50, 90, 99)


class Frames(NamedTuple):
    """Milliseconds of each frame, (frames,), and of all threads for a frame, on average."""

    ms: Array
    cpu_ms: float


def watch(predictor: Model, S: int, frames: int, warm_up: int = 30) -> Frames:
    """Times each frame of a stream, after so many that do not count."""
    clips = load_clips("walkers", ".", "test")
    pixels = np.concatenate([clip.keypoints_px for clip in clips])
    now = now_on(next(predictor.net.parameters()).device)
    stream = predictor.stream(SIZE, "h36m17", S, fps=FPS, config=InferenceConfig(allow_implausible=True))
    took, cpu = [], 0.0
    for t in range(warm_up + frames):
        if t == warm_up:
            cpu = time.process_time()
        start = now()
        stream.step(pixels[t % len(pixels)])
        took.append(now() - start)
    cpu = (time.process_time() - cpu) / frames
    return Frames(np.array(took[warm_up:]) * 1000, cpu * 1000)


def percentiles(turns: Sequence[Frames]) -> dict[str, float]:
    """Of all frames; and the median turn's average of CPU time."""
    ms = np.concatenate([turn.ms for turn in turns])
    found = {f"p{q}": float(np.percentile(ms, q)) for q in PERCENTILES}
    return found | {"cpu": median(turn.cpu_ms for turn in turns)}
