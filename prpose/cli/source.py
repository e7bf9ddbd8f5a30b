"""What "prpose predict" reads or watches, and what its user says of it."""

import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from prpose.cli.progress import progress
from prpose.io import model_file
from prpose.io.keypoints import people_from, pick, read_people
from prpose.io.keypoints.openpose import frame_files
from prpose.io.named import detector_of
from prpose.io.overlay import check_overlay, write_overlay
from prpose.io.video import kind_of, open_video
from prpose.io.watching import watch
from prpose.keypoints import Keypoints
from prpose.prediction import Prediction

WATCHING = {
    "--detector": "detector",
    "--detector-model": "detector_model",
    "--people": "people",
    "--seconds": "seconds",
}
"""Options that say nothing of keypoints."""


def check_apart(file: Path, *outputs: Path | None) -> None:
    """``ValueError`` if what is read would be written over, or what is written.

    Folders of photos, and of MMPose's files, are told by all that is in them; so nothing may be
    written into those, either.

    Args:
        file: that is read, or folder of one clip.
        outputs: files that are to be written.
    """
    inside = frame_files(file) if file.is_dir() else []
    taken = {os.path.realpath(path) for path in (file, *inside)}
    for out in outputs:
        place = os.path.realpath(out or "")
        if out is not None and place in taken:
            raise ValueError(f"{out}: expected a file of its own, got one that is read, or two")
        if out is not None and not inside and os.path.dirname(place) in taken:
            raise ValueError(f"{out}: expected a place outside of the folder that is read")
        taken |= set() if out is None else {place}


@dataclass(frozen=True)
class Source:
    """Whose keypoints, and what the file does not say.

    Args:
        format: of the file, where it is not to be recognised: coco, coco-annotations, openpose,
            alphapose, mmpose, mediapipe, videopose3d, detectron2, npy, csv, npz.
        layout: order of the joints, where the file does not say it: h36m17, coco17, coco18,
            body25, halpe26, wholebody133, blazepose33, mpi28.
        image_size: width and height, pixels, where the file does not say them.
        fps: frames per second, where the file does not say them.
        person: which, if there are several, or all; without it, they are listed.
        detector: of people in pictures and video: mediapipe, or package.module:Class of your own.
        detector_model: file that the detector needs; MediaPipe's is fetched on first use.
        people: to look for, at most; one is followed and smoothed over time.
        seconds: to watch; a camera without it ends by Ctrl-C.
        overlay: file for the pictures with the poses on them: png of a photo, else mp4, mov or mkv.
    """

    format: str | None = None
    layout: str | None = None
    image_size: tuple[int, int] | None = None
    fps: float | None = None
    person: str | None = None
    detector: str = "mediapipe"
    detector_model: Path | None = None
    people: int = 1
    seconds: float | None = None
    overlay: Path | None = None

    def check(self, file: Path, overwrite: bool, many: bool = False) -> None:
        """``ValueError`` for what cannot be done; ask before the work."""
        if self.overlay is not None and many:
            raise ValueError(f"{self.overlay}: expected one person of one film to draw, got many")
        if self.overlay is not None:
            check_overlay(kind_of(file) if self.is_watched(file) else None, self.overlay, overwrite)
        given = [flag for flag, of in WATCHING.items() if getattr(self, of) != getattr(Source, of)]
        if given and not many and file.exists() and not self.is_watched(file):
            raise ValueError(f"{file}: expected pictures or video with {', '.join(given)}, got keypoints")

    def is_watched(self, file: Path) -> bool:
        """Whether people are to be found in pictures, rather than read from a file."""
        return self.format is None and kind_of(file) is not None

    def read(self, file: Path, bar: bool = True) -> Keypoints:
        """One person's track; ``bar`` is whether there may be one of the frames' progress."""
        tracks = self.tracks(file, bar)
        try:
            return pick(tracks, self.person)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None

    def tracks(self, file: Path, bar: bool = True) -> list[Keypoints]:
        """Everybody's."""
        if self.is_watched(file):
            return self._watched(file, bar)
        return read_people(file, self.format, self.layout, self.image_size, self.fps)

    def draw_over(self, file: Path, poses: Prediction, overwrite: bool) -> None:
        """The overlay, if it is wanted."""
        if self.overlay is not None:
            film = open_video(file, self.fps, self.seconds)
            with progress("overlay", film.total) as advance:
                write_overlay(film, poses, self.overlay, overwrite, advance)
            print(f"written: {self.overlay}")

    def _watched(self, file: Path, bar: bool) -> list[Keypoints]:
        """Everybody whom the detector finds."""
        film = open_video(file, self.fps, self.seconds)
        own = self.detector != "mediapipe" or self.detector_model is not None
        if not own and not model_file.cached().is_file():
            print(f"note: fetching {model_file.URL}, once", file=sys.stderr)
        with (
            detector_of(self.detector, self.detector_model, self.people) as detector,
            progress("frames", film.total) if bar else nullcontext() as advance,
        ):
            reading = watch(film, detector, advance)
        try:
            if not reading.sightings:
                raise ValueError("expected somebody in it, the detector found nobody in any frame")
            fps = None if film.kind == "folder" else self.fps  # a folder has taken it over
            return people_from(reading, self.layout, self.image_size, fps)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
