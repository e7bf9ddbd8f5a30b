"""Predict a folder of clips with one process, a process pool and Ray, and compare their times.

    python examples/many_videos.py [--folder FOLDER] [--out OUT] [--workers 2] [--clips 8] [--frames 600] [-n 200]

FOLDER holds one video or keypoint file per clip (``prpose predict --help``). Without it, keypoints of walkers are
written and used. The command line does the same for each engine:

    prpose predict FOLDER --out OUT              # one process
    prpose predict FOLDER --out OUT --jobs 2     # two processes of this machine
    prpose predict FOLDER --out OUT --jobs 2 --ray    # two workers of a Ray cluster: RAY_ADDRESS, or a local one

Ray (extra ``ray``) also spreads the files over several machines that share a file system and have prpose installed.
If a worker dies, its file is predicted again by another one. The poses do not depend on the engine.

Times include the start of the processes, which load PyTorch and the model, and, unless Ray is running, of Ray.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch starts: one thread for each worker, and for one process

import numpy as np

from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.keypoints import Keypoints, save_keypoints


def write_walkers(folder: Path, clips: int, frames: int) -> None:
    """Keypoint files of walkers, each of ``frames`` frames: a clip forwards, backwards and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    walkers = load_clips("walkers", ".", "test")
    for n in range(clips):
        clip = walkers[n % len(walkers)]
        there_and_back = np.concatenate([clip.keypoints_px, clip.keypoints_px[::-1]])
        xy = np.resize(there_and_back, (frames, *clip.keypoints_px.shape[1:]))
        size = (clip.camera.width, clip.camera.height)
        save_keypoints(folder / f"walker_{n:03d}.npz", Keypoints(xy, size, "h36m17", fps=clip.fps))


def seconds(folder: Path, out: Path, num_samples: int, *options: str) -> float:
    """Time of ``prpose predict`` for the folder."""
    start = time.perf_counter()
    args = ["predict", str(folder), "--out", str(out), "-n", str(num_samples), "--overwrite", *options]
    if guarded(lambda: run(args)) != 0:
        raise SystemExit(1)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="Folder with one video or keypoint file per clip.")
    parser.add_argument("--out", type=Path, default=Path("many_videos"), help="Folder for the predictions.")
    parser.add_argument("--workers", type=int, default=2, help="Number of processes.")
    parser.add_argument("--clips", type=int, default=8, help="Number of walkers, without a folder.")
    parser.add_argument("--frames", type=int, default=600, help="Frames per walker.")
    parser.add_argument("-n", "--num-samples", type=int, default=200, help="Number of samples per frame.")
    parser.add_argument("--no-ray", action="store_true", help="Leave Ray out.")
    args = parser.parse_args()
    folder = args.folder or args.out / "clips"
    if args.folder is None:
        write_walkers(folder, args.clips, args.frames)
    jobs = f"--jobs {args.workers}"
    engines = {"one process": "", jobs: jobs}
    if not args.no_ray:
        engines |= {"--jobs 1 --ray": "--jobs 1 --ray", f"{jobs} --ray": f"{jobs} --ray"}
        engines |= {f"{name}, Ray running": options for name, options in engines.items() if "--ray" in name}
    times = {}
    for name, options in engines.items():
        if "running" in name:
            import ray  # without the time that Ray itself takes to start

            ray.init(num_cpus=args.workers, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
        out = args.out / options.replace(" ", "_").replace("--", "") if options else args.out / "one_process"
        times[name] = seconds(folder, out, args.num_samples, *options.split())
    print(f"\n{'engine':30} seconds  times as fast as one process  ... as one worker of the engine")
    for name, took in times.items():
        single = times.get(name.replace(jobs, "--jobs 1"), times["one process"])
        print(f"{name:30} {took:7.1f} {times['one process'] / took:29.2f} {single / took:32.2f}")


if __name__ == "__main__":
    main()
