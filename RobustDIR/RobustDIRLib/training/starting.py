"""What a run starts from: a network with the weights of a model or of a checkpoint."""

from __future__ import annotations

from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.model_store import load_model
from RobustDIRLib.networks.build import build_network
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.training.checkpoints import NAME, load_checkpoint


def saved_network(name_or_path: str | Path) -> LearningNetwork:
    """A network as it was saved, its weights with it: of a checkpoint the averaged ones.

    Args:
        name_or_path: Of a model, or the `checkpoint.pt` of a run's folder.
    Raises:
        InputError: If there is no such model, or the file is damaged or foreign.
    """
    if not str(name_or_path).endswith(NAME):
        return load_model(name_or_path).network
    state = load_checkpoint(Path(name_or_path))
    network = build_network(state["network"])
    try:
        network.load_state_dict(state["average"])
    except RuntimeError as error:
        raise InputError(f"{name_or_path}: the weights do not fit the network in it; use another file.") from error
    return network
