"""Models as ONNX files, computed by ONNX Runtime, without PyTorch; ``prpose.export`` writes them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.card import card_of
from prpose.engine import Drawn, noisy_poses
from prpose.tables import import_extra, naming

SUFFIX = ".onnx"
METADATA = "prpose"  # key, in the file's metadata, of JSON with the card and the facts of prpose.engine.Engine
FACTS = {"F": int, "own_frame": int, "noise_channels": int, "framed": bool, "one_pass": bool, "trained": bool}
FEW = {True: (8, 32), False: (64, 16)}  # frames and samples lifted at once, by whether F = 1
FRAMES_AT_ONCE = 256  # of a network of one pass


class OnnxSampler:
    """A lifter with its noise in an ONNX file (:class:`prpose.engine.Engine`), computed by ONNX Runtime.

    As many threads compute as ``OMP_NUM_THREADS`` states, if it is set. Only that one file is read.

    Args:
        path: as :func:`prpose.export.export_onnx` writes it.
        device: ``cpu``, or ``cuda`` where ONNX Runtime supports it.

    Raises:
        ValueError: for a file that is missing, damaged or of another program, an unknown device, and without ONNX
            Runtime (extra ``onnx``).
    """

    F: int
    own_frame: int
    noise_channels: int
    framed: bool
    one_pass: bool
    trained: bool

    def __init__(self, path: Path, device: str = "cpu") -> None:
        runtime = import_extra("onnxruntime", "onnx")
        provider, known = f"{device.partition(':')[0].upper()}ExecutionProvider", runtime.get_available_providers()
        if provider not in known:
            raise ValueError(f"expected a device of ONNX Runtime here ({', '.join(known)}), got {device}")
        if not path.is_file():
            raise ValueError(f"{path}: expected an ONNX file, found none")
        options = runtime.SessionOptions()
        threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
        options.intra_op_num_threads = min(int(threads), os.cpu_count() or 1) if threads.isdecimal() else 0  # all
        options.log_severity_level = 4  # a damaged file is an error below, not also a line on stderr
        with naming(f"{path}: not an ONNX file of prpose", Exception):  # ONNX Runtime's errors have no common class
            self._session = runtime.InferenceSession(path.read_bytes(), options, providers=[provider])
            content = json.loads(self._session.get_modelmeta().custom_metadata_map[METADATA])
            for name, kind in FACTS.items():
                if type(content[name]) is not kind:
                    raise ValueError(f"expected {name} of type {kind.__name__}, got {content[name]!r:.80}")
                setattr(self, name, content[name])
            self.card = card_of(content["card"])
            self._components = int(content["components"])
        self.device = device

    def draw(self, keypoints: Array, eps: Array, eps_mirrored: Array, extra_sigma: Array | None = None) -> Drawn:
        """Samples of poses; shapes as of :meth:`prpose.engine.Engine.draw`."""
        T, S = keypoints.shape[1] - self.F + 1, len(eps)
        frames, few = (FRAMES_AT_ONCE, S) if self.one_pass else FEW[self.F == 1]
        parts = []
        for start in range(0, T, frames):
            piece = slice(None), slice(start, start + frames + self.F - 1)
            inputs: dict[str, Array] = {"keypoints": keypoints[piece]}
            if not self.one_pass:
                inputs["extra_sigma"] = np.zeros_like(inputs["keypoints"][..., 0])
                inputs["extra_sigma"] += 0 if extra_sigma is None else extra_sigma[piece]
            found = []
            for first in range(0, S, few):
                rows = slice(first, first + few), *piece
                mirrored = {} if self.one_pass else {"eps_mirrored": eps_mirrored[rows]}
                found.append(self._run(inputs | {"eps": eps[rows]} | mirrored))
            parts.append([np.concatenate([each[0] for each in found]), *found[0][1:]])
        samples = np.concatenate([part[0] for part in parts], axis=2)
        pose, other = (np.concatenate([part[k] for part in parts], axis=1) for k in (1, 2))
        if not self.one_pass:
            return Drawn(samples, pose, None, other)
        if extra_sigma is not None:
            self._widen(samples, keypoints, eps, eps_mirrored, extra_sigma)
            other[noisy_poses(extra_sigma, self.F)] = np.nan
        return Drawn(samples, pose, other, None)

    def _widen(self, samples: Array, keypoints: Array, eps: Array, eps_mirrored: Array, extra_sigma: Array) -> None:
        """Lifts poses of keypoints with further noise once per sample, as :class:`prpose.one_pass.OnePassSampler`."""
        b, t = noisy_poses(extra_sigma, self.F).nonzero()
        frames = b[:, None], t[:, None] + np.arange(self.F)
        windows, sigma = keypoints[frames], extra_sigma[frames][..., None]  # (n, F, 17, ...)
        for component in range(self._components):
            for s in range(component, len(samples), self._components):
                noisy = windows + sigma * eps_mirrored[s][frames][..., :2]
                for start in range(0, len(b), FRAMES_AT_ONCE):
                    few = slice(start, start + FRAMES_AT_ONCE)
                    # The components take turns, so that the last of these samples is of the one that is wanted.
                    noise = np.repeat(eps[s][frames][few][None], component + 1, axis=0)
                    samples[s, b[few], t[few]] = self._run({"keypoints": noisy[few], "eps": noise})[0][-1, :, 0]

    def _run(self, inputs: dict[str, Array]) -> list[Any]:
        wide = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in inputs.items()}
        return list(self._session.run(None, wide))
