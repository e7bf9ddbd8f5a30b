"""``prpose predict`` file by file: in this process, in a pool of processes, or on Ray. A bad file stops no other."""

import logging
import multiprocessing
import os
import pickle
import re
import shlex
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import prpose
from prpose.atomic import check_output
from prpose.cli import exit_on_signals
from prpose.cli.console import NO_BAR, Bar, device_of, exit_without
from prpose.config import InferenceConfig
from prpose.io.detector import SEVERAL, create_detector, run_detector
from prpose.io.export import check_apart, save_prediction
from prpose.io.keypoints import people_from, read_people, select_person
from prpose.io.video import Video, input_kind, open_video, stream_address
from prpose.keypoints import Keypoints
from prpose.onnx import is_onnx
from prpose.prediction import Prediction
from prpose.rng import check_rate
from prpose.tables import import_extra, naming

ALL = "all"  # as --person: every person in a file, each with an output of their own
FOLDER_SETTINGS = ("folder", "output_format", "jobs", "ray")  # of the config; without effect on a single file
DEFAULT = InferenceConfig()
RAY_ENDED = "Ray ended before all files were predicted"  # it exits, too, but without an error
PATIENCE_S = 5.0  # of a process that was asked to end
Job = tuple[Path, Path]  # a file and its output


@dataclass(frozen=True)
class Request:
    """The options of ``prpose predict`` that are the same for every file."""

    model: str = "gaussian-wide"
    num_samples: int = 50
    seed: int = 0
    device: str = "auto"
    layout: str | None = None
    image_size: tuple[int, int] | None = None
    fps: float | None = None
    person: str | None = None
    config: InferenceConfig = DEFAULT
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_rate(self.fps)

    def command(self, path: Path, out: Path) -> str:
        """The command that predicts one file of a folder by itself, with the options that are not the default."""
        words = ["prpose", "predict", str(path), "--out", str(out)]
        for prefix, values, defaults in (("--", self, Request()), ("--config.", self.config, DEFAULT)):
            for name, value in vars(values).items():
                if name not in ("config", *FOLDER_SETTINGS) and value != getattr(defaults, name):
                    words.append(prefix + name.replace("_", "-"))
                    words += [] if value is True else map(str, value if isinstance(value, tuple) else [value])
        return shlex.join(words)

    def video(self, path: Path) -> Video | None:
        """A photo, video, folder of photos or camera; None for keypoints."""
        if self.config.format is not None or input_kind(path) is None:
            return None
        return open_video(path, self.fps, self.config.max_seconds, self.config.prefix)

    def read(self, path: Path, bar: Bar = NO_BAR) -> list[Keypoints]:
        """Keypoints of one person in a file, or of all; ``ValueError`` names the file."""
        config = self.config
        described: dict[str, Any] = {"layout": self.layout, "image_size": self.image_size, "fps": self.fps}
        described |= {"tracking": config.tracking}
        with naming(stream_address(path) or path):
            video = self.video(path)
            if video is None:
                with bar("read", None, "files") as on_file:
                    people = read_people(path, **described, format=config.format, prefix=config.prefix, on_file=on_file)
            else:
                most = config.max_people or (SEVERAL if self.person else None)
                with (  # a model is downloaded, with a progress bar of its own, before the bar of the frames
                    create_detector(config.detector, config.detector_model, most) as detector,
                    bar("detect", video.total) as on_frame,
                ):
                    detections = run_detector(video, detector, on_frame)
                if video.kind == "folder":
                    del described["fps"]  # the detections have it
                people = people_from(detections, **described)
            return people if self.person == ALL else [select_person(people, self.person)]


@dataclass
class Outcome:
    """What was done with a file: outputs, frames, warnings (person, text) and errors."""

    path: Path
    written: list[Path] = field(default_factory=list)
    frames: int = 0
    warnings: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Worker:
    """Loads the model once, then predicts file after file; ``process`` is its number among those that share GPUs."""

    def __init__(self, request: Request, process: int | None = None, bar: Bar = NO_BAR) -> None:
        self.request, self.bar = request, bar
        self.model = prpose.load(request.model, device_of(request.model, request.device, process))

    def __call__(self, job: Job) -> Outcome:
        """Predicts one file; an error is in the outcome, not raised."""
        path, out = job
        outcome, command, by_person = Outcome(path), self.request.command(path, out), self.request.person == ALL
        try:
            people, outputs = self.request.read(path, self.bar), [out]
            if by_person:  # their outputs have their names in them
                names = [re.sub(r"[^\w-]+", "_", keypoints.person) for keypoints in people]
                outputs = [out.with_name(f"{out.stem}.{name}{out.suffix}") for name in names]
                check_apart(path, *outputs)
        except Exception as error:
            return Outcome(path, errors=[_described(error, str(path))])
        for keypoints, its_out in zip(people, outputs, strict=True):
            person = f", person {keypoints.person}" if by_person else ""
            try:
                prediction = self.predict(keypoints, its_out, command)
                outcome.written.append(its_out)
                outcome.frames += len(prediction)
                outcome.warnings += [(f"{path.name}{person}", text) for text in prediction.warnings]
            except Exception as error:
                outcome.errors.append(_described(error, f"{path}{person}"))
        return outcome

    def predict(self, keypoints: Keypoints, out: Path, command: str) -> Prediction:
        """Predicts and writes one person's poses."""
        request = self.request
        check_output(out, request.overwrite)
        with warnings.catch_warnings(), self.bar("predict", T := len(keypoints)) as advance:
            warnings.simplefilter("ignore", UserWarning)  # they are in prediction.warnings
            options: dict[str, Any] = {"config": request.config, "on_share": lambda share: advance(share * T)}
            prediction = self.model(keypoints, request.num_samples, request.seed, **options)
        prediction = replace(prediction, command=command, created_by=f"prpose {prpose.__version__}")
        with warnings.catch_warnings(record=True) as caught, self.bar(f"write {out.suffix[1:]}", None) as advance:
            warnings.simplefilter("always", UserWarning)
            save_prediction(prediction, out, None, request.overwrite, lambda share: advance(share * T, T))
        return replace(prediction, warnings=(*prediction.warnings, *(str(warning.message) for warning in caught)))


def _described(error: Exception, where: str) -> str:
    """An error with its place; an unexpected one also with its type."""
    kind = "" if isinstance(error, ValueError | OSError | MemoryError) else f"{type(error).__name__}: "
    return f"{where}: {kind}{str(error).removeprefix(f'{where}: ')}"


def run_jobs(jobs: Sequence[Job], request: Request, bar: Bar = NO_BAR) -> Iterator[Outcome]:
    """Outcomes of all jobs, in the order in which they end; ``bar`` shows what is done with each, in this process."""
    workers = min(request.config.jobs or 1, len(jobs))
    if not request.config.ray and workers == 1:
        return map(Worker(request, bar=bar), jobs)
    prpose.load(request.model)  # an error here is one error, not one per file
    if request.config.ray:
        return _on_ray(jobs, request)
    device_of(request.model, request.device)
    return _in_pool(jobs, request, workers)


_worker: Worker | None = None


def _in_pool(jobs: Sequence[Job], request: Request, workers: int) -> Iterator[Outcome]:
    """Each process is a pool of its own, so that one that dies loses one file only, which is tried once more."""
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang

    def pool(process: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, context, _start, (request, process))

    others = {*multiprocessing.active_children()}  # of the program that calls this
    pools, idle = [pool(process) for process in range(workers)], deque(range(workers))
    waiting, running = deque((job, False) for job in jobs), dict[Future[Outcome], tuple[int, Job, bool]]()
    try:
        while waiting or running:
            while waiting and idle:
                process, (job, again) = idle.popleft(), waiting.popleft()
                try:
                    future = pools[process].submit(_work, job)
                except BrokenProcessPool:  # the process died between two files
                    pools[process] = pool(process)
                    future = pools[process].submit(_work, job)
                running[future] = process, job, again
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                process, job, again = running.pop(future)
                idle.append(process)
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield future.result()
                    continue
                pools[process] = pool(process)
                if again:
                    yield Outcome(job[0], errors=[f"{job[0]}: its worker process died twice"])
                else:
                    waiting.append((job, True))
    except BaseException:
        for child in (children := {*multiprocessing.active_children()} - others):
            child.terminate()
        for child in children:
            child.join(PATIENCE_S)
            child.kill()
        raise
    finally:
        for each in pools:
            each.shutdown()


def _start(request: Request, process: int) -> None:
    """In a new process, before its first job."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()  # else a worker would outlive a killed parent
    os.environ["OMP_NUM_THREADS"] = "1"  # PyTorch and ONNX Runtime are not imported yet
    _worker = Worker(request, process)
    exit_on_signals()  # from now on it may have temporary files


def _end_with_parent() -> None:
    if hasattr(signal, "pthread_sigmask"):  # a signal that this thread gets would not wake the one that works
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)  # a library may have caught the exit
    os._exit(143)


def _work(job: Job) -> Outcome:
    assert _worker is not None, "the pool calls _start first"
    try:
        return _worker(job)
    except SystemExit:  # temporary files are removed; the pool would catch it and go on
        os._exit(143)


class _RayWorker:
    """A worker as an actor of Ray Data: a row with a job → a row with its outcome."""

    def __init__(self, request: Request, folder: str) -> None:
        os.chdir(folder)  # paths are relative to it
        os.environ["OMP_NUM_THREADS"] = "1"  # as in _start
        self.worker = Worker(request)

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return {"outcome": pickle.dumps(self.worker(pickle.loads(row["job"])))}


def _on_ray(jobs: Sequence[Job], request: Request) -> Iterator[Outcome]:
    """Ray restarts a worker that died, and gives its file to a worker again, up to two times."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray, data = import_extra("ray", "ray"), import_extra("ray.data", "ray")
    wanted, local = request.config.jobs, dict[str, Any]()
    if own := not ray.is_initialized():
        local = {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False, "num_cpus": wanted}
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **local)
    addresses, patience_s, ended = [ray.get_runtime_context().gcs_address], 50, threading.Event()
    if local:  # a cluster may go on without one of its machines
        patience_s = 2
        addresses += [f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}" for node in ray.nodes()]
    threading.Thread(None, exit_without, None, (addresses, patience_s, ended, RAY_ENDED), daemon=True).start()
    try:
        context, available = data.DataContext.get_current(), ray.cluster_resources()
        context.enable_progress_bars, context.max_errored_blocks = False, -1
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        # one file at a time: files that wait in the queue of a worker that dies count as tried, too
        workers = data.ActorPoolStrategy(
            size=min(wanted or int(available["CPU"]), len(jobs)), max_tasks_in_flight_per_actor=1
        )
        gpus = int(not is_onnx(request.model) and request.device != "cpu" and bool(available.get("GPU")))
        rows = data.from_items([{"job": pickle.dumps(job)} for job in jobs], override_num_blocks=len(jobs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # max_task_retries is deprecated, without a successor up to Ray 2.60
            arguments = {"num_cpus": 1, "num_gpus": gpus, "max_task_retries": 2}
            rows = rows.map(_RayWorker, fn_constructor_args=(request, os.getcwd()), compute=workers, **arguments)
        lost = [path for path, _ in jobs]
        for row in rows.iter_rows():
            outcome = pickle.loads(row["outcome"])
            lost.remove(outcome.path)
            yield outcome
        yield from (Outcome(path, errors=[f"{path}: its worker process died three times"]) for path in lost)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{RAY_ENDED} ({reason})") from None
    finally:
        ended.set()
        if own:
            ray.shutdown()
