"""``prpose predict``: 2D keypoints, photos or video in, many 3D poses out."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from prpose.atomic import check_output
from prpose.cli.console import NO_BAR, ConfigFile, Flag, current_command, print_line, print_result, progress
from prpose.cli.many_files import ALL, DEFAULT, Job, Outcome, Request, Worker, run_jobs
from prpose.config import InferenceConfig
from prpose.io.detector import DETECTORS, create_detector, find_model
from prpose.io.export import FORMATS, check_apart, export_format
from prpose.io.keypoints import inputs_in, is_one_clip
from prpose.io.overlay import check_overlay, write_overlay
from prpose.io.video import check_input, input_kind
from prpose.prediction import Prediction
from prpose.regions import is_calibrated, is_trained
from prpose.stream import check_draws

CLIP = "one clip with a file per frame; --config.folder files predicts each by itself"
FILES = "files that are predicted one by one; --config.folder clip makes them the frames of one clip"


def predict(
    path: Annotated[Positional[Path], arg(metavar="IN")],
    out: Path,
    model: str = Request.model,
    num_samples: Annotated[int, arg(aliases=["-n"])] = Request.num_samples,
    seed: int = Request.seed,
    device: str = Request.device,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    person: str | None = None,
    overlay: Path | None = None,
    config_file: ConfigFile = None,
    config: InferenceConfig = DEFAULT,
    overwrite: Flag = False,
) -> None:
    """Predict many 3D poses per frame from 2D keypoints, photos or video.

    Args:
        path: Keypoint file, photo, video, camera number, address of a stream (rtsp://...), or a folder of files.
        out: Output file, .npz, .json, .csv, .trc or .bvh; a folder if IN is a folder of clips.
        model: Bundled model (see "prpose models"), model folder, file of "prpose export", or owner/name on the Hugging
            Face hub.
        num_samples: Number of samples per frame.
        seed: Random seed.
        device: Device to compute on: auto, cpu, cuda, cuda:1 ...
        layout: Joint layout of the keypoints, if the file does not name it: coco17, body25, h36m17 ...
        image_size: Width and height of the image in pixels, if the file does not give them.
        fps: Frame rate in frames per second, if the file does not give it.
        person: Id of the person to predict, or "all" for one output file per person.
        overlay: Photo or video with the predicted pose drawn over the input: .png, .mp4, .mov or .mkv.
        config_file: TOML file with defaults of the config options below.
        config: Settings that rarely change.
        overwrite: Replace existing output files.
    """
    check_draws(num_samples, seed)
    if not path.exists() and input_kind(path) != "camera":
        raise ValueError(f"{path}: no such file or folder")
    check_input(path)
    request = Request(model, num_samples, seed, device, layout, image_size, fps, person, config, overwrite)
    is_clip = path.is_dir() and _is_clip(path, config)
    if path.is_dir():
        print_line(f"{path}: {CLIP if is_clip else FILES}")
    if person == ALL or (path.is_dir() and not is_clip):
        if overlay is not None:
            raise ValueError(f"{overlay}: expected one person of one clip with --overlay, got several")
        _predict_many(path, out, request)
    else:
        _predict_one(path, out, overlay, request)


def _predict_one(path: Path, out: Path, overlay: Path | None, request: Request) -> None:
    export_format(check_output(out, request.overwrite))
    check_apart(path, out, *([] if overlay is None else [overlay]))
    worker = Worker(request, bar=progress)  # an unknown model is an error before a long video is read
    video = request.video(path)
    if overlay is not None:
        check_overlay(None if video is None else video.kind, overlay, request.overwrite)
    keypoints = request.read(path, progress)[0]
    try:
        prediction = worker.predict(keypoints, out, current_command())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for text in prediction.warnings:
        print_line(f"warning: {text}", error=True)
    print_line(_summary(prediction))
    if overlay is not None and video is not None:
        print_result(f"Wrote {out}")
        with progress("draw", video.total) as advance:
            write_overlay(video, prediction, overlay, request.overwrite, advance)
    print_result(f"Wrote {overlay or out}", *_view(out))


def _view(out: Path, hint: str = "Look at it") -> tuple[str, ...]:
    """The command that shows a prediction, where its file has all that it takes."""
    return (hint, "view", str(out)) if out.suffix.lower() in (".npz", ".json") else ()


def _summary(prediction: Prediction) -> str:
    text = f"{len(prediction)} frames, {prediction.num_samples} samples each"
    if prediction.root is not None:
        text += f"; mean distance from the camera {float(prediction.root[:, 2].mean()):.1f} m"
    text += f"; mean spread {1000 * prediction.mean_spread:.0f} mm per axis"
    if is_calibrated(prediction.model) or is_trained(prediction.model):
        longest = sum(axes[:, 1:, 0].sum() for _, axes, _ in prediction.region_pieces()) / (16 * len(prediction))
        text += f"; mean longest semi-axis of the 95 % regions {1000 * longest:.0f} mm"
    return text


def _predict_many(path: Path, out: Path, request: Request) -> None:
    """Predicts every file of a folder, or every person in a file; prints each warning once with its files, and totals.

    Raises:
        ValueError: before anything is written, if the outputs cannot be written; at the end, if some files failed.
    """
    jobs, skipped = _plan(path, out, request)
    outcomes, where = list[Outcome](), dict[str, list[str]]()
    config = request.config
    if config.detector in DETECTORS and any(input_kind(file) for file, _ in jobs):
        with suppress(ValueError):  # it is the error of each video; models are downloaded once, before the bar
            if config.detector == "mediapipe":
                find_model(config.detector_model)
            elif (config.jobs or 1) > 1 or config.ray:
                with create_detector(config.detector, config.detector_model):
                    pass
    of_files, of_frames = (NO_BAR, progress) if len(jobs) == 1 and not config.ray else (progress, NO_BAR)
    with of_files("predict", len(jobs), "files") as advance:
        for outcome in run_jobs(jobs, request, of_frames):
            outcomes.append(outcome)
            for error in outcome.errors:
                print_line(f"error: {error}", error=True)
            advance(1)
    if skipped:
        print_line(f"warning: neither keypoints nor video, skipped: {_listed(skipped)}", error=True)
    outcomes.sort(key=lambda outcome: outcome.path)
    for name, text in chain(*(outcome.warnings for outcome in outcomes)):
        where.setdefault(text, []).append(name)
    for text, names in where.items():
        print_line(f"warning: {_listed(names)}: {text}", error=True)
    written = [its_out for outcome in outcomes for its_out in outcome.written]
    failed = [outcome.path.name for outcome in outcomes if outcome.errors]
    print_line(
        f"{len(jobs) - len(failed)} of {len(jobs)} files, {len(written)} people, "
        f"{sum(outcome.frames for outcome in outcomes):,} frames, {request.num_samples} samples each"
    )
    shown = ", ".join(map(str, written)) if len(jobs) == 1 else f"{len(written)} files in {out}"
    first = f"Look at {'it' if len(written) == 1 else 'the first'}"
    print_result(f"Wrote {shown or 'nothing'}", *(_view(written[0], first) if written else ()))
    if failed:
        people = " for all people" if request.person == ALL else ""
        raise ValueError(f"prediction failed{people} in {len(failed)} of {len(jobs)} files: {_listed(failed)}")


def _plan(path: Path, out: Path, request: Request) -> tuple[list[Job], list[str]]:
    """The jobs, whose outputs can be written, and the names of other files in the folder."""
    if not path.is_dir() or _is_clip(path, request.config):
        export_format(out)
        outputs, skipped = {path: out}, list[str]()
    else:
        kinds = ("video", "folder", "photo") if request.config.folder == "files" else ("video", "folder")
        begin = request.config.prefix or ""  # of photos; other files hold clips, whose images it selects
        inputs, others = inputs_in(
            path, lambda a: (kind := input_kind(a)) in kinds and (kind != "photo" or a.name.startswith(begin))
        )
        if not out.is_dir() and (out.exists() or out.suffix[1:].lower() in FORMATS):
            raise ValueError(f"{out}: expected a folder for the predictions of many files, got the name of a file")
        if out.resolve() == path.resolve():
            raise ValueError(f"{out}: expected another folder than that of the input")
        ending = export_format("", request.config.output_format or "npz")
        outputs = {one: out / f"{one.name if one.is_dir() else one.stem}.{ending}" for one in inputs}
        others = [other for other in others if other.resolve() != out.resolve() and input_kind(other) not in kinds]
        skipped = [other.name for other in others]
        its_out, count = Counter(outputs.values()).most_common(1)[0]
        if count > 1:
            names = ", ".join(one.name for one in inputs if outputs[one] == its_out)
            raise ValueError(f"expected files with different names, got {names}, whose output is {its_out.name}")
    if request.person != ALL:  # people are known only when a file is read; each of their outputs is checked then
        existing = [its_out for its_out in outputs.values() if its_out.exists()]
        if len(existing) > 1 and not request.overwrite:
            raise ValueError(f"{existing[0]} and {len(existing) - 1} other outputs exist already; pass --overwrite")
        for one, its_out in outputs.items():
            check_apart(one, check_output(its_out, request.overwrite))
    return list(outputs.items()), skipped


def _is_clip(folder: Path, config: InferenceConfig) -> bool:
    """Whether a folder holds a file per frame, of keypoints or photos, by its content or by the settings."""
    if config.folder == "auto":
        return is_one_clip(folder) or input_kind(folder) == "folder"
    return config.folder == "clip"


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
