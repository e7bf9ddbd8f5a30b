"""Weights from published .pth state dicts and safetensors files, read without running code."""

import pickle
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from prpose.atomic import existing_file
from prpose.lifter import LIFTERS, REFINEMENTS, RemappedLifter, build_lifter, build_refinement, is_lifter
from prpose.nets import graphmlp, htnet, modulated_gcn
from prpose.nets.framed import Framed
from prpose.nets.layers import numbers_within
from prpose.noise import CONSTANT, VARIANCE_NETS, build_learnt_noise, build_variance_net
from prpose.tables import unknown

VARIANCE_PREFIX = "avg_"  # avg_htnet is the variance net of htnet, as in the published avg_model_htnet.pth
LEARNT_PREFIX = "learnt_"  # learnt_htnet is learnt noise with the variance net of htnet
REFINEMENT_PREFIX = "refine_"  # refine_graphmlp is the refinement of graphmlp's poses
WRAPPERS = "model_pos", "state_dict", "model_state_dict", "model", "net", "network", "lifter"
"""Names under which trainings keep the weights: VideoPose3D's family, PyTorch Lightning, MMPose and others."""
PER_TENSOR = 50  # bytes that a file at least needs beside a tensor's numbers
DEEPEST = 8  # of wrappers within wrappers
DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8),
)
"""Types of weights that are accepted: no quantised, complex or Boolean ones."""
RENAMINGS: dict[str, Callable[[str], str]] = {
    "htnet": htnet.rename_published,
    "graphmlp": graphmlp.rename_published,
    "modulated_gcn": modulated_gcn.rename_published,
}
"""Networks whose parameter names differ from the published ones."""


def load_published(name: str, source: str | Path | Mapping[str, Tensor], **kw: Any) -> nn.Module:
    """A network with weights of a published checkpoint, in eval mode, on the CPU.

    Args:
        name: of a lifter (:func:`prpose.lifter.build_lifter`); with ``avg_`` before it, of its variance net; with
            ``learnt_``, of learnt noise; with ``refine_``, of its refinement.
        source: the release's ``.pth``, a ``.safetensors`` file, or a state dict, with the published parameter names
            or prpose's. A published checkpoint may include the network's fixed graph, and be a training's, with the
            weights under a name such as ``model_pos`` or ``state_dict`` and a prefix such as ``module.``.
        kw: constructor arguments that differ from the published ones.

    ``ValueError`` for an unknown name; a file that is missing, truncated or holds more than tensors (nothing of it is
    run); keys, shapes, types or a graph of another network; NaN or infinity.
    """
    if not isinstance(name, str):
        raise ValueError(f"expected the name of a network, got {type(name).__name__}")
    if not isinstance(source, Mapping | str | Path):
        raise ValueError(f"expected a path or a state dict, got {type(source).__name__}")
    if isinstance(source, Mapping):
        net, where = _built(name, kw), "the state dict"
    else:
        problem = f"{source}: it is not a checkpoint of {name}, which has more parameters than bytes"
        with numbers_within(existing_file(source).stat().st_size, PER_TENSOR, problem):
            net, where = _built(name, kw), str(source)
    state = dict(source) if isinstance(source, Mapping) else read_state_dict(source)
    problem = _not_tensors(state)
    inner, prefix = (net.net, "net.") if isinstance(net, RemappedLifter) else (net, "")
    inner, prefix = (net.lifter, "lifter.") if isinstance(net, Framed) else (inner, prefix)
    rename = RENAMINGS.get(name, str)
    if not problem:  # a wrapped lifter's checkpoint is the lifter's own, or ours with the prefix
        state = _without_prefix(state, inner)
        state, problem = _renamed(inner, state, lambda key: rename(key.removeprefix(prefix)))
    if problem := problem or mismatch(inner, state):
        raise ValueError(f"{where} is not a checkpoint of {name}: {problem}")
    inner.load_state_dict(state, strict=True)
    return net.eval()


def _built(name: str, kw: Mapping[str, Any]) -> nn.Module:
    if is_lifter(name):
        return build_lifter(name, **kw)
    others: dict[str, Callable[..., nn.Module]] = {
        VARIANCE_PREFIX + net: partial(build_variance_net, net) for net in VARIANCE_NETS
    }
    others |= {LEARNT_PREFIX + net: partial(build_learnt_noise, net) for net in (CONSTANT, *VARIANCE_NETS)}
    others |= {REFINEMENT_PREFIX + net: partial(build_refinement, net) for net in REFINEMENTS}
    if name not in others:
        raise ValueError(unknown(name, [*LIFTERS, *others], "network"))
    return others[name](**kw)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` or ``.pth`` file, on the CPU; no code in a file is run."""
    path = existing_file(path)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it then reads or refuses
            check_archive(path)
            with torch.serialization.safe_globals([Namespace]):  # a training's options, plain values
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        _, _, reason = str(error).partition("WeightsUnpickler error: ")
        reason = reason.split("\n")[0] or "damaged, or not a PyTorch file"
        raise ValueError(f"{path}: holds more than tensors; nothing of it was run ({reason})") from None
    except Exception as error:  # a damaged file can fail in any way at all
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ValueError(f"{path}: truncated or not a weights file ({reason})") from None
    state, place = _unwrapped(state)
    if problem := _not_tensors(state):
        raise ValueError(f"{path}{place}: {problem}")
    return dict(state)


def check_archive(path: Path) -> None:
    """``ValueError`` for an archive that unpacks to more than its size; PyTorch compresses nothing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if (size := sum(info.file_size for info in archive.infolist())) > path.stat().st_size:
                raise ValueError(f"expected tensors that are not compressed, got {size:,} bytes in a smaller file")


def _unwrapped(content: Any) -> tuple[Any, str]:
    """The state dict in a training's checkpoint, and its place; the content itself if there is none or it is one.

    Of several state dicts, that of the first name in :data:`WRAPPERS` is taken.
    """
    place = ""
    for _ in range(DEEPEST):
        if not isinstance(content, Mapping) or not content or not _not_tensors(content):
            break
        inner = [key for key in (*WRAPPERS, *content) if isinstance(content.get(key), Mapping) and content[key]]
        inner = [key for key in dict.fromkeys(inner) if key in WRAPPERS or not _not_tensors(content[key])]
        if not inner:
            break
        content, place = content[inner[0]], f"{place}, {inner[0]!r:.40}"
    return content, place


def _not_tensors(state: Any) -> str:
    """The reason why ``state`` is not a state dict of plain tensors, or an empty string."""
    if not isinstance(state, Mapping):
        return f"expected a state dict of tensors, got {type(state).__name__}"
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            return f"expected a state dict of tensors, got {type(value).__name__} under {key!r:.80}"
        if value.layout != torch.strided or value.is_nested or value.is_meta:
            return f"expected dense tensors with data, got {key} on {value.device}, {value.layout}"
        if value.dtype not in DTYPES:
            return f"expected real numbers, got {key} as {value.dtype}"
    return ""


def _without_prefix(state: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Without the words that all names share and the network's do not, as DataParallel's ``module.``."""
    own = {key.partition(".")[0] for key in net.state_dict()}
    while len(first := {key.partition(".")[0] for key in state}) == 1 and not first & own:
        if not all("." in key for key in state):
            break
        state = {key.partition(".")[2]: value for key, value in state.items()}
    return state


def _renamed(
    net: nn.Module, state: Mapping[str, Tensor], rename: Callable[[str], str]
) -> tuple[dict[str, Tensor], str]:
    """The state dict with our names and shapes, and the reason why it cannot be loaded, or an empty string."""
    renamed, own = dict[str, Tensor](), net.state_dict()
    fixed = {name: buffer for name, buffer in net.named_buffers() if name not in own}  # must have their own values
    for key, value in state.items():
        ours = rename(key)
        if ours in fixed:
            if not _same(value, fixed[ours]):
                return renamed, f"{key} is not this network's own graph"
            continue
        if ours in renamed:
            return renamed, f"two parameters are called {ours}, one of them {key}"
        shape = own[ours].shape if ours in own else value.shape
        # The kernel of a 1 x 1 convolution is the matrix of a linear map.
        matrix = value.shape == (*shape, *[1] * (value.ndim - len(shape)))
        renamed[ours] = value.reshape(shape) if matrix else value
    return renamed, ""


def _same(value: Tensor, fixed: Tensor) -> bool:
    """Whether two tensors are equal, up to the rounding of the coarser type, float32 or half."""
    if value.shape != fixed.shape or not value.is_floating_point():
        return False
    eps = max(torch.finfo(value.dtype).eps, torch.finfo(fixed.dtype).eps)
    return torch.allclose(value.to(fixed.dtype), fixed, rtol=eps, atol=0)


def mismatch(net: nn.Module, state: Mapping[str, Tensor]) -> str:
    """The reason why ``state`` is not this network's state dict, or an empty string."""
    own = net.state_dict()
    problems = []
    for kind, some, others in (("missing", own, state), ("unexpected", state, own)):
        if keys := [key for key in some if key not in others]:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            problems.append(f"{kind} {', '.join(keys[:3])}{more}")
    for key, value in own.items():
        given = state.get(key, value)
        if given.shape != value.shape:
            problem = f"has shape {tuple(given.shape)}, expected {tuple(value.shape)}"
        elif given.is_floating_point() != value.is_floating_point():
            problem = f"is of {given.dtype}, expected {value.dtype}"
        elif not given.to(value.dtype).isfinite().all():
            problem = "has NaN or infinity"
        else:
            continue
        return "; ".join([*problems, f"{key} {problem}"])
    return "; ".join(problems)
