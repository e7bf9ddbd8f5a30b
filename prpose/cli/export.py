"""``prpose export``: a model as one file for ONNX Runtime."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from prpose.cli.console import Flag, print_result
from prpose.export import export_onnx


def export(
    model: Annotated[Positional[str], arg(metavar="MODEL")],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    overwrite: Flag = False,
) -> None:
    """Export a model to an ONNX file.

    The file holds both networks and the card; ``prpose predict --model OUT`` computes it with ONNX Runtime.

    Args:
        model: A bundled model, or a model's folder.
        out: File to write, *.onnx.
        overwrite: Replace an existing file.
    """
    difference = export_onnx(model, out, overwrite)
    print_result(f"{out}: poses within {1e6 * difference:.1f} micrometres of PyTorch's")
