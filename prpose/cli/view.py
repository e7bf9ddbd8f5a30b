"""``prpose view``: predictions, or a live stream, as an interactive page in the browser."""

import base64
import shlex
import time
import warnings
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from tyro.conf import Positional, arg

from prpose.atomic import check_output, existing_file
from prpose.camera import Array
from prpose.cli.console import ConfigFile, Flag, print_line, print_result, progress, told_apart
from prpose.cli.many_files import DEFAULT, Request, Worker
from prpose.config import InferenceConfig
from prpose.io.detector import create_detector
from prpose.io.export import is_prediction, read_prediction
from prpose.io.video import Video, input_kind, open_video
from prpose.prediction import Prediction
from prpose.unpickle import read_array
from prpose.view import page as pages
from prpose.view.live import LiveServer, running
from prpose.view.page import Page

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
    person: str | None = None,
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
        model: Model of live predictions: bundled, a folder, a file of "prpose export", or owner/name on the hub.
        device: Device of live predictions: auto, cpu, cuda, cuda:1 ...
        layout: Joint layout of the keypoints, if the file does not name it: coco17, body25, h36m17 ...
        image_size: Width and height of the image in pixels, if the file does not give them.
        fps: Frame rate in frames per second, if the file does not give it.
        person: Id of the person to predict live.
        config_file: TOML file with defaults of the config options below.
        config: Settings that rarely change.
        overwrite: Replace an existing file.
    """
    if camera is not None:
        paths, serve = (*paths, Path(str(camera))), True
    _check(paths, out, serve, num_samples, port)
    if serve and not is_prediction(paths[0]):
        if len(paths) > 1 or compare or truth or video:
            raise ValueError("expected one input to predict live, without --compare, --truth and --video")
        request = Request(model, num_samples or 50, Request.seed, device, layout, image_size, fps, person, config)
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
    print_result(f"Wrote {out or page.open()} ({len(page.html) / 1e6:.1f} MB)")


def _check(paths: tuple[Path, ...], out: Path | None, serve: bool, num_samples: int | None, port: int) -> None:
    if not paths:
        raise ValueError("expected a prediction to show, or --camera 0, got none")
    if out is not None and serve:
        raise ValueError("expected --out, or --serve or --camera, got both")
    if num_samples is not None and num_samples < 1:
        raise ValueError(f"expected num_samples >= 1, got {num_samples}")
    if not 0 <= port <= 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port}")


def _page(paths: tuple[Path, ...], compare: bool, truth: Path | None, video: Path | None, most: int | None) -> Page:
    predictions = [read_prediction(path) for path in paths]
    models = [str(one.model.get("name", "")) for one in predictions]
    names = models if compare and len({*models, ""}) > len(models) else told_apart(paths)
    images = _images(predictions, video)
    known = None
    if truth is not None:
        known = _truth_of(predictions[0], truth)
    try:
        return pages.create_page(predictions, names, known, compare, images, most)
    except ValueError as error:
        raise ValueError(f"{truth or ', '.join(map(str, paths))}: {error}") from None


def _truth_of(prediction: Prediction, path: Path) -> Array:
    """The poses of a .npy file, or of a prediction at the same frame numbers."""
    if is_prediction(path):
        other = read_prediction(path)
        if missing := sorted({*prediction.frame_numbers.tolist()} - {*other.frame_numbers.tolist()}):
            raise ValueError(f"{path}: expected the truth of every frame, got none of frame {missing[0]}")
        return other.pose[np.searchsorted(other.frame_numbers, prediction.frame_numbers)]
    try:
        return np.asarray(read_array(existing_file(path)))
    except (OSError, ValueError):
        raise ValueError(f"{path}: expected poses (T, 17, 3) as .npy, or a prediction") from None


def _images(predictions: Sequence[Prediction], video: Path | None) -> dict[int, bytes]:
    """Small images of the input's frames, where there is one; a damaged one is an error only if the user named it."""
    camera = predictions[0].camera
    if camera is None:
        return {}
    try:
        if (source := _source(predictions[0], video)) is None:
            return {}
        numbers = np.unique(np.concatenate([one.frame_numbers for one in predictions]))
        with progress("read frames", source.total) as advance:
            images = pages.thumbnails(source, numbers, (camera.width, camera.height), advance)
    except (ValueError, OSError) as error:
        if video is not None:
            raise
        print_line(f"warning: no frames are shown: {error}", error=True)
        return {}
    print_line(f"Frames of {source.path}")
    return images


def _source(prediction: Prediction, video: Path | None) -> Video | None:
    """The video that the user names, or the input of the command that wrote the prediction, if it is there."""
    if video is not None:
        return open_video(video)
    try:
        words = shlex.split(prediction.command)[1:]
    except ValueError:  # not a command
        return None
    options = dict(pairwise(words))
    for before, word in pairwise(words):  # prpose predict [options] IN [options]
        is_option = before in ("--out", "--overlay") or word.startswith("-")
        if not is_option and Path(word).exists() and input_kind(Path(word)) in ("photo", "video", "folder"):
            return open_video(Path(word), prefix=options.get("--prefix", options.get("--config.prefix")))
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
    model, is_camera = Worker(request).model, input_kind(path) == "camera"
    frames = _live(path, request)
    first = next(frames, None)  # errors of the input come before the address
    if first is None:
        raise ValueError(f"{path}: expected a person in the input, found none")
    size, layout, rate, _ = first
    stream, problems = model.stream(size, layout, request.num_samples, request.seed, rate, request.config), set[str]()
    with running(pages.live_page(f"{path}, {request.model}"), port) as server, suppress(KeyboardInterrupt):
        _announce(server)
        server.connected.wait()
        start = time.monotonic()
        for _, _, _, (number, time_s, xy, confidence, image) in chain([first], frames):
            if not is_camera and time_s is not None:
                time.sleep(max(0.0, start + time_s - time.monotonic()))
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


def _message(prediction: Prediction, time_s: float | None, image: Array | None) -> bytes:
    number = int(prediction.frame_numbers[0])
    content: dict[str, Any] = {
        "number": number,
        "seconds": time_s,
        "people": [pages.person(prediction, "", pages.MOST_SAMPLES)],
    }
    if image is not None:
        content["image"] = base64.b64encode(pages.thumbnail(image)).decode()
    return msgspec.json.encode(content)


def _live(path: Path, request: Request) -> Iterator[tuple[tuple[int, int], str, float | None, Live]]:
    """Image size, layout, frame rate, and one frame after the other in which a person is found."""
    video, config = request.video(path), request.config
    if video is None:
        keypoints = request.read(path)[0]
        fps = keypoints.fps or 25.0
        numbers = np.asarray(keypoints.frame_numbers).tolist()
        for t, (number, xy) in enumerate(zip(numbers, keypoints.xy, strict=True)):
            time_s = (number - numbers[0]) / fps
            confidence = None if keypoints.confidence is None else keypoints.confidence[t]
            yield keypoints.image_size, keypoints.layout, fps, (number, time_s, xy, confidence, None)
        return
    with create_detector(config.detector, config.detector_model, config.max_people) as detector:
        for frame in video.frames():
            for xy, confidence in list(detector(frame.image, frame.time_s))[:1]:
                height, width = frame.image.shape[:2]
                found = frame.number, frame.time_s, np.asarray(xy), np.asarray(confidence), frame.image
                yield (width, height), detector.layout, video.fps, found
