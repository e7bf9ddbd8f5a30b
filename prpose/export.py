"""Exports models to ONNX: noise in, samples out, the noise net and the card inside."""

import copy
import json
import logging
import warnings
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from prpose.atomic import check_output, replacing
from prpose.camera import Array
from prpose.card import Card
from prpose.hub import find_model_folder
from prpose.lifter import average_flipped, unmirror
from prpose.one_pass import OnePassSampler
from prpose.onnx import FACTS, INPUTS, METADATA, SUFFIX, OnnxSampler
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17
from prpose.tables import import_extra

TOLERANCE_M = 1e-4  # largest difference from PyTorch of a coordinate
UNITS = {
    True: "Keypoints are ((x - cx) / fx, (y - cy) / fy).",
    False: "Keypoints are (2 x / width - 1, 2 y / width - height / width).",
}
"""Normalised keypoints of pixels, by whether the lifter is framed."""


class SamplerGraph(nn.Module):
    """A sampler as one expression without chunks, in the form that can be exported.

    With ordinary lifters, (keypoints (B, T, J, 2), eps (S, B, T, J, 2), eps_mirrored of the same shape, extra_sigma
    (B, T, J)) → samples (S, B, T - F + 1, J, 3), pose (B, T - F + 1, J, 3), noise_sd (B, T - F + 1, J, 2).
    """

    inputs: tuple[str, ...] = INPUTS
    outputs = ("samples", "pose", "noise_sd")

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.sampler = copy.copy(sampler)
        self.sampler.chunk = 2**31  # in one piece, whatever B and T are

    def forward(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        net, S = self.sampler, eps.shape[0]
        means, stddevs = net._prepare(keypoints, extra_sigma)
        noisy = [means[0] + stddevs[0] * eps, means[1] + stddevs[1] * eps_mirrored]
        if net.flip == "mixture":
            odd = torch.arange(S, device=eps.device) % 2 == 1
            noisy = [torch.where(odd[:, None, None, None, None], noisy[1], noisy[0])]
        inputs = torch.cat([means, *noisy])  # (2 + S, B, T, J, 2), or with both images of each sample 2 + 2 S
        lifted = net.lifter(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        if net.trained:
            lifted = lifted - lifted[..., :1, :]
        pose = average_flipped(lifted[0], lifted[1], net.mirror)
        if net.flip == "mixture":
            mirrored = odd[:, None].expand(-1, keypoints.shape[0]).flatten()
            samples = unmirror(lifted[2:].flatten(0, 1), mirrored, net.mirror).unflatten(0, (S, -1))
        else:
            samples = average_flipped(lifted[2 : S + 2], lifted[S + 2 :], net.mirror)
        own = slice(net.own_frame, net.own_frame + pose.shape[1])
        return samples, pose, stddevs[0][:, own]


class OnePassGraph(SamplerGraph):
    """A one-pass sampler, (keypoints, eps (S, B, T, J, 4)) → samples, pose, covariance (B, T - F + 1, J, 3, 3)."""

    inputs = INPUTS[:2]
    outputs = ("samples", "pose", "covariance")

    def forward(self, keypoints: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        assert isinstance(self.sampler, OnePassSampler)
        mixture, own, S = self.sampler._mixture(keypoints), self.sampler._own(eps), eps.shape[0]
        M = len(mixture.components)
        turns = torch.cat([own, own[:1].expand(M - 1, -1, -1, -1, -1)])[: (S + M - 1) // M * M].unflatten(0, (-1, M))
        poses = torch.stack([each.sample(turns[:, k]) for k, each in enumerate(mixture.components)], dim=1)
        return poses.flatten(0, 1)[:S], mixture.pose, mixture.covariance()


def export_onnx(name: str | Path, out: Path, overwrite: bool = False) -> float:
    """Writes a model as an ONNX file, and returns the largest difference of its poses from PyTorch's, metres.

    Numbers of samples, clips and frames are free. The metadata hold the card and what :class:`prpose.onnx.OnnxSampler`
    needs.

    Raises:
        ValueError: for an unknown model, an output that exists, a model that cannot be exported, and poses that differ
            by more than :data:`TOLERANCE_M`; nothing is written then.
    """
    if out.suffix != SUFFIX:
        raise ValueError(f"{out}: expected a name that ends in {SUFFIX}")
    check_output(out, overwrite)
    folder = find_model_folder(name)
    sampler = folder.sampler()
    program = _exported(sampler, folder.card)
    with replacing(out) as temporary:
        program.save(temporary)
        difference = _largest_difference(sampler, OnnxSampler(temporary))
        if not difference <= TOLERANCE_M:
            raise ValueError(f"{out}: expected the poses of PyTorch, got others by up to {1000 * difference:.3g} mm")
    return difference


def _exported(sampler: Sampler, card: Card) -> torch.onnx.ONNXProgram:
    import_extra("onnxscript", "onnx")
    graph = (OnePassGraph if isinstance(sampler, OnePassSampler) else SamplerGraph)(sampler).eval()
    arrays = _random_inputs(sampler, S=7, B=3, T=sampler.F + 4)
    axes = {"keypoints": (0, 1), "eps": (0, 1, 2), "eps_mirrored": (0, 1, 2), "extra_sigma": (0, 1)}
    free = tuple(dict.fromkeys(axes[name], torch.export.Dim.DYNAMIC) for name in graph.inputs)
    tensors = tuple(torch.from_numpy(arrays[name]) for name in graph.inputs)
    logging.disable(logging.WARNING)  # of the exporter, about itself
    with torch.no_grad(), warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                graph, tensors, dynamo=True, dynamic_shapes=free, verbose=False,
                input_names=list(graph.inputs), output_names=list(graph.outputs),
            )  # fmt: skip
        except Exception as error:  # of a user's own network, in any step of the exporter
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"{card.name} cannot be exported to ONNX ({type(error).__name__}: {reason:.200})"
            ) from None
    assert program is not None, "an export by torch.export returns a program"
    components = len(sampler.prepare(tensors[0]).mixture.components) if sampler.one_pass else 1
    facts = {fact: getattr(sampler, fact) for fact in FACTS if fact != "components"}
    facts |= {"components": components, "card": asdict(card)}
    facts |= {"joints": H36M_17.names, "mirror": H36M_17.mirror, "output": "metres, camera axes, pelvis at 0"}
    program.model.metadata_props[METADATA] = json.dumps(facts | {"input": UNITS[sampler.framed]})
    return program


def _random_inputs(sampler: Sampler, S: int, B: int, T: int) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-0.5, 0.5, (B, T, len(H36M_17), 2)).astype(np.float32)
    keypoints -= keypoints[:, :, :1] * 0.5
    shape = S, *keypoints.shape[:-1], sampler.noise_channels
    eps, eps_mirrored = rng.standard_normal((2, *shape)).astype(np.float32)
    sigma = rng.uniform(0, 0.01, keypoints.shape[:-1]).astype(np.float32)
    return {"keypoints": keypoints, "eps": eps, "eps_mirrored": eps_mirrored, "extra_sigma": sigma}


def _largest_difference(sampler: Sampler, exported: OnnxSampler) -> float:
    worst = 0.0
    for S, B, T in ((1, 1, sampler.F), (5, 2, sampler.F + 2), (40, 1, sampler.F + 12)):
        x, eps, eps_mirrored, extra_sigma = _random_inputs(sampler, S, B, T).values()
        for sigma in (None, extra_sigma):
            wanted, found = (each.draw(x, eps, eps_mirrored, sigma) for each in (sampler, exported))
            for a, b in zip(wanted, found, strict=True):
                if a is None or b is None:
                    continue
                if not np.array_equal(np.isnan(a), np.isnan(b)):
                    return float("inf")
                worst = max(worst, float(np.nanmax(np.abs(a - b), initial=0)))
    return worst
