"""``prpose figure``: figures of predictions and evaluations, at the widths of publications."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tyro.conf import Positional

from prpose.cli.console import Flag, print_line, print_result, progress, told_apart
from prpose.io.export import read_prediction
from prpose.prediction import Prediction
from prpose.tables import look_up
from prpose.view import animation, curves, figures
from prpose.view.report_file import read_report


class Kind(NamedTuple):
    """How a kind of figure is drawn: from predictions, or from the reports of ``prpose evaluate`` and their names."""

    inputs: str  # prediction or evaluation
    draw: Callable[..., Any]
    endings: tuple[str, ...] = figures.STILLS


FIGURES = {
    "cloud": Kind("prediction", figures.cloud_figure),
    "compare": Kind("prediction", figures.compare_figure),
    "animation": Kind("prediction", animation.write_animation, animation.ENDINGS),
    "samples": Kind("evaluation", curves.samples_figure),
    "calibration": Kind("evaluation", curves.calibration_figure),
    "joints": Kind("evaluation", curves.joints_figure),
}


def figure(
    kind: Positional[str],
    inputs: Positional[tuple[Path, ...]],
    out: Path,
    frame: int | None = None,
    size: figures.Size | None = None,
    overwrite: Flag = False,
) -> None:
    """Draw a figure of predictions or evaluations, with text and lines that are legible at its width.

    Args:
        kind: Figure of predictions: cloud (a frame from three sides), compare (a frame of several predictions) or
            animation; of evaluations: samples (error against S), calibration, or joints (predicted against true error).
        inputs: Predictions, .npz or .json; or JSON files of "prpose evaluate --json".
        out: Output file: .png, .svg or .pdf; of an animation .gif or .mp4.
        frame: Number of the frame in the video. Default: the middle one.
        size: Width: column, 85 mm, or page, 170 mm. Default: page for joints of several evaluations, else column.
        overwrite: Replace an existing output file.
    """
    expected, draw, endings = look_up(kind, FIGURES, "figure")
    figures.check_figure(out, endings, overwrite)
    if not inputs or (len(inputs) > 1 and kind in ("cloud", "animation")):
        raise ValueError(f"expected one {expected} for the figure {kind}, got {len(inputs)}")
    if frame is not None and kind not in ("cloud", "compare"):
        raise ValueError(f"expected no --frame for the figure {kind}, got {frame}")
    if expected == "evaluation":
        drawn = draw([read_report(path) for path in inputs], told_apart(inputs))
        if size is not None:
            width, height = drawn.get_size_inches() * 25.4
            drawn.set_size_inches(figures.WIDTHS_MM[size] / 25.4, figures.WIDTHS_MM[size] / 25.4 * height / width)
        figures.save_figure(drawn, out, overwrite)
    elif kind == "animation":
        prediction = _read_prediction(inputs[0])
        with progress("frames", len(prediction)) as advance:
            animation.write_animation(prediction, out, size or "column", overwrite, advance)
    else:
        predictions = [_read_prediction(path) for path in inputs]
        number = figures.common_frame(predictions, frame)
        if kind == "cloud":
            index = int(np.searchsorted(predictions[0].frame_numbers, number))
            drawn = figures.cloud_figure(predictions[0], index, size=size or "column")
        else:
            names = [str(each.model.get("name", "")) for each in predictions]
            names = names if len({*names}) == len(names) else told_apart(inputs)
            drawn = figures.compare_figure(predictions, names, number, size or "column")
        print_line(f"Frame {number}")
        figures.save_figure(drawn, out, overwrite)
    print_result(f"Wrote {out}")


def _read_prediction(path: Path) -> Prediction:
    prediction = read_prediction(path)
    if prediction.samples is None:
        print_line(f"warning: {path}: no samples are stored, only the point estimate is drawn", error=True)
    return prediction
