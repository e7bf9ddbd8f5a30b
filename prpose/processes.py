"""Several processes on one job, as ``torchrun`` starts them; alone is the ordinary case.

Everything here is :mod:`torch.distributed`; without it, or with one process, nothing happens.
"""

import gc
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")
R = TypeVar("R")

LONGEST = timedelta(days=1)
"""That a process waits for the others, whose files may take longer than its own. It need not notice
that one of them has died: ``torchrun`` does, and stops the others."""


@contextmanager
def joined() -> Iterator[None]:
    """Joins the processes that ``torchrun`` started, if it did: gloo on CPUs, nccl on GPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    # Its functions' defaults are the group of the time of its import, which they hold for ever.
    importlib.import_module("torch.distributed.nn.functional")
    cuda = torch.cuda.is_available()
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    distributed.init_process_group(backend, timeout=LONGEST)
    try:
        yield
    finally:
        # A group that anything still holds keeps its threads, and one of them that drops a tensor
        # while the interpreter ends aborts the process (pytorch/pytorch#179291).
        gc.collect()
        distributed.destroy_process_group()


def count() -> int:
    """How many processes work together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def local_rank() -> int:
    """Which of its machine's processes this one is: the GPU it should take."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def gathered(own: T) -> list[T]:
    """Every process's value, in the order of their ranks, in every process."""
    if count() == 1:
        return [own]
    found: list[Any] = [None] * count()
    distributed.all_gather_object(found, own)
    return found


def in_turn(items: Iterable[T], work: Callable[[int, T], R]) -> list[R]:
    """Every item's result, in order, in every process; the items are worked on in turn.

    Args:
        items: the same in all processes; all of them go through all of it, so that what is wrong
            with an item can be raised there, by every process.
        work: of an item's number and the item.
    """
    own = {n: work(n, item) for n, item in enumerate(items) if n % count() == rank()}
    everyones = {n: result for part in gathered(own) for n, result in part.items()}
    return [everyones[n] for n in range(len(everyones))]


def once(work: Callable[[], T]) -> T:
    """What the first process's ``work`` returns, in every process; the others do not work.

    Raises:
        ValueError: in every process, if it raises one.
    """
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
    result: T = found[0]
    return result


def total(value: float, device: torch.device) -> float:
    """Sum of every process's value."""
    if count() == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(tensor)
    return float(tensor)
