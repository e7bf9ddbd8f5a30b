"""``prpose view``: predictions, or a live stream, as an interactive page in the browser."""

import base64
import shlex
import time
import warnings
import webbrowser
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from tyro.conf import Positional, arg

from prpose.atomic import check_output
from prpose.camera import Array
from prpose.cli.console import ConfigFile, Flag, print_line, print_result, progress
from prpose.cli.many_files import DEFAULT, Request, Worker
from prpose.config import InferenceConfig
from prpose.io.detector import create_detector
from prpose.io.export import is_prediction, read_prediction
from prpose.io.video import Video, input_kind, open_video
from prpose.prediction import Prediction
from prpose.view.live import LiveServer, running
from prpose.view.page import MOST_SAMPLES, Page, create_page, live_page, person, thumbnail, thumbnails

Live = tuple[int, float | None, Array, Array | None, Array | None]  # number, time, keypoints, confidences and image


def view(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="IN")] = (),
    out: Path | None = None,
    compare: Flag = False,
    truth: Path | None = None,
    video: Path | None = None,
    num_samples: Annotated[int | None, arg(aliases=["-n"])] = None,
    serve: Flag = False,
    camera: int | None = None,
    port: int = 0,
    model: str = Request.model,
    device: str = Request.device,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    config_file: ConfigFile = None,
    config: InferenceConfig = DEFAULT,
    overwrite: Flag = False,
) -> None:
    """Show predictions in the browser: samples, point estimate, uncertainty, and the 2D input.

    Args:
        paths: Predictions (.npz or .json), one of each person; with --serve also keypoints or a video, predicted live.
        out: Write the page to this file, .html, instead of opening it.
        compare: Show two predictions of one person side by side.
        truth: Ground truth of the first prediction's frames, (T, 17, 3) metres in camera axes (.npy), or a prediction.
        video: Photo, video or folder of photos whose frames are shown with the keypoints. Default: the input that the
            prediction names, if it is still there.
        num_samples: Largest number of samples per frame. Default: 200, fewer in clips of more than 300 frames; live 50.
        serve: Serve the page on this machine, at an address that is printed.
        camera: Number of a camera to predict live, on this machine.
        port: Port of the server. Default: a free one.
        model: Model of live predictions: a bundled one, a model folder, or owner/name on the Hugging Face hub.
        device: Device of live predictions: auto, cpu, cuda, cuda:1 ...
        layout: Joint layout of the keypoints, if the file does not name it: coco17, body25, h36m17 ...
        image_size: Width and height of the image in pixels, if the file does not give them.
        fps: Frame rate in frames per second, if the file does not give it.
        config_file: TOML file with defaults of the config options below.
        config: Settings that rarely change.
        overwrite: Replace an existing file.
    """
    if camera is not None:
        paths, serve = (*paths, Path(str(camera))), True
    _check(paths, out, serve, num_samples)
    if serve and not is_prediction(paths[0]):
        if len(paths) > 1 or compare or truth or video:
            raise ValueError("expected one input to predict live, without --compare, --truth and --video")
        request = Request(model, num_samples or 50, Request.seed, device, layout, image_size, fps, None, config)
        _show_live(paths[0], request, port)
        return
    if out is not None:
        check_output(out, overwrite)
    page = _page(paths, compare, truth, video, num_samples)
    if serve:
        _serve(page, port)
        return
    if out is not None:
        page.save(out, overwrite)
    shown = f"{out} ({len(page.html) / 1e6:.1f} MB)" if out else f"{page.open()}, which opens in the browser,"
    print_result(f"Wrote {shown}")


def _check(paths: tuple[Path, ...], out: Path | None, serve: bool, num_samples: int | None) -> None:
    if not paths:
        raise ValueError("expected a prediction to show, or --camera 0, got none")
    if out is not None and serve:
        raise ValueError("expected --out or --serve, got both")
    if num_samples is not None and num_samples < 1:
        raise ValueError(f"expected num_samples >= 1, got {num_samples}")


def _page(paths: tuple[Path, ...], compare: bool, truth: Path | None, video: Path | None, most: int | None) -> Page:
    predictions = [read_prediction(path) for path in paths]
    stems, models = [path.stem for path in paths], [str(one.model.get("name", "")) for one in predictions]
    names = models if compare and len({*models, ""}) > len(models) else stems
    source, images = _source(predictions[0], video), dict[int, bytes]()
    if source is not None:
        numbers = np.unique(np.concatenate([one.frame_numbers for one in predictions]))
        with progress("frames", source.total) as advance:
            images = thumbnails(source, numbers, advance)
        print_line(f"Frames of {source.path}")
    known = None
    if truth is not None:
        known = read_prediction(truth).pose if is_prediction(truth) else _read_poses(truth)
    try:
        return create_page(predictions, names, known, compare, images, most)
    except ValueError as error:
        raise ValueError(f"{truth or ', '.join(map(str, paths))}: {error}") from None


def _read_poses(path: Path) -> Array:
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{path}: expected poses (T, 17, 3) as .npy, or a prediction ({error})") from None


def _source(prediction: Prediction, video: Path | None) -> Video | None:
    """The video that the user names, or the input of the command that wrote the prediction, if it is there."""
    if video is not None:
        return open_video(video)
    with suppress(ValueError, OSError, IndexError):  # also of a command that cannot be split, or is empty
        path = Path(shlex.split(prediction.command)[2])  # prpose predict IN
        if input_kind(path) in ("photo", "video", "folder"):
            return open_video(path)
    return None


def _serve(page: Page, port: int) -> None:
    with running(page, port) as server:
        _announce(server)
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


def _announce(server: LiveServer) -> None:
    print_line(f"{server.address} (Ctrl-C ends)")
    webbrowser.open(server.address)


def _show_live(path: Path, request: Request, port: int) -> None:
    model = Worker(request).model
    with running(live_page(f"{path}, {request.model}"), port) as server, suppress(KeyboardInterrupt):
        _announce(server)
        server.connected.wait()
        stream, problems = None, set[str]()
        for size, layout, rate, (number, time_s, xy, confidence, image) in _live(path, request):
            stream = stream or model.stream(size, layout, request.num_samples, request.seed, rate, request.config)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    prediction = stream(xy, confidence)
            except ValueError as error:
                if str(error) not in problems:
                    print_line(f"warning: frame {number}: {error}", error=True)
                problems.add(str(error))
                continue
            server.send(_message(replace(prediction, frame_numbers=np.array([number])), time_s, image))
        server.close()


def _message(prediction: Prediction, time_s: float | None, image: Array | None) -> bytes:
    number = int(prediction.frame_numbers[0])
    content: dict[str, Any] = {"number": number, "seconds": time_s, "people": [person(prediction, "", MOST_SAMPLES)]}
    if image is not None:
        content["image"] = base64.b64encode(thumbnail(image)).decode()
    return msgspec.json.encode(content)


def _live(path: Path, request: Request) -> Iterator[tuple[tuple[int, int], str, float | None, Live]]:
    """Image size, layout, frame rate and one frame after the other: as a camera sees them, or at the clip's rate."""
    video, config = request.video(path), request.config
    if video is None:
        keypoints = request.read(path)[0]
        fps, start = keypoints.fps or 25.0, time.monotonic()
        numbers = np.asarray(keypoints.frame_numbers).tolist()
        for t, (number, xy) in enumerate(zip(numbers, keypoints.xy, strict=True)):
            time_s = (number - numbers[0]) / fps
            time.sleep(max(0.0, start + time_s - time.monotonic()))
            confidence = None if keypoints.confidence is None else keypoints.confidence[t]
            yield keypoints.image_size, keypoints.layout, fps, (number, time_s, xy, confidence, None)
        return
    with create_detector(config.detector, config.detector_model, config.max_people) as detector:
        start = time.monotonic()
        for frame in video.frames():
            if video.kind != "camera" and frame.time_s is not None:
                time.sleep(max(0.0, start + frame.time_s - time.monotonic()))
            for xy, confidence in list(detector(frame.image, frame.time_s))[:1]:
                height, width = frame.image.shape[:2]
                found = frame.number, frame.time_s, np.asarray(xy), np.asarray(confidence), frame.image
                yield (width, height), detector.layout, video.fps, found
