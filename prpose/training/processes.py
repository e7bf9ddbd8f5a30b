"""Several training processes started by ``torchrun``; without it, or with one process, nothing happens."""

import gc
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import distributed

T = TypeVar("T")


@contextmanager
def joined() -> Iterator[None]:
    """Joins the processes that ``torchrun`` started, if it did: gloo on CPUs, nccl on GPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    # The defaults of its functions hold the process group of the time of its import.
    importlib.import_module("torch.distributed.nn.functional")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # torchrun stops the others if one dies, so a long timeout does no harm; validation may take a while.
    distributed.init_process_group(backend, timeout=timedelta(days=1))
    try:
        yield
    finally:
        # A group that is still referenced keeps its threads, and one of them that frees a tensor while the
        # interpreter exits aborts the process (pytorch/pytorch#179291).
        gc.collect()
        distributed.destroy_process_group()


def count() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def once(work: Callable[[], T]) -> T:
    """The result of ``work`` in the first process, in every process; if it raises a ValueError, all processes do."""
    if count() == 1:
        return work()
    found: list[Any] = [None, None]
    if rank() == 0:
        try:
            found[0] = work()
        except (ValueError, OSError) as error:
            found[1] = str(error)
    distributed.broadcast_object_list(found, src=0)
    if found[1] is not None:
        raise ValueError(found[1])
    return cast(T, found[0])


def total(value: float, device: torch.device) -> float:
    """Sum of every process's value."""
    tensor = torch.tensor(value, dtype=torch.float64, device=device)
    if count() > 1:
        distributed.all_reduce(tensor)
    return float(tensor)
