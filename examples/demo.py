"""The main job on what the repository ships: until trained weights are, untrained networks.

Evaluates HTNet's light sibling and its variance net, with random weights, on walkers: procedural
people before virtual cameras and a simulated detector. The errors it prints mean nothing; the path
is the real one.
"""

import sys
import tempfile
from pathlib import Path

import torch

from prpose import build_lifter, build_variance_net
from prpose.cli import guarded, run


def main() -> None:
    print("UNTRAINED networks on PROCEDURAL walkers: the errors are those of random weights.\n")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        weights, noise = Path(folder) / "lifter.pth", Path(folder) / "noise.pth"
        torch.save(build_lifter("mgcn_lw").state_dict(), weights)
        torch.save(build_variance_net("mgcn_lw").state_dict(), noise)
        command = ["evaluate", "walkers", "--lifter", "mgcn_lw", "-n", "20"]
        command += ["--alpha", "0.1"]  # wide, so that untrained hypotheses differ at all
        command += ["--lifter-weights", str(weights), "--noise-weights", str(noise)]
        print("$ prpose", *command, "\n", flush=True)
        run(command)


if __name__ == "__main__":
    sys.exit(guarded(main))
