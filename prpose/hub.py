"""Trained models: a folder each, with a card and two files of weights; some come with prpose.

::

    card.json             what it is, where from, and what it is worth
    lifter.safetensors    the lifter
    noise.safetensors     its variance net
"""

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from prpose.atomic import check_output, replacing
from prpose.imports import is_path
from prpose.lifter import LIFTERS
from prpose.noise import AdaptiveNoise
from prpose.regions import region_quantiles
from prpose.sampler import Sampler
from prpose.tables import unknown
from prpose.weights import VARIANCE_PREFIX, load_published, read_state_dict

SHIPPED = Path(__file__).parent / "cards"
CARD = "card.json"
ROLES = ("lifter", "noise")


@dataclass(frozen=True)
class Network:
    """One of a model's two networks.

    Args:
        network: as :func:`prpose.weights.load_published` names it: ``htnet``, ``avg_htnet``.
        arguments: of its constructor, where they differ from the published ones.
        sha256: of its file.
        command: that made it, seed included.
        commit: of prpose, that it was made with.
        training: how long it took, and on what.
    """

    network: str
    sha256: str
    command: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    commit: str = ""
    training: str = ""


@dataclass(frozen=True)
class Card:
    """A lifter with its variance net: what they are, where from, and what they are worth.

    Args:
        name: of the model, ``mgcn-cmu17``.
        lifter, noise: its networks.
        alpha, floor: of the noise (:class:`prpose.noise.AdaptiveNoise`), chosen on validation.
        data: what it was trained on, and ``data_sha256``, the hash of everything in it.
        date: when.
        scores: by split and metric, of the stored weights.
        limits_95: by joint, how large 95 % regions are (:mod:`prpose.regions`); measured on
            validation. Nothing if it was not.
        fps: frames per second of the data, for lifters of several frames.

    Raises:
        ValueError: if alpha or floor is negative or not a finite number, fps is not > 0, or as of
            :func:`prpose.regions.region_quantiles`.
    """

    name: str
    lifter: Network
    noise: Network
    alpha: float
    data: str
    data_sha256: str
    date: str
    floor: float = 1.0
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    limits_95: Mapping[str, float] = field(default_factory=dict)
    fps: float | None = None

    def __post_init__(self) -> None:
        region_quantiles({"limits_95": self.limits_95})
        for name, value in (("alpha", self.alpha), ("floor", self.floor)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"expected {name} to be a finite number >= 0, got {value}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"expected fps to be a finite number > 0, got {self.fps}")


@dataclass(frozen=True)
class ModelFolder:
    """A card and the folder that it lies in."""

    folder: Path
    card: Card

    @property
    def size(self) -> int:
        """Bytes of weights."""
        return sum(_weights(self.folder, role).stat().st_size for role in ROLES)

    @property
    def networks_named(self) -> tuple[str, ...]:
        """What the card calls its two networks."""
        return tuple(str(getattr(self.card, role).network) for role in ROLES)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Lifter and variance net, in eval mode, on the CPU.

        Raises:
            ValueError: naming the file, if its checksum is not the card's, or it is of another
                network; if the card names a network that cannot have the role.
        """
        nets = []
        for role in ROLES:
            network, path = getattr(self.card, role), _weights(self.folder, role)
            _check_network(role, network)
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
            if found != network.sha256:
                raise ValueError(f"{path}: expected SHA-256 {network.sha256}, got {found}")
            nets.append(load_published(network.network, path, **network.arguments))
        return nets[0], nets[1]

    def sampler(self) -> Sampler:
        """Both networks together, on the CPU."""
        lifter, variance_net = self.networks()
        return Sampler(lifter, AdaptiveNoise(variance_net, self.card.alpha, self.card.floor))


def bundled_models() -> dict[str, ModelFolder]:
    """The models that come with prpose, by name."""
    return {path.name: read_model_folder(path) for path in sorted(SHIPPED.iterdir()) if path.is_dir()}


def find_model_folder(name: str | Path) -> ModelFolder:
    """A shipped model by its name, one of a folder, or one of the Hugging Face hub.

    Args:
        name: ``mgcn-cmu17``; a folder; or ``owner/name`` on the hub, which needs the extra ``hub``
            and, the first time, a connection.

    Raises:
        ValueError: if there is no such model, or it is damaged.
    """
    if not isinstance(name, str | Path) or len(str(name)) > 4096:
        raise ValueError(f"expected the name of a model, or a folder, got {name!r:.80}")
    if str(name) in bundled_models():
        if name == str(name) and (Path(name) / CARD).is_file():
            raise ValueError(f"{name} is a model of prpose's, and a folder here: ./{name}")
        return bundled_models()[str(name)]
    if Path(name).is_dir():
        return read_model_folder(Path(name))
    owner, slash, rest = str(name).partition("/")
    if not slash or not owner or not rest or "/" in rest or owner in (".", ".."):
        raise ValueError(f"{unknown(str(name), bundled_models(), 'model')}; nor is there such a folder")
    model = read_model_folder(_downloaded(f"{owner}/{rest}"))
    foreign = [network for network in model.networks_named if is_path(network)]
    if foreign:  # a stranger's card must not choose what is imported
        raise ValueError(
            f"{name}: expected networks of prpose, got {foreign[0]}; if you trust it, download the folder and name that"
        )
    return model


def read_model_folder(folder: Path) -> ModelFolder:
    """A model's folder; its weights are read when they are asked for.

    Raises:
        ValueError: naming the card, if it is missing or not whole.
    """
    path = folder / CARD
    if not path.is_file():
        raise ValueError(f"{folder}: expected a model's folder, with {CARD} in it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lifter, noise = (Network(**content.pop(role)) for role in ROLES)
        card = Card(lifter=lifter, noise=noise, **content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: not a model's card ({error})") from None
    return ModelFolder(folder, card)


def write_model_folder(
    folder: Path,
    card: Card,
    weights: Mapping[str, Path],
    half: bool = False,
    overwrite: bool = False,
    scored: Sequence[Mapping[str, str]] = (),
) -> ModelFolder:
    """A folder with a card and its weights; the card's checksums are those of what is written.

    Args:
        folder: a new one.
        card: whose checksums are filled in.
        weights: files of ``lifter`` and ``noise``.
        half: whether to store them as float16.
        overwrite: replace the files if the folder exists.
        scored: checksums of the weights that the card's scores are of.

    Raises:
        ValueError: if the folder exists, weights cannot be read or are of another network, or the
            scores are of other weights; nothing is written then.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: expected the name of a folder, got a file")
    check_output(folder / CARD, overwrite=True)
    if folder.exists() and not overwrite:
        raise ValueError(f"{folder}: exists already; name another folder or pass --overwrite")
    content, data = asdict(card), {}
    for role in ROLES:
        state = read_state_dict(weights[role])
        if half:
            state |= {k: v.half() for k, v in state.items() if v.is_floating_point()}
        network = getattr(card, role)
        _check_network(role, network)
        load_published(network.network, state, **network.arguments)
        # Copies: some published checkpoints hold one tensor under several names.
        data[role] = save({key: value.clone().contiguous() for key, value in state.items()})
        content[role]["sha256"] = hashlib.sha256(data[role]).hexdigest()
    for found in scored:
        if any(found[role] != content[role]["sha256"] for role in ROLES):
            raise ValueError(f"{folder}: expected scores of these weights, got some of others")
    folder.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        with replacing(_weights(folder, role)) as temporary:
            temporary.write_bytes(data[role])
    with replacing(folder / CARD) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return read_model_folder(folder)


def _check_network(role: str, network: Network) -> None:
    """``ValueError`` if a network cannot have the role, or its arguments are none."""
    name, fits = str(network.network), network.network in LIFTERS or is_path(str(network.network))
    if role == "noise":
        fits = name.startswith(VARIANCE_PREFIX) and name != VARIANCE_PREFIX
    if not fits:
        raise ValueError(f"expected a network that can be the {role} of a model, got {name!r:.80}")
    arguments = network.arguments
    if not isinstance(arguments, Mapping) or {"name", "source"} & set(arguments):
        raise ValueError(f"expected constructor arguments of {name}, got {arguments!r:.80}")


def _weights(folder: Path, role: str) -> Path:
    return folder / f"{role}.safetensors"


def _downloaded(name: str) -> Path:
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        raise ValueError(
            f"no model and no folder {name!r}; huggingface_hub is needed to look for it on the "
            'hub: pip install "prpose[hub]"'
        ) from None
    wanted = [CARD, *(_weights(Path(), role).name for role in ROLES)]
    try:
        return Path(hub.snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # of the net, of the hub, or of the name
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ValueError(f"no model {name!r} on the Hugging Face hub ({reason})") from None
