"""Small motion capture files of the tests, and the folder of the real ones."""

from pathlib import Path

import numpy as np
import pytest

from prpose.data.synthetic.walkers import walker
from prpose.skeleton import H36M_17

CMU = Path(__file__).parent.parent.parent / "shared" / "cmu"
needs_cmu = pytest.mark.skipif(not CMU.is_dir(), reason="no CMU motion capture: real files are not checked")

BVH_TREE = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition %(a)s
  JOINT Leg
  {
    OFFSET 1.5 -2 0.25
    CHANNELS 3 %(b)s
    JOINT Foot
    {
      OFFSET 0 -4 0.5
      CHANNELS 3 %(c)s
      End Site
      {
        OFFSET 0 0 1
      }
    }
  }
  JOINT Spine
  {
    OFFSET 0 2 0
    CHANNELS 3 %(b)s
    End Site
    {
      OFFSET 0 3 0
    }
  }
}
MOTION
Frames: %(frames)d
Frame Time: 0.02
"""
ORDERS = {"a": "ZYX", "b": "XZY", "c": "YXZ"}


def bvh_text(frames=3, orders=ORDERS, seed=0):
    channels = {k: " ".join(f"{axis}rotation" for axis in order) for k, order in orders.items()}
    values = np.random.default_rng(seed).uniform(-170, 170, (frames, 15))
    rows = "\n".join(" ".join(f"{value:.5f}" for value in row) for row in values)
    return BVH_TREE % (channels | {"frames": frames}) + rows + "\n"


BONES = [
    (1, "hip", "1 0 0", "2", "0 0 0 XYZ"),
    (
        2,
        "thigh",
        "0.34202 -0.939693 0",
        "7.5",
        "10 -40 20 XYZ",
        "rx ry rz",
        "(-160.0 20.0)",
        "(-70.0 70.0)",
        "(-60.0 70.0)",
    ),
    (3, "shin", "0 -1 0", "7", "30 15 20 ZXY", "rz rx", "(-10.0 170.0)", "(-10.0 170.0)"),
]
KEYS = ("id", "name", "direction", "length", "axis", "dof", "limits", "      ", "      ")
BONE_TEXTS = ["".join(f"     {key} {value}\n" for key, value in zip(KEYS, bone, strict=False)) for bone in BONES]
ASF = """# made up
:version 1.10
:name someone
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   free text, begin and end are no words of the file here
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
BONES
:hierarchy
  begin
    root hip
    hip thigh
    thigh shin
  end
:future-section
   unknown
""".replace("BONES", "\n".join(f"  begin\n{text}  end" for text in BONE_TEXTS))

AMC_HEAD = "#!OML:ASF made up\n:FULLY-SPECIFIED\n:DEGREES\n"


def amc_text(frames=3, seed=0):
    rng, text = np.random.default_rng(seed), AMC_HEAD
    for frame in range(1, frames + 1):
        text += f"{frame}\n"
        for bone, count in (("root", 6), ("thigh", 3), ("shin", 2)):
            text += " ".join([bone, *(f"{value:.5f}" for value in rng.uniform(-170, 170, count))]) + "\n"
    return text


def write_amc(folder, asf=ASF, amc=None):
    (folder / "07.asf").write_text(asf)
    (folder / "07_01.amc").write_text(amc_text() if amc is None else amc)
    return folder / "07_01.amc"


def change(old, new):
    """Damage to a file's text: the first occurrence of something replaced."""

    def damage(text):
        assert old in text
        return text.replace(old, new, 1)

    return damage


MAPPING = 'metres_per_unit = 0.001\nup = "y"\n[joints]\n' + "\n".join(f'{name} = ["{name}"]' for name in H36M_17.names)


def write_recording(path, subject, action, fps=120.0, change=lambda positions: positions):
    """A walker as npz, in millimetres, y up."""
    poses = walker(subject, action).poses_world.astype(float)
    slow = np.repeat(poses, 2, axis=0)
    slow[1:-1:2] = (poses[:-1] + poses[1:]) / 2  # 120 fps
    positions = change(slow[..., [1, 2, 0]] * 1000)
    np.savez(path, positions=positions, names=np.array(H36M_17.names), fps=fps)


def write_folder(path):
    """Four recordings in ``mocap``, their mapping ``joints.toml``, and an empty ``out``."""
    for folder in ("mocap", "out"):
        (path / folder).mkdir()
    for subject, action in [("W01", "walk"), ("W01", "sit"), ("W02", "run"), ("W03", "reach")]:
        write_recording(path / "mocap" / f"{subject}_{action}.npz", subject, action)
    (path / "joints.toml").write_text(MAPPING)
    return path
