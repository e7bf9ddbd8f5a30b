"""Model: from a person's 2D keypoints in pixels to 3D poses in metres. The whole chain on one screen."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prpose.atomic import large_array, release
from prpose.camera import Array, Camera
from prpose.card import Card
from prpose.config import InferenceConfig
from prpose.engine import Engine, input_sigma
from prpose.keypoints import Keypoints
from prpose.layouts import LAYOUTS, find_layout
from prpose.onnx import OnnxSampler, is_onnx
from prpose.out_of_distribution import is_outside, warnings_of
from prpose.postprocess import flags_of, summarise
from prpose.prediction import Prediction
from prpose.preprocess import preprocess
from prpose.rng import NoiseProcess
from prpose.smoothing import smooth
from prpose.stream import Stream, check_draws
from prpose.timing import Schedule, actual_rate, schedule, seconds

FRAMES_AT_ONCE, SAMPLES_AT_ONCE = 256, 2**16  # of all of these frames; they bound the memory


def load(name: str | Path, device: Any = "cpu") -> "Model":
    """Loads a trained model.

    Args:
        name: a bundled model (``prpose models`` lists them); a folder written by ``prpose pack``; a file written by
            ``prpose export``, which ONNX Runtime computes without PyTorch (extra ``onnx``); or ``owner/name`` on the
            Hugging Face hub (extra ``hub``). All but the last need no network connection.
        device: device to compute on, such as ``cuda``, by its name or as a ``torch.device``.

    Raises:
        ValueError: for an unknown name, or weights that do not match the card.
    """
    if is_onnx(name):
        sampler = OnnxSampler(Path(name), str(device))
        return Model(sampler, sampler.card)
    from prpose.hub import find_model_folder  # imports PyTorch, which ONNX files do not need

    folder = find_model_folder(name)
    return Model(folder.sampler().to(device), folder.card)


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A lifter with its noise, in eval mode, and its card: 2D keypoints in pixels → many 3D poses in metres."""

    sampler: Engine
    card: Card | None = None

    def __repr__(self) -> str:
        name, lifter = ("", "") if self.card is None else (self.card.name, self.card.lifter.network)
        return f"Model({name!r}, lifter={lifter!r}, F={self.sampler.F}, device={str(self.device)!r})"

    def __call__(
        self,
        keypoints: Keypoints | ArrayLike,
        num_samples: int = 50,
        seed: int = 0,
        *,
        layout: str | None = None,
        image_size: Sequence[int] | None = None,
        fps: float | None = None,
        confidence: ArrayLike | None = None,
        intrinsics: Sequence[float] | None = None,
        config: InferenceConfig | None = None,
        on_share: Callable[[float], None] = lambda share: None,
    ) -> Prediction:
        """Predicts many 3D poses for every frame of one person's keypoints.

        Python warnings report what preprocessing changed; they are also in ``prediction.warnings``.

        Args:
            keypoints: :class:`Keypoints`, as of ``prpose.read_keypoints``; or an array (T, J, 2) or (J, 2), pixels,
                NaN where a keypoint is missing, described by ``layout`` to ``confidence``.
            num_samples: S >= 2, the number of samples.
            seed: of the noise; the same seed gives the same samples.
            layout: order of the joints of an array, a key of :data:`prpose.LAYOUTS`.
            image_size: width and height, pixels.
            fps: frames per second. Without it, the noise is independent from frame to frame.
            confidence: (T, J) or (J,), the detector's confidences.
            intrinsics: fx, fy, cx, cy of the camera, pixels; replaces those of ``config``.
            on_share: called with the share of the frames that was lifted since the last call; 1 in all.

        Raises:
            ValueError: for arguments of a wrong shape or out of range, implausible keypoints, and too few joints.

        Example:
            >>> import prpose
            >>> keypoints = prpose.read_keypoints("examples/walk_openpose", image_size=(1000, 1002), fps=30)
            >>> prpose.load("mgcn-cmu17")(keypoints, num_samples=20)
            Prediction(S=20, T=30, model='mgcn-cmu17', point_estimate='deterministic, rts', mean spread 23 mm)
        """
        check_draws(num_samples, seed)
        described = {"layout": layout, "image_size": image_size, "fps": fps, "confidence": confidence}
        if not isinstance(keypoints, Keypoints):
            keypoints = _keypoints_of(keypoints, **described)
        elif given := [name for name, value in described.items() if value is not None]:
            raise ValueError(f"expected {', '.join(given)} with an array only; Keypoints have their own")
        config = config or InferenceConfig()
        if intrinsics is not None:
            fx, fy, cx, cy = _numbers("intrinsics", intrinsics, 4)
            config = replace(config, intrinsics=(fx, fy, cx, cy), fov_deg=None)
        return self._predict(keypoints, num_samples, seed, config, on_share)

    def stream(
        self,
        image_size: Sequence[int],
        layout: str,
        num_samples: int = 50,
        seed: int = 0,
        fps: float | None = None,
        config: InferenceConfig | None = None,
    ) -> Stream:
        """Predicts frame by frame: ``stream = model.stream(...)``, then ``stream(xy)`` returns each frame's prediction.

        Arguments and errors are those of :meth:`__call__`.

        Example:
            >>> import prpose
            >>> keypoints = prpose.read_keypoints("examples/walk_openpose", image_size=(1000, 1002))
            >>> stream = prpose.load("mgcn-cmu17").stream((1000, 1002), "body25", num_samples=5, fps=30)
            >>> [stream(xy).samples.shape for xy in keypoints.xy[:2]]
            [(5, 1, 17, 3), (5, 1, 17, 3)]
        """
        width, height = _numbers("image_size", image_size, 2)
        find_layout(layout)
        config = config or InferenceConfig()
        card = {} if self.card is None else asdict(self.card)
        return Stream(self.sampler, (int(width), int(height)), layout, num_samples, seed, fps, config, card)

    @property
    def device(self) -> Any:
        """The device of the networks."""
        return self.sampler.device

    def _predict(
        self, keypoints: Keypoints, S: int, seed: int, config: InferenceConfig, on_share: Callable[[float], None]
    ) -> Prediction:
        implausible = config.allow_implausible
        ready = preprocess(
            keypoints, config.max_gap, config.drop_incomplete, implausible, config.keep_sides, not implausible
        )
        smoothing = config.smoothing(keypoints.fps and actual_rate(ready, keypoints.fps))
        camera, fields = config.camera(*keypoints.image_size, keypoints.focal_px), dict[str, Any]()
        card, framed = {} if self.card is None else asdict(self.card), self.sampler.framed
        pieces = (ready.xy[start : start + FRAMES_AT_ONCE] for start in range(0, len(ready.xy), FRAMES_AT_ONCE))
        outside = np.concatenate([is_outside(camera.lifter_input(xy, framed), framed, card) for xy in pieces])
        found = *ready.warnings, *warnings_of(outside, ready.frame_numbers, framed)
        for message in found:
            warnings.warn(message, stacklevel=3)  # of the caller of the model
        plan = schedule(ready, keypoints.fps, config, self.sampler.F, card.get("fps"))
        camera_sd = config.camera_sd(keypoints.focal_px)
        positions, variance = (large_array((T := len(ready.xy), 18, 3), np.float32) for _ in range(2))  # the root last
        fields |= {"pose": positions[:, :-1], "root": positions[:, -1]}
        for frames, rows in plan.resample(self._pieces(plan, S, seed, camera, config)):
            on_share((frames.stop - frames.start) / T)
            others = rows[S + 1 :]
            own = others.transpose(1, 2, 0, 3) if self.sampler.one_pass else None
            described = ready.xy[frames], camera, config, own, camera_sd, ~ready.missing[frames]
            part = summarise(rows[:S], rows[S], *described) | {"deterministic": rows[S]}
            if not self.sampler.one_pass:
                part |= {"noise_sd_px": others[0, ..., :2] * np.float32(camera.lifter_unit(framed))}
            for name, value in part.items():
                axis = int(name == "samples")
                if name not in fields:  # filled piece by piece: a list of pieces would be in memory twice
                    fields[name] = large_array((*value.shape[:axis], T, *value.shape[axis + 1 :]), value.dtype)
                for k in range(0, len(value), few := 4096 if axis else len(value)):  # of samples, a page of a file each
                    fields[name][(slice(k, k + few), frames) if axis else frames] = value[k : k + few]
                    release(fields[name])
            variance[frames, :-1] = np.diagonal(part["covariance"], axis1=-2, axis2=-1)
            variance[frames, -1] = np.diagonal(part["root_covariance"], axis1=-2, axis2=-1)
            release(positions, variance)
        assumed = config.assumptions(ready.confidence, self.sampler.trained, keypoints.focal_px)
        if keypoints.fps is None and len(ready.xy) > 1:
            assumed += ["no frame rate: nothing is smoothed, and noise is independent between frames; --fps sets it"]
        up, tilt = config.up(fields["pose"])
        smoothed = smooth(positions, smoothing, ready, keypoints.fps, variance)
        fields |= {"pose": smoothed[:, :-1], "root": smoothed[:, -1]}
        return Prediction(
            **fields,
            point_estimate=config.point_estimate + ("" if smoothing == "none" else f", {smoothing}"),
            frame_numbers=ready.frame_numbers, times_s=seconds(ready, keypoints.fps), fps=keypoints.fps,
            flags=flags_of(ready, config.min_confidence, outside), keypoints_px=ready.xy, camera=camera,
            model=card, num_samples=S, seed=seed, warnings=(*found, *assumed, *tilt), up=up,
        )  # fmt: skip

    def _pieces(
        self, plan: Schedule, S: int, seed: int, camera: Camera, config: InferenceConfig
    ) -> Iterator[tuple[slice, Array]]:
        """Lifted frames and, piece by piece, rows of numbers for each of their joints, (S + 1 + ..., t, 17, 3).

        S samples and the deterministic pose; then, of a network of one pass, the covariances in three rows, and of
        others x and y of the noise's standard deviation.
        """
        engine, keypoints, confidence = self.sampler, plan.keypoints, plan.keypoints.confidence
        F, own, (T, J) = engine.F, engine.own_frame, keypoints.xy.shape[:2]
        scale = config.confidence_scale(confidence, engine.trained)

        def inputs(frames: slice) -> tuple[Array, Array | None]:
            """What poses depend on: keypoints, and any sigma of those that are missing or of low confidence."""
            at = np.arange(frames.start, frames.stop + F - 1) - own
            at = at.clip(0, T - 1)  # the first frame and the last repeat, as in VideoPose3D
            x = camera.lifter_input(keypoints.xy[at], engine.framed).astype(np.float32)[None]
            missing = keypoints.sigma_px[at] / camera.lifter_unit(engine.framed)
            sigma = input_sigma(x, missing, None if confidence is None else confidence[at], scale)
            release(keypoints.xy, keypoints.sigma_px, confidence)
            return x, sigma if sigma.any() else None

        fewest = 1 + F // 4 if engine.one_pass else F  # frames, which share F - 1 more
        at_once = min(FRAMES_AT_ONCE, max(fewest, SAMPLES_AT_ONCE // S))
        pieces = [slice(start, min(start + at_once, T)) for start in range(0, T, at_once)]
        # No other noise counts than that of the poses' own frames.
        own_only = engine.one_pass and all(inputs(frames)[1] is None for frames in pieces)
        shape, rho = (S, 1, J, engine.noise_channels), [*plan.rho[:1] * own, *plan.rho]
        noises = [NoiseProcess(shape, rho, seed, image) for image in range(1 if own_only else 2)]
        eps = [noise.frames(own if own_only else F - 1) for noise in noises]  # of the frames before
        unused = np.broadcast_to(np.float32(0), (S, 1, 1, *shape[2:]))
        for frames in pieces:
            t = frames.stop - frames.start
            eps = [[*before, *noise.frames(t)] for before, noise in zip(eps, noises, strict=True)]
            if own_only:
                eps = [[*[unused] * own, *eps[0][-t:], *[unused] * (F - 1 - own)]]
            rows = self._rows(*inputs(frames), eps)
            for start in range(0, t, step := max(1, SAMPLES_AT_ONCE // S)):
                few = slice(frames.start + start, min(frames.start + start + step, frames.stop))
                yield few, rows[start : start + step].swapaxes(0, 1).copy()
                release(rows)
            eps = [each[t:] for each in eps]

    def _rows(self, x: Array, sigma: Array | None, eps: list[list[Array]]) -> Array:
        """The rows of t frames, (t, S + 1 + ..., 17, 3), from their inputs and the images' noise, frame by frame."""
        S, t = len(eps[0][0]), len(eps[0]) - self.sampler.F + 1
        few, rows = max(1, SAMPLES_AT_ONCE // len(eps[0]) // 2) * 2, np.empty(0)  # even, for both images
        few = S if S * t <= SAMPLES_AT_ONCE else few
        for part in (slice(first, min(first + few, S)) for first in range(0, S, few)):
            noise = [np.concatenate([frame[part] for frame in each], axis=2) for each in eps]
            release(*(frame for each in eps for frame in each))
            found = self.sampler.draw(x, noise[0], noise[-1], sigma, part.start)
            if not len(rows):
                others = [found.pose]
                others += [] if found.noise_sd is None else [np.pad(found.noise_sd, [(0, 0)] * 3 + [(0, 1)])]
                others += [] if found.covariance is None else [*np.moveaxis(found.covariance, -2, 0)]
                rows = large_array((t, S + len(others), *found.pose.shape[2:]), np.float32)
                rows[:, S:] = np.concatenate(others).swapaxes(0, 1)
            rows[:, part] = found.samples[:, 0].swapaxes(0, 1)
            release(rows)
        return rows


def _keypoints_of(values: ArrayLike, layout: Any, image_size: Any, fps: Any, confidence: Any) -> Keypoints:
    xy, scores = np.asarray(values), None if confidence is None else np.asarray(confidence)
    if layout is None:
        J = xy.shape[-2] if xy.ndim > 1 else 0
        names = [name for name, skeleton in LAYOUTS.items() if len(skeleton) == J] or list(LAYOUTS)
        raise ValueError(f"expected layout, the order of the {J} joints: {', '.join(names)}; got none")
    if image_size is None:
        raise ValueError("expected image_size, the width and height of the image in pixels, got none")
    width, height = _numbers("image_size", image_size, 2)
    if xy.ndim == 2:
        xy, scores = xy[None], None if scores is None else scores[None]
    return Keypoints(xy, (width, height), layout, scores, fps)


def _numbers(name: str, values: Any, count: int) -> list[Any]:
    array = np.asarray(values)
    if array.shape != (count,) or array.dtype.kind not in "fiu":
        raise ValueError(f"expected {name} as {count} numbers, got {values!r:.80}")
    return list(array.tolist())
