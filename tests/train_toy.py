"""Trains a small net that has no batch statistics; test_processes starts several of these."""

import sys
from pathlib import Path

import torch
from torch import distributed, nn

from prpose.data.synthetic.random_views import RandomViews
from prpose.data.synthetic.walkers import walker
from prpose.training import State, TrainConfig, fit, processes


def gloo_threads():
    """Names of the process group's threads, on Linux."""
    names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    return [name for name in names if "gloo" in name]


def train(out):
    views = RandomViews([walker("W01", "walk")], every=3)  # 80 items: batches of 27, 27 and 26
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
    state = State(net, TrainConfig(epochs=3, batch_size=27, ema=0.9, warmup=2))
    losses = []

    def loss(net, indices, batch):
        return (net(batch.keypoints) - batch.target).square().mean()

    fit(state, views, loss, on_epoch=lambda steps: losses.extend(steps))
    weights = state.result.state_dict()
    if processes.count() > 1:
        every = [None] * processes.count()
        distributed.all_gather_object(every, weights)
        assert all(torch.equal(weights[key], other[key]) for other in every for key in other)
    if processes.rank() == 0:
        torch.save({"weights": weights, "losses": [value for _, value in losses]}, out)


if __name__ == "__main__":
    with processes.joined():
        train(sys.argv[1])
    assert not gloo_threads(), "threads of the process group are left: the process may abort at exit"
