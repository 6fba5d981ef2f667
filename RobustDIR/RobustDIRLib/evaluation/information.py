"""Normalised mutual information of joint histograms: what NMI is, wherever the library takes it.

Its one sibling is the loss that networks are taught with (`finetuning.similarity`), which has to be differentiated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.geometry import Array


def normalised_mutual_information(joint: NDArray[Any]) -> Array:
    """`(H(A) + H(B)) / H(A, B)` (Studholme 1999), from 1 to 2; 0 where neither image varies.

    Args:
        joint: Histograms, shape `(..., bins, bins)`; of what sum is all the same.
    Returns:
        Shape `(...)`.
    """
    shares = joint / np.maximum(joint.sum((-2, -1), keepdims=True), np.finfo(np.float64).tiny)
    both = _entropies(shares.reshape(*shares.shape[:-2], -1))
    apart = _entropies(shares.sum(-2)) + _entropies(shares.sum(-1))
    return np.where(both > 1e-9, apart / np.maximum(both, 1e-9), 0.0)


def _entropies(shares: Array) -> Array:
    return np.asarray(-(shares * np.log(np.maximum(shares, np.finfo(np.float64).tiny))).sum(-1))
