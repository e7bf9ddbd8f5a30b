"""Trained models: a folder each, with a card and two files of weights; some are bundled with prpose.

::

    card.json             networks, training, data and scores
    lifter.safetensors    weights of the lifter
    noise.safetensors     weights of its variance net
"""

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from prpose.atomic import check_output, read_json, replacing, write_json
from prpose.lifter import is_lifter
from prpose.noise import AdaptiveNoise, check_scale
from prpose.regions import region_quantiles
from prpose.sampler import Sampler
from prpose.tables import is_import_path, unknown
from prpose.weights import VARIANCE_PREFIX, load_published, read_state_dict

SHIPPED = Path(__file__).parent / "cards"
CARD = "card.json"
ROLES = ("lifter", "noise")


@dataclass(frozen=True)
class Network:
    """One of a model's two networks.

    Args:
        network: its name in :func:`prpose.weights.load_published`: ``htnet``, ``avg_htnet``.
        sha256: of its file.
        command: that trained it, seed included.
        arguments: of its constructor that differ from the published ones.
        commit: of prpose.
        training: duration and data of the training.
    """

    network: str
    sha256: str
    command: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    commit: str = ""
    training: str = ""


@dataclass(frozen=True)
class Card:
    """Description of a model: a lifter with its variance net.

    Args:
        name: of the model, ``mgcn-cmu17``.
        lifter, noise: its networks.
        alpha, floor: of the noise (:class:`prpose.noise.AdaptiveNoise`), chosen on validation data.
        data, data_sha256: the training data, and the hash of all its inputs.
        date: of the training.
        scores: by split and metric, of the stored weights.
        limits_95: conformal quantile of each joint's 95 % region (:mod:`prpose.regions`), measured on validation
            data; empty if it was not.
        fps: frames per second of the training data, of lifters with several frames.

    Raises:
        ValueError: if alpha or floor is negative or not finite, fps is not > 0, or ``limits_95`` is invalid
            (:func:`prpose.regions.region_quantiles`).
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
        check_scale("alpha", self.alpha)
        check_scale("floor", self.floor)
        if self.fps is not None and not 0 < self.fps < 1e6:
            raise ValueError(f"expected fps > 0, frames per second, got {self.fps!r:.80}")


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder and its card."""

    folder: Path
    card: Card

    @property
    def size(self) -> int:
        """Bytes of weights."""
        return sum(_weights(self.folder, role).stat().st_size for role in ROLES)

    @property
    def network_names(self) -> tuple[str, ...]:
        """Names of the two networks."""
        return tuple(str(getattr(self.card, role).network) for role in ROLES)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Lifter and variance net, in eval mode, on the CPU.

        Raises:
            ValueError: naming the file, if its checksum is not the card's or it is of another network; if the card
                names a network that cannot have the role, or one whose code lies in the model's own folder.
        """
        nets = []
        for role in ROLES:
            network, path = getattr(self.card, role), _weights(self.folder, role)
            _check_network(role, network)
            _check_origin(network.network, self.folder)
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
    """The models that are bundled with prpose, by name."""
    return {path.name: read_model_folder(path) for path in sorted(SHIPPED.iterdir()) if path.is_dir()}


def find_model_folder(name: str | Path) -> ModelFolder:
    """A bundled model by name, a model's folder, or a model of the Hugging Face hub.

    Args:
        name: ``mgcn-cmu17``; a folder; or ``owner/name`` on the hub, which needs the extra ``hub`` and, the first
            time, a connection. A card of the hub may name networks of prpose and of installed packages only.

    Raises:
        ValueError: if there is no such model, or it is damaged.
    """
    if not isinstance(name, str | Path) or len(str(name)) > 4096:
        raise ValueError(f"expected the name of a model, or a folder, got {name!r:.80}")
    if str(name) in bundled_models():
        if name == str(name) and (Path(name) / CARD).is_file():
            raise ValueError(f"{name} is a bundled model, and a folder here: for the folder, give ./{name}")
        return bundled_models()[str(name)]
    if Path(name).is_dir():
        return read_model_folder(Path(name))
    owner, slash, rest = str(name).partition("/")
    if not slash or not owner or not rest or "/" in rest or owner in (".", ".."):
        raise ValueError(f"{unknown(str(name), bundled_models(), 'model')}; nor is there such a folder")
    model = read_model_folder(_downloaded(f"{owner}/{rest}"))
    foreign = [network for network in model.network_names if is_import_path(network)]
    if foreign:
        raise ValueError(
            f"{name}: expected networks of prpose, got {foreign[0]}; if you trust it, download the folder and name that"
        )
    return model


def read_model_folder(folder: Path) -> ModelFolder:
    """A model's folder; its weights are read later, by :meth:`ModelFolder.networks`.

    Raises:
        ValueError: naming the card, if it is missing or invalid.
    """
    path = folder / CARD
    if not path.is_file():
        raise ValueError(f"{folder}: expected a model's folder, with {CARD} in it")
    try:
        content = read_json(path)
        lifter, noise = (Network(**content.pop(role)) for role in ROLES)
        card = Card(lifter=lifter, noise=noise, **content)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
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
    """Writes a folder with a card, whose checksums it fills in, and weights.

    Args:
        folder: a new one.
        card: without checksums.
        weights: files of ``lifter`` and ``noise``.
        half: store the weights as float16.
        overwrite: replace the files if the folder exists.
        scored: checksums of the weights whose scores the card states.

    Raises:
        ValueError: if the folder exists, weights cannot be read or are of another network, or the scores are of other
            weights; nothing is written then.
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
        # Cloned: some published checkpoints store one tensor under several names.
        data[role] = save({key: value.clone().contiguous() for key, value in state.items()})
        content[role]["sha256"] = hashlib.sha256(data[role]).hexdigest()
    for found in scored:
        if any(found[role] != content[role]["sha256"] for role in ROLES):
            raise ValueError(f"{folder}: expected scores of these weights, got some of others")
    folder.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        with replacing(_weights(folder, role)) as temporary:
            temporary.write_bytes(data[role])
    write_json(folder / CARD, content)
    return read_model_folder(folder)


def _check_network(role: str, network: Network) -> None:
    """Raises ``ValueError`` if a network cannot have the role, or its arguments are invalid."""
    name = str(network.network)
    fits = is_lifter(name)
    if role == "noise":
        fits = name.startswith(VARIANCE_PREFIX) and name != VARIANCE_PREFIX
    if not fits:
        raise ValueError(f"expected a network that can be the {role} of a model, got {name!r:.80}")
    arguments = network.arguments
    if not isinstance(arguments, Mapping) or {"name", "source"} & set(arguments):
        raise ValueError(f"expected constructor arguments of {name}, got {arguments!r:.80}")


def _check_origin(name: str, folder: Path) -> None:
    """Raises ``ValueError`` if a card names code of its own folder: who wrote the card must not choose what runs."""
    if not is_import_path(name):
        return
    parts, here = name.partition(":")[0].split("."), Path.cwd()
    inside = here.joinpath(*parts).resolve().is_relative_to(folder.resolve())
    if inside and PathFinder.find_spec(parts[0], [str(here)]) is not None:
        raise ValueError(f"{folder}: expected {name} from elsewhere, got code in the model's own folder")


def _weights(folder: Path, role: str) -> Path:
    return folder / f"{role}.safetensors"


def _downloaded(name: str) -> Path:
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        raise ValueError(
            f"no model and no folder {name!r}; to look for it on the hub, install huggingface_hub: "
            'pip install "prpose[hub]"'
        ) from None
    wanted = [CARD, *(_weights(Path(), role).name for role in ROLES)]
    try:
        return Path(hub.snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # of the connection, the hub or the name
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ValueError(f"no model {name!r} on the Hugging Face hub ({reason})") from None
