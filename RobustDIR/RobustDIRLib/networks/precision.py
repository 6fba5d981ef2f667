"""What the convolutions of a network are computed in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """What to compute the convolutions in.

    `auto` takes bf16 (fp16 on GPUs without it) on CUDA; on a CPU bf16 only where there are instructions for it (AMX or
    AVX512_BF16), since without them single precision with channels innermost is about twice as fast.
    """
    if precision == "auto":
        precision = _best_precision(device)
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def _best_precision(device: torch.device) -> str:
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    checks = (getattr(torch.cpu, f"_is_{unit}_supported", lambda: False) for unit in ("amx_tile", "avx512_bf16"))
    return "bf16" if device.type == "cpu" and any(check() for check in checks) else "fp32"


def uses_fp16(precision: str, device: torch.device) -> bool:
    """Whether gradients need scaling against underflow."""
    return precision == "fp16" or (precision == "auto" and _best_precision(device) == "fp16")
