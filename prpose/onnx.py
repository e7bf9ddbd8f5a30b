"""Models as ONNX files, computed by ONNX Runtime, without PyTorch; ``prpose.export`` writes them."""

import io
import json
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from prpose.atomic import existing_file
from prpose.camera import Array
from prpose.card import card_of
from prpose.engine import Drawn, noisy_poses
from prpose.tables import import_extra, naming

SUFFIX = ".onnx"
METADATA = "prpose"  # key, in the file's metadata, of JSON with the card and the facts of prpose.engine.Engine
FACTS: dict[str, type] = {"F": int, "own_frame": int, "noise_channels": int, "components": int}
FACTS |= {"framed": bool, "one_pass": bool, "trained": bool}
MOST_FRAMES = 10_000  # largest receptive field
INPUTS = ("keypoints", "eps", "eps_mirrored", "extra_sigma")  # the first two of a network of one pass
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
    components: int  # of a one-pass network's mixture, which take turns
    framed: bool
    one_pass: bool
    trained: bool

    def __init__(self, path: Path, device: str = "cpu") -> None:
        runtime = import_extra("onnxruntime", "onnx")
        kind, _, number = device.partition(":")
        provider, known = f"{kind.upper()}ExecutionProvider", runtime.get_available_providers()
        if provider not in known or (number and (kind == "cpu" or not number.isdecimal())):
            raise ValueError(f"expected a device of ONNX Runtime here ({', '.join(known)}), got {device}")
        existing_file(path)
        options = runtime.SessionOptions()
        threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
        options.intra_op_num_threads = min(int(threads), os.cpu_count() or 1) if threads.isdecimal() else 0  # all
        options.log_severity_level = 4  # a damaged file is an error below, not also a line on stderr
        # Weights outside the file would be looked for in the working directory.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        chosen = [(provider, {"device_id": number or "0"})] if kind == "cuda" else [provider]
        self.path, self.device = path, device
        # ONNX Runtime's errors have no common class, and it prints some of them, too.
        with naming(f"{path}: not an ONNX file of prpose", Exception), redirect_stdout(io.StringIO()):
            self._session = runtime.InferenceSession(path.read_bytes(), options, providers=chosen)
            content = json.loads(self._session.get_modelmeta().custom_metadata_map[METADATA])
            for name, wanted in FACTS.items():
                if type(content[name]) is not wanted:
                    raise ValueError(f"expected {name} of type {wanted.__name__}, got {content[name]!r:.80}")
                setattr(self, name, content[name])
            self.card = card_of(content["card"])
            self._check()
        if self._session.get_providers()[0] != provider:
            raise ValueError(f"{path}: expected to compute on {device}, ONNX Runtime cannot start it")

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxSampler, (self.path, self.device)

    def _check(self) -> None:
        """``ValueError`` for facts that contradict each other or the graph, which computes one pose."""
        C = 4 if self.one_pass else 2
        fine = 0 <= self.own_frame < self.F <= MOST_FRAMES and 1 <= self.components <= 64
        if not fine or self.noise_channels != C:
            facts = {name: getattr(self, name) for name in FACTS}
            raise ValueError(f"expected 0 <= own_frame < F <= {MOST_FRAMES} and {C} noise_channels, got {facts!r:.200}")
        wanted, found = INPUTS[: 2 if self.one_pass else 4], self._session.get_inputs()
        if [(each.name, each.type) for each in found] != [(name, "tensor(float)") for name in wanted]:
            raise ValueError(f"expected float32 inputs {', '.join(wanted)}, got {[each.name for each in found]!r:.200}")
        x, eps = np.zeros((1, self.F, 17, 2), np.float32), np.zeros((2, 1, self.F, 17, C), np.float32)
        x[..., 1:, 1] = 0.1  # a pose without extent has no size
        outputs = self._run(dict(zip(INPUTS, (x, eps, eps, x[..., 0])[: len(wanted)], strict=False)))
        shapes = [(2, 1, 1, 17, 3), (1, 1, 17, 3), (1, 1, 17, 3, 3) if self.one_pass else (1, 1, 17, 2)]
        got = [np.shape(each) for each in outputs]
        if got != shapes or any(each.dtype != np.float32 for each in outputs):
            raise ValueError(f"expected float32 outputs of shapes {shapes}, got {got!r:.200}")

    def draw(
        self, keypoints: Array, eps: Array, eps_mirrored: Array, extra_sigma: Array | None = None, first: int = 0
    ) -> Drawn:
        """Samples of poses; shapes as of :meth:`prpose.engine.Engine.draw`."""
        if skipped := first % (self.components if self.one_pass else 2):  # the graph begins with the first component
            eps, eps_mirrored = (np.concatenate([each[:1].repeat(skipped, 0), each]) for each in (eps, eps_mirrored))
            drawn = self.draw(keypoints, eps, eps_mirrored, extra_sigma)
            return drawn._replace(samples=drawn.samples[skipped:])
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
        for component in range(self.components):
            for s in range(component, len(samples), self.components):
                noisy = windows + sigma * eps_mirrored[s][frames][..., :2]
                for start in range(0, len(b), FRAMES_AT_ONCE):
                    few = slice(start, start + FRAMES_AT_ONCE)
                    # The components take turns, so that the last of these samples is of the one that is wanted.
                    noise = np.repeat(eps[s][frames][few][None], component + 1, axis=0)
                    samples[s, b[few], t[few]] = self._run({"keypoints": noisy[few], "eps": noise})[0][-1, :, 0]

    def _run(self, inputs: dict[str, Array]) -> list[Any]:
        wide = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in inputs.items()}
        with naming(self.path, Exception):
            return list(self._session.run(None, wide))


def is_onnx(name: object) -> bool:
    """Whether the name of a model is that of an ONNX file, not of a folder."""
    return isinstance(name, str | Path) and Path(name).suffix.lower() == SUFFIX and not Path(name).is_dir()
