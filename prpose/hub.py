"""Trained models; some are bundled with prpose.

Each is a folder with a card (networks, training, data, scores) and the weights of a lifter and of its noise, if any.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import save
from torch import Tensor, nn

from prpose.atomic import check_output, json_text, read_json, replacing, sha256_of
from prpose.card import ROLES, Card, Network, card_of
from prpose.lifter import is_lifter, is_one_pass, receptive_field
from prpose.nets.folded import for_inference
from prpose.noise import LearntNoise
from prpose.one_pass import build_sampler
from prpose.onnx import is_onnx
from prpose.sampler import Sampler
from prpose.tables import import_extra, is_import_path, naming, unknown
from prpose.weights import LEARNT_PREFIX, VARIANCE_PREFIX, load_published, read_state_dict

SHIPPED = Path(__file__).parent / "cards"
CARD = "card.json"
TRUSTED = "PRPOSE_LIFTERS"  # environment variable with the import paths, separated by commas, that cards may name


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder and its card."""

    folder: Path
    card: Card

    @property
    def size(self) -> int:
        """Bytes of weights."""
        return sum(_weights(self.folder, role).stat().st_size for role in self.card.roles)

    def networks(self) -> tuple[nn.Module, nn.Module | None]:
        """Lifter and noise, in eval mode, on the CPU; ``ValueError`` if files or the card are invalid."""
        nets: list[nn.Module] = []
        for role in self.card.roles:
            network, path = getattr(self.card, role), _weights(self.folder, role)
            _check_network(role, network)
            found = sha256_of(path) if path.is_file() else "no file"
            if found != network.sha256:
                raise ValueError(f"{path}: expected SHA-256 {network.sha256}, got {found}")
            nets.append(load_published(network.network, path, **network.arguments))
        lifter, noise = nets[0], nets[1] if len(nets) > 1 else None
        if noise is None and not is_one_pass(lifter):
            raise ValueError(f"{self.folder}: expected a noise network; {self.card.lifter.network} needs one")
        return lifter, noise

    def sampler(self, alpha: float | None = None) -> Sampler:
        """The networks together, for inference, on the CPU; ``alpha`` replaces the card's."""
        lifter, noise = self.networks()
        if alpha is not None and isinstance(noise, LearntNoise):
            raise ValueError(f"{self.card.name}: expected no alpha; the scale of its noise was learnt")
        sampler = build_sampler(lifter, noise, self.card.alpha if alpha is None else alpha, self.card.floor)
        return for_inference(sampler)


def bundled_models() -> dict[str, ModelFolder]:
    """The models that are bundled with prpose, by name."""
    return {path.name: read_model_folder(path) for path in sorted(SHIPPED.iterdir()) if path.is_dir()}


def find_model_folder(name: str | Path) -> ModelFolder:
    """A bundled model by name, a model's folder, or a model of the Hugging Face hub; ``ValueError`` if there is none.

    Args:
        name: ``mgcn-cmu17``; a folder; or ``owner/name`` on the hub, which needs the extra ``hub`` and, the first
            time, a connection. A card of the hub may name networks of prpose and of installed packages only.
    """
    if not isinstance(name, str | Path) or len(str(name)) > 4096:
        raise ValueError(f"expected the name of a model, or a folder, got {name!r:.80}")
    bundled = bundled_models()
    if str(name) in bundled:
        if name == str(name) and (Path(name) / CARD).is_file():
            raise ValueError(f"{name} is a bundled model, and a folder here: for the folder, give ./{name}")
        return bundled[str(name)]
    if is_onnx(name):
        raise ValueError(f"{name}: expected a model's name or folder; an ONNX file can only predict")
    if Path(name).is_dir():
        return read_model_folder(Path(name))
    owner, slash, rest = str(name).partition("/")
    if not slash or not owner or not rest or "/" in rest or owner in (".", ".."):
        raise ValueError(f"{unknown(str(name), bundled, 'model')}; nor is there such a folder")
    model = read_model_folder(_downloaded(str(name)))
    for network in [name for role in model.card.roles for name in getattr(model.card, role).names]:
        if is_import_path(network):
            hint = "if you trust it, download the folder and name that"
            raise ValueError(f"{name}: expected networks of prpose, got {network}; {hint}")
    return model


def by_role(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A sampler's state dict as those of its networks, empty for a role that it lacks."""
    parts: dict[str, dict[str, Tensor]] = {role: {} for role in ROLES}
    for key, value in state.items():
        role, _, name = key.partition(".")
        parts.get(role, {})[name] = value
    return parts


def read_model_folder(folder: Path) -> ModelFolder:
    """A model's folder, without its weights; ``ValueError`` naming the card if it is missing or invalid."""
    path = folder / CARD
    if not path.is_file():
        raise ValueError(f"{folder}: expected a model's folder, with {CARD} in it")
    with naming(path):
        return ModelFolder(folder, card_of(read_json(path)))


def write_model_folder(
    folder: Path,
    card: Card,
    weights: Mapping[str, Path | Mapping[str, Tensor]],
    half: bool = False,
    overwrite: bool = False,
    scored: Sequence[Mapping[str, str]] = (),
) -> ModelFolder:
    """Writes a folder with a card, whose checksums it fills in, and the weights of ``lifter`` and ``noise``.

    ``half`` stores float16; ``scored`` are checksums of the weights whose scores the card states. ``ValueError``, and
    nothing is written, if the folder exists, or the weights are of another network or not the scored ones.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: expected the name of a folder, got a file")
    check_output(folder / CARD, overwrite=True)
    if folder.exists() and not overwrite:
        raise ValueError(f"{folder}: exists already; name another folder or pass --overwrite")
    content, data = asdict(card), {}
    for role in card.roles:
        source = weights[role]
        state = read_state_dict(source) if isinstance(source, Path) else dict(source)
        if half:
            state |= {k: v.half() for k, v in state.items() if v.is_floating_point()}
        network = getattr(card, role)
        _check_network(role, network)
        net = load_published(network.network, state, **network.arguments)
        if role == "lifter" and receptive_field(net) > 1 and card.fps is None:
            raise ValueError("expected fps, the frame rate of the training, of a lifter of several frames, got none")
        # Cloned: some published checkpoints store one tensor under several names.
        data[role] = save({key: value.clone().contiguous() for key, value in state.items()})
        content[role]["sha256"] = sha256_of(data[role])
    if any(found[role] != content[role]["sha256"] for found in scored for role in card.roles):
        raise ValueError(f"{folder}: expected scores of these weights, got some of others")
    with ExitStack() as files:  # all are written before the first is replaced; the card is the last
        files.enter_context(replacing(folder / CARD)).write_text(json_text(content), "utf-8")
        for role in card.roles:
            files.enter_context(replacing(_weights(folder, role))).write_bytes(data[role])
    for role in set(ROLES) - set(card.roles):
        _weights(folder, role).unlink(missing_ok=True)
    return read_model_folder(folder)


def _check_network(role: str, network: Network) -> None:
    """Raises ``ValueError`` if a network cannot have the role, or its arguments are invalid."""
    name, arguments = str(network.network), network.arguments
    prefixed = any(name.startswith(prefix) and name != prefix for prefix in (VARIANCE_PREFIX, LEARNT_PREFIX))
    if not (is_lifter(name) if role == "lifter" else prefixed):
        raise ValueError(f"expected a network that can be the {role} of a model, got {name!r:.80}")
    if not isinstance(arguments, Mapping) or {"name", "source"} & set(arguments):
        raise ValueError(f"expected constructor arguments of {name}, got {arguments!r:.80}")
    for each in network.names:
        _check_origin(each)


def _check_origin(name: str) -> None:
    """Raises ``ValueError`` if a file names a class that the user has not: who wrote it must not choose what runs."""
    # A module of others, such as os, is imported too; what is no network is refused where it is built.
    named = {each.strip() for each in os.environ.get(TRUSTED, "").split(",")}
    vouched = name in named or name.partition(":")[0] in sys.modules
    if is_import_path(name) and not vouched:
        remedy = f"if you trust it, name it in the environment variable {TRUSTED}, or import its module first"
        raise ValueError(f"expected networks of prpose, got {name!r:.80}; {remedy}")


def _weights(folder: Path, role: str) -> Path:
    return folder / f"{role}.safetensors"


def _downloaded(name: str) -> Path:
    with naming(f"no model and no folder {name!r}, and it cannot be looked for on the Hugging Face hub"):
        hub = import_extra("huggingface_hub", "hub")
    wanted = [CARD, *(_weights(Path(), role).name for role in ROLES)]
    try:
        return Path(hub.snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # of the connection, the hub or the name
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ValueError(f"no model {name!r} on the Hugging Face hub ({reason})") from None
