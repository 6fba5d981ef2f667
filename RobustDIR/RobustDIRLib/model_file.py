"""The one file format of models, shipped or a user's own: read, checked and written.

A model file holds only plain values and tensors: the network's configuration, its weights and its card. It is always
loaded with `weights_only=True`, so that no code in it can run. Beside it lies its checksum. torch is imported inside
functions: checksums must be known where torch is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.archives import check_archive
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.files import PathLike, written_atomically

if TYPE_CHECKING:
    from RobustDIRLib.networks.network import LearningNetwork

FORMAT = "robustdir-model-1"
_KEYS, _CHECKSUM = {"format", "network", "weights", "card"}, "checksum"  # files of old have no checksum of their own


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to run, in evaluation mode.

    Attributes:
        network: `forward(fixed, moving)` gives the displacement and its inverse, in voxels.
        card: What the file says of itself: plain values.
        path: The model file.
        checksum: SHA-256 of the file.
    """

    network: LearningNetwork
    card: dict[str, Any]
    path: Path
    checksum: str


def read_model(path: Path, device: str = "cpu") -> LoadedModel:
    """Build a model's network from its own configuration and give it its weights.

    Args:
        path: The model file, which is there.
        device: Where the network shall be.
    Raises:
        InputError: If there is no such device, or the file is truncated, foreign, damaged, holds anything but weights
            and plain values, or its weights do not fit its network.
    """
    if checksum_file(path).is_file() and (problem := checksum_problem(path)):
        raise InputError(f"{path} is damaged: {problem}; install or copy it again.")
    content = _read(path)
    network = _on_device(_filled_network(path, content), device)
    return LoadedModel(network.eval(), dict(content["card"]), path, sha256(path))


def _on_device(network: LearningNetwork, device: str) -> LearningNetwork:
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:  # torch's words for a name it does not know, and for no CUDA
        raise InputError(
            f"`device` is {device!r}, which cannot be used here; give cpu, or a GPU that is there."
        ) from error


def save_model(path: PathLike, network: LearningNetwork, card: Mapping[str, Any]) -> Path:
    """Write a model file and its checksum; a kill at any moment leaves the old file or the new one.

    Args:
        path: The file, usually `<name>/weights.pt`; its folder must exist.
        network: Any that `networks.build.network_config` knows.
        card: Plain values (text, numbers, lists, dictionaries): what it was taught on, how, and how well it does.
    Raises:
        InputError: If it cannot be written there.
        TypeError: If the card holds anything but plain values.
    """
    import torch

    from RobustDIRLib.networks.build import network_config

    plain_card = json.loads(json.dumps(dict(card)))
    weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    content = {"format": FORMAT, "network": network_config(network), "weights": weights, "card": plain_card}
    content[_CHECKSUM] = _content_checksum(content)
    with written_atomically(path) as temporary:
        torch.save(content, temporary)
        checksum = sha256(temporary)
        checksum_file(Path(path)).unlink(missing_ok=True)  # an old checksum must never meet new weights
    write_checksum(Path(path), checksum)
    return Path(path)


def checksum_problem(path: Path) -> str | None:
    """What is wrong with a model file as against the checksum beside it, in words; None if nothing is."""
    note = checksum_file(path)
    if not note.is_file():
        return "no checksum lies beside it"
    recorded = note.read_text(encoding="ascii", errors="replace").split()[:1]
    return None if recorded == [sha256(path)] else "it differs from the checksum beside it"


def checksum_file(path: Path) -> Path:
    """Where the checksum beside a model file lies."""
    return path.with_name(path.name + ".sha256")


def write_checksum(path: Path, checksum: str) -> None:
    """Put a model file's checksum beside it, in the form that `sha256sum --check` reads."""
    with written_atomically(checksum_file(path)) as temporary:
        temporary.write_text(f"{checksum}  {path.name}\n", encoding="ascii")


def _read(path: Path) -> dict[str, Any]:
    """The content of a model file, its shape and its checksum checked."""
    advice = "give a model file made by RobustDIR."
    check_archive(path, "a model file")
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can make the reader raise anything
        raise InputError(f"{path} is damaged or holds more than weights and is refused; {advice}") from error
    keys = set(content) if isinstance(content, dict) else set()
    if keys - {_CHECKSUM} != _KEYS or content["format"] != FORMAT:
        raise InputError(f"{path} is no model file of the form {FORMAT!r}; {advice}")
    if not all(isinstance(content[key], dict) for key in ("network", "weights", "card")):
        raise InputError(f"{path} has no configuration, weights and card where they belong; {advice}")
    if not _are_plain_tensors(content["weights"]):
        raise InputError(f"{path} holds weights that do not fit its network; copy or train it again.")
    if not (_is_json(content["network"]) and _is_json(content["card"])):
        raise InputError(f"{path} has a card or a configuration of more than plain values; {advice}")
    if _CHECKSUM in content and content[_CHECKSUM] != _content_checksum(content):
        raise InputError(f"{path} is damaged: its content does not fit its own checksum; copy it again.")
    return dict(content)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _are_plain_tensors(weights: dict[Any, Any]) -> bool:
    """Whether all are tensors that hold each of their numbers: one that repeats a few could claim any size."""
    import torch

    return all(
        isinstance(name, str) and isinstance(value, torch.Tensor) and value.layout == torch.strided
        # Those of a file all lie in memory already, so that together they take no more than the file does.
        and value.is_contiguous() and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
        for name, value in weights.items()
    )  # fmt: skip


def _content_checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of configuration, card and weights, in an order of their own, whatever the archive around them."""
    import torch

    plain = json.dumps([content["format"], content["network"], content["card"]], sort_keys=True)
    digest = hashlib.sha256(plain.encode())
    for name, value in sorted(content["weights"].items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _filled_network(path: Path, content: dict[str, Any]) -> LearningNetwork:
    """The network, made once its shapes are known to be the weights': so it takes as much memory as they do."""
    import torch

    from RobustDIRLib.networks.build import build_network, weight_shapes

    try:
        if weight_shapes(content["network"]) != {name: value.shape for name, value in content["weights"].items()}:
            raise InputError(f"{path} holds weights that do not fit its network; copy or train it again.")
        network = build_network(content["network"])
        if any(value.dtype != content["weights"][name].dtype for name, value in network.state_dict().items()):
            raise InputError(f"{path} holds weights of another type than its network's; copy or train it again.")
        network.load_state_dict(content["weights"])
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise InputError(f"{path} describes a network that cannot be built: {str(error).rstrip('.')}.") from error
    except (RuntimeError, TypeError, AttributeError) as error:  # torch lists every misfit, one a line
        raise InputError(f"{path} holds weights that do not fit its network; copy or train it again.") from error
    if not all(torch.isfinite(value).all() for value in network.state_dict().values() if value.is_floating_point()):
        raise InputError(f"{path} holds weights that are not finite; use an earlier checkpoint.")
    return network
