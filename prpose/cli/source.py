"""What "prpose predict" reads, and what its user says of it."""

from dataclasses import dataclass
from pathlib import Path

from prpose.read_keypoints import pick, tracks_of
from prpose.tracks import Track


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
        person: which, if there are several; without it, they are listed.
    """

    format: str | None = None
    layout: str | None = None
    image_size: tuple[int, int] | None = None
    fps: float | None = None
    person: str | None = None

    def read(self, file: Path) -> Track:
        """One person's track."""
        tracks = tracks_of(file, self.format, self.layout, self.image_size, self.fps)
        try:
            return pick(tracks, self.person)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
