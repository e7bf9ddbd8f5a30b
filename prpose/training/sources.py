"""What a training learns from, and what it is judged by."""

from collections.abc import Sequence
from pathlib import Path

from prpose.data import data_set, load_clips, load_motions
from prpose.data.synthetic.random_views import RandomViews
from prpose.data.windows import Windows
from prpose.training import Source

VALIDATION = "val"


def training_data(
    name: str,
    root: Path,
    keypoints: str,
    every: int = 1,
    val_every: int = 1,
    held_out: Sequence[str] = (),
    F: int = 1,
    causal: bool = False,
) -> tuple[Source, Windows]:
    """Training windows and validation windows of a data set.

    Motion capture is filmed anew for every batch. Of what was filmed for real, the windows and
    their mirror images are the training data; where there is no validation split, some training
    subjects are held out for it, since the test split chooses nothing.

    Args:
        name, root, keypoints: as of :func:`prpose.data.load_clips`.
        every: training windows belong to every so many-th frame.
        val_every: the same for validation.
        held_out: training subjects to validate on, if the data set has no validation split; the
            last one if none is named.
        F, causal: windows as of :class:`prpose.data.windows.Windows`.

    Raises:
        ValueError: as of :func:`prpose.data.load_clips`; or for subjects that are held out of a
            data set with a validation split, or are not there, or are all there are.
    """
    if data_set(name, root).motions is not None:
        if held_out:
            raise ValueError(f"expected no subjects held out: {name} has a split for validation")
        val = load_clips(name, root, VALIDATION, keypoints)
        views = RandomViews(load_motions(name, root, "train"), F, every, keypoints, causal)
        return views, Windows(val, F, every=val_every, causal=causal)
    clips = load_clips(name, root, "train", keypoints)
    subjects = list(dict.fromkeys(clip.subject for clip in clips))
    out = list(held_out) or subjects[-1:]
    absent = [subject for subject in out if subject not in subjects]
    if absent or len(set(out)) == len(subjects):
        raise ValueError(
            f"expected some of {', '.join(subjects)} to be held out for validation, but not all, got {', '.join(out)}"
        )
    kept = [clip for clip in clips if clip.subject not in out]
    val = [clip for clip in clips if clip.subject in out]
    train = Windows(kept, F, mirrored=True, every=every, causal=causal)
    return train, Windows(val, F, every=val_every, causal=causal)
