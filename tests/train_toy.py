"""Trains a small net that has no batch statistics; test_processes starts several of these."""

import sys
from pathlib import Path

import torch
from torch import nn

from prpose import processes
from prpose.data.synthetic.random_views import RandomViews
from prpose.data.synthetic.walkers import walker
from prpose.training import Recipe, State, fit


class Toy(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))


def gloo_threads():
    """Names of the process group's own threads, where Linux tells."""
    names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    return [name for name in names if "gloo" in name]


def train(out):
    views = RandomViews([walker("W01", "walk")], every=3)  # 80 items: batches of 27, 27 and 26
    torch.manual_seed(0)
    state = State(Toy(), Recipe(3, 27, clip=1.0, ema=0.9, warmup=2))
    losses = []

    def loss(net, indices, batch):
        return (net(batch.keypoints) - batch.target).square().mean()

    fit(state, views, loss, on_epoch=lambda steps: losses.extend(steps))
    weights = processes.gathered(state.result.state_dict())
    for other in weights[1:]:
        assert all(torch.equal(weights[0][key], other[key]) for key in other)
    if processes.rank() == 0:
        torch.save({"weights": weights[0], "losses": [value for _, value in losses]}, out)


if __name__ == "__main__":
    with processes.joined():
        train(sys.argv[1])
    assert not gloo_threads(), "the process group outlives its use: the process may abort at its end"
