"""Which device a command runs on."""

import torch

from prpose import processes


def named_device(name: str) -> torch.device:
    """``auto`` for the first available one, or ``cpu``, ``cuda``, ``cuda:1`` ...

    Of several processes on a machine with GPUs, ``auto`` gives each one of its own.
    """
    available = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name == "auto":
        gpus = available[1:]
        return torch.device(gpus[processes.local_rank() % len(gpus)] if gpus else "cpu")
    if name not in available and not (name == "cuda" and len(available) > 1):
        raise ValueError(f"expected an available device, got {name!r} (here: {', '.join(available)})")
    return torch.device(name)
