"""The focal length: stated by a photo or video, or assumed, with what that means for the root."""

import struct

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import least_squares

import prpose
from prpose.camera import ASSUMED_FOCAL
from prpose.io.detector import run_detector
from prpose.io.keypoints import people_from
from prpose.io.video import open_video
from prpose.keypoints import Keypoints, load_keypoints, save_keypoints
from prpose.postprocess import assumed_covariance
from tests.videos import Finder, picture, write_video

KEY = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
DIAGONAL = 400.0  # of 320 x 240 pixels


def write_photo(path, tags, image=None):
    """A JPEG of 320 x 240 pixels with these Exif tags."""
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({tag: value for tag, value in tags.items() if tag != 0x0112})
    if 0x0112 in tags:
        exif[0x0112] = tags[0x0112]
    Image.fromarray(picture() if image is None else image).save(path, exif=exif, quality=95)
    return path


def read(path):
    (keypoints,) = people_from(run_detector(open_video(path), Finder()))
    return keypoints


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({0xA405: 28}, 28 * DIAGONAL / 43.27),
        ({0xA405: 28, 0xA002: 320, 0xA003: 240}, 28 * DIAGONAL / 43.27),
        ({0xA405: 28, 0xA002: 240, 0xA003: 320}, 28 * DIAGONAL / 43.27),  # the size before it was turned
        ({0xA405: 28, 0xA002: 640, 0xA003: 480}, None),  # cropped, or made smaller
        ({0xA405: 2}, None),  # a field of view of 169 degrees
        ({0xA405: 600}, None),  # of 4 degrees
        ({0xA405: 0}, None),
        ({0x920A: 4.0, 0xA20E: 2540.0, 0xA210: 2}, 400.0),  # 4 mm at 2540 pixels per inch
        ({0x920A: 4.0, 0xA20E: 100.0, 0xA210: 4}, 400.0),  # at 100 pixels per mm
        ({0x920A: 4.0}, None),
        ({}, None),
    ],
)
def test_exif_states_the_focal_length_of_a_photo(tmp_path, tags, expected):
    found = read(write_photo(tmp_path / "photo.jpg", tags)).focal_px
    assert found == (expected if expected is None else pytest.approx(expected))


def test_a_turned_photo_keeps_its_focal_length_and_damaged_exif_has_none(tmp_path):
    keypoints = read(write_photo(tmp_path / "turned.jpg", {0xA405: 28, 0xA002: 320, 0xA003: 240, 0x0112: 6}))
    assert keypoints.image_size == (240, 320)
    assert keypoints.focal_px == pytest.approx(28 * DIAGONAL / 43.27)
    path = write_photo(tmp_path / "damaged.jpg", {0xA405: 28})
    path.write_bytes(path.read_bytes().replace(b"\xa4\x05", b"\xff\x00", 1))
    assert read(path).focal_px is None


def test_the_photos_of_a_clip_must_agree(tmp_path):
    for name, focal in (("1.jpg", 28), ("2.jpg", 28)):
        write_photo(tmp_path / name, {0xA405: focal})
    assert read(tmp_path).focal_px == pytest.approx(28 * DIAGONAL / 43.27)
    write_photo(tmp_path / "3.jpg", {0xA405: 52})  # another lens of the phone
    assert read(tmp_path).focal_px is None


def box(kind, content):
    return struct.pack(">I4s", len(content) + 8, kind) + content


def metadata(kind, value, iso=False):
    key = b"mdta" + KEY.encode()
    keys = box(b"keys", bytes(4) + struct.pack(">II", 1, len(key) + 4) + key)
    data = box(b"data", struct.pack(">II", kind, 0) + value)
    values = box(b"ilst", struct.pack(">II", len(data) + 8, 1) + data)
    return box(b"meta", bytes(4 * iso) + box(b"hdlr", bytes(8) + b"mdta" + bytes(14)) + keys + values)


def boxes(data):
    while data:
        size, kind = struct.unpack(">I4s", data[:8])
        yield kind, data[8:size]
        data = data[size:]


def with_metadata(path, extra, in_track):
    """The video with a box of metadata added to its header, or to its track; phones write the header last."""
    content = list(boxes(path.read_bytes()))
    header = dict(content)[b"moov"]
    inner = [box(kind, part + extra * (in_track and kind == b"trak")) for kind, part in boxes(header)]
    others = [box(kind, part) for kind, part in content if kind != b"moov"]
    path.write_bytes(b"".join([*others, box(b"moov", b"".join(inner) + extra * (not in_track))]))


@pytest.mark.parametrize("in_track", [False, True])
@pytest.mark.parametrize(
    ("kind", "value"), [(1, b"27"), (22, b"\x00\x00\x00\x1b"), (23, struct.pack(">f", 27)), (1, b"27.0")]
)
def test_quicktime_metadata_states_the_focal_length_of_a_video(tmp_path, kind, value, in_track):
    path = write_video(tmp_path / "phone.mov", [picture()] * 3)
    with_metadata(path, metadata(kind, value, iso=in_track), in_track)
    assert read(path).focal_px == pytest.approx(27 * DIAGONAL / 43.27)


@pytest.mark.parametrize("value", [b"-13", b"1", b"far", b""])
def test_absurd_and_damaged_metadata_is_ignored(tmp_path, value):
    path = write_video(tmp_path / "phone.mov", [picture()] * 3)
    assert read(path).focal_px is None
    with_metadata(path, metadata(1, value), True)
    assert read(path).focal_px is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_stated_focal_length_reaches_the_prediction_unless_the_user_gives_one(tmp_path):
    keypoints = read(write_photo(tmp_path / "photo.jpg", {0xA405: 28}))
    save_keypoints(tmp_path / "photo.npz", keypoints)
    stated = load_keypoints(tmp_path / "photo.npz")
    assert stated.focal_px == keypoints.focal_px
    model = prpose.load("mgcn-cmu17")
    prediction = model(stated, num_samples=5)
    assert prediction.camera.focal_px == (stated.focal_px, stated.focal_px)
    assert any("259 pixels, is from the metadata" in text for text in prediction.warnings)
    wide = model(stated, num_samples=5, config=prpose.InferenceConfig(fov_deg=90))
    assert wide.camera.focal_px == pytest.approx((160, 160))
    own = model(stated, num_samples=5, intrinsics=(300, 300, 160, 120))
    assert own.camera.focal_px == (300, 300)
    assert not any("focal" in text for text in (*wide.warnings, *own.warnings))
    unknown = model(Keypoints(stated.xy, (320, 240), "coco17"), num_samples=5)
    assert unknown.camera.focal_px == (ASSUMED_FOCAL * DIAGONAL,) * 2
    assert any("0.72 of the image diagonal" in text for text in unknown.warnings)
    relative = [p.root_covariance[0, 2, 2] ** 0.5 / p.root[0, 2] for p in (unknown, prediction, own)]
    assert relative[0] > 0.2 > relative[1] > relative[2]
    with pytest.raises(ValueError, match="expected focal_px > 0, got -1"):
        Keypoints(stated.xy, (320, 240), "coco17", focal_px=-1)


def test_the_roots_covariance_holds_that_of_an_assumed_camera():
    """Against a Monte Carlo with a solver of its own, for a person off the image's middle."""
    rng = np.random.default_rng(0)
    camera = prpose.InferenceConfig().camera(1080, 1920)
    focal, sds = camera.focal_px[0], (0.1, 0.008)
    pose = rng.normal(size=(17, 3)) * 0.3
    pixels = camera.project(pose + np.array([0.6, 0.3, 4.0]))

    def residuals(root, f, centre):
        points = pose + root
        return ((points[:, :2] / points[:, 2:]) - (pixels - centre) / f).ravel()

    roots = []
    for _ in range(600):
        f = focal * np.exp(sds[0] * rng.normal())
        centre = camera.center_px + sds[1] * np.hypot(1080, 1920) * rng.normal(size=2)
        roots.append(least_squares(residuals, [0.6, 0.3, 4.0], args=(f, centre), method="lm").x)
    expected = np.cov(np.array(roots).T)
    plane = ((pixels - camera.center_px) / focal)[None]
    found = assumed_covariance(pose[None], plane, camera, *sds)[0]
    assert np.allclose(found, expected, atol=0.12 * np.sqrt(np.outer(*[expected.diagonal()] * 2)))
    assert found[2, 2] ** 0.5 == pytest.approx(0.1 * 4, rel=0.1)
    assert not assumed_covariance(pose[None], plane, camera, 0.0, 0.0).any()
