"""People who are watched live: how long a frame takes."""

from collections.abc import Sequence

import numpy as np

from prpose.bench.clip import FPS, SIZE, now_on
from prpose.camera import Array
from prpose.data import load_clips
from prpose.prediction.how import How
from prpose.predictor import Predictor

PERCENTILES = (50, 90, 99)


def frames_ms(predictor: Predictor, S: int, frames: int, warm_up: int = 30) -> Array:
    """Milliseconds of each frame of a stream, (frames,), after so many that do not count."""
    clips = load_clips("walkers", ".", "test")
    pixels = np.concatenate([clip.keypoints_px for clip in clips])
    now = now_on(next(predictor.net.parameters()).device)
    stream = predictor.stream(SIZE, "h36m17", S, fps=FPS, how=How(as_is=True))
    took = []
    for t in range(warm_up + frames):
        start = now()
        stream.step(pixels[t % len(pixels)])
        took.append(now() - start)
    return np.array(took[warm_up:]) * 1000


def percentiles(ms: Sequence[Array]) -> dict[str, float]:
    """Of all frames."""
    return {f"p{q}": float(np.percentile(np.concatenate(ms), q)) for q in PERCENTILES}
