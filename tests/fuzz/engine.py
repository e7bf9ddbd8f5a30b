"""Runs one reader on many files, in a process that may crash or hang and is then started anew.

The process counts in a file that is shared with the one that watches it; the file that it reads lies beside it.
"""

import contextlib
import hashlib
import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import unittest.mock
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.outcome import Watched, slowest_s
from tests.fuzz.targets import named

COUNTS = struct.Struct("4Qd")  # inputs, read, refused, crashed; when the current input began, 0 between inputs
HANGS_S = 200.0  # of the clock, for what waits or computes on a busy machine; of the processor: slowest_s
MORE_MEMORY = 6 * 2**30  # of address space beyond what a process has once it is warm
MEMORY_DISK = Path("/dev/shm")


@dataclass
class Result:
    """What came of one reader: inputs that reached it, and a file for each kind and place of fault.

    ``crashed`` are refused files on which the library crashes, or computes for long, in the process that tries them.
    """

    inputs: int = 0
    read: int = 0
    refused: int = 0
    crashed: int = 0
    seconds: float = 0.0
    finds: dict[str, bytes] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)

    def add(self, fault, data, details):
        if fault not in self.finds or len(data) < len(self.finds[fault]):
            self.finds[fault], self.details[fault] = data, details


def run(name, seconds, inputs, seed=0, engine="random", corpus=None):
    """Fuzzes a reader until the time or the number of inputs is reached."""
    result, start, attempt = Result(), time.monotonic(), 0
    fast = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    while (left := seconds - (time.monotonic() - start)) > 0 and result.inputs < inputs:
        with tempfile.TemporaryDirectory(dir=fast) as folder:
            settings = {
                "target": name, "seconds": left, "inputs": inputs - result.inputs, "seed": seed + 1000 * attempt,
                "engine": engine, "corpus": corpus and str(Path(corpus).resolve()),
            }  # fmt: skip
            if not _attempt(Path(folder), settings, result):
                break
        attempt += 1
    result.seconds = time.monotonic() - start
    return result


def _attempt(folder, settings, result):
    """One process; whether it ended before its time."""
    counts = folder / "counts"
    counts.write_bytes(bytes(COUNTS.size))
    command = [sys.executable, "-m", "tests.fuzz.engine", str(folder), json.dumps(settings)]
    with (folder / "log").open("wb") as log, counts.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), COUNTS.size)
        worker = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        hangs = False
        while worker.poll() is None:
            time.sleep(0.05)
            began = COUNTS.unpack(shared[:])[-1]
            if began and time.monotonic() - began > HANGS_S + 10:  # unless the process itself has noticed
                hangs = True
                worker.kill()
                worker.wait()
        done, read, refused, crashed, _ = COUNTS.unpack(shared[:])
        shared.close()
    result.inputs, result.read = result.inputs + done, result.read + read
    result.refused, result.crashed = result.refused + refused, result.crashed + crashed
    for found in sorted((folder / "finds").glob("*.json")):
        fault = json.loads(found.read_text())
        result.add(fault["fault"], found.with_suffix("").read_bytes(), fault["details"])
    if hangs or worker.returncode < 0:
        kind = "hang" if hangs else _ending(-worker.returncode)
        data, result.inputs = (folder / "current").read_bytes(), result.inputs + 1
        result.add(kind, data, f"{kind} of {len(data)} bytes")
        return True
    if worker.returncode:
        texts = [path.read_text()[-3000:] for path in (folder / "log", folder / "error") if path.exists()]
        raise RuntimeError("\n".join([f"exit code {worker.returncode}", *texts]))
    return False


class Worker:
    """Reads files one after the other, counts them and keeps the smallest of each fault."""

    def __init__(self, folder, settings):
        self.folder, self.settings = folder, settings
        if settings["engine"] == "atheris":
            import atheris

            with atheris.instrument_imports(include=["prpose"]):
                self._prepare()
        else:
            self._prepare()

    def _prepare(self):
        """Reads the valid files, so that all code is loaded, and limits the memory."""
        (self.target,) = named(self.settings["target"]).values()
        self.seeds = self.target.seeds()
        if self.settings["corpus"]:
            found = sorted((Path(self.settings["corpus"]) / self.settings["target"]).glob("*"))
            found = [path for path in found if not path.name.startswith(("crash", "hang", "memory"))]  # take seconds
            self.seeds = [*self.seeds, *(path.read_bytes() for path in found)]
        with tempfile.TemporaryDirectory(dir=self.folder) as warm, Watched(warm) as watched:
            for data in self.target.seeds():
                watched.call(self.target, data)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _is_linux() else 0
        if used:
            resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY, resource.RLIM_INFINITY))
        self.file = (self.folder / "counts").open("r+b")
        self.shared = mmap.mmap(self.file.fileno(), COUNTS.size)
        self.current = os.open(self.folder / "current", os.O_RDWR | os.O_CREAT)
        self.inputs, self.read, self.refused, self.crashed, self.tries_none = 0, 0, 0, 0, False
        (self.folder / "finds").mkdir()

    def one(self, data):
        """Reads one file."""
        os.ftruncate(self.current, 0)
        os.pwrite(self.current, data, 0)
        self._count(began=time.monotonic())
        signal.setitimer(signal.ITIMER_PROF, slowest_s(data) + 1)  # ends the process
        outcome = self.watched.call(self.target, data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if self.tries_none and outcome.fault.startswith(("memory", "slow")):
            os.abort()  # as a crash, which is looked at once more
        self.inputs += 1
        self.read += outcome.was_read
        self.refused += not outcome.was_read and not outcome.fault
        self._count()
        if outcome.fault:
            self._record(outcome.fault, data, outcome.details)

    def _count(self, began=0.0):
        COUNTS.pack_into(self.shared, 0, self.inputs, self.read, self.refused, self.crashed, began)

    def _record(self, fault, data, details):
        """Keeps the smallest file of each fault."""
        path = self.folder / "finds" / hashlib.sha256(fault.encode()).hexdigest()[:16]
        if not path.exists() or len(data) < path.stat().st_size:
            path.write_bytes(data)
            path.with_suffix(".json").write_text(json.dumps({"fault": fault, "details": details[-4000:]}))

    def loop(self):
        with Watched(self.folder / "watched") as self.watched:
            if self.settings["engine"] == "atheris":
                self._guided()
            else:
                self._random()

    def _random(self):
        """By chance, in a child of this process, which starts at once after another one has crashed."""
        end, attempt = time.monotonic() + self.settings["seconds"], self.settings["seed"]
        while time.monotonic() < end and self.inputs < self.settings["inputs"]:
            files = self._changed(random.Random(attempt), end)
            fault = self._fault_of(self._child(files, apart=False))
            *counts, _ = COUNTS.unpack(self.shared[:])
            self.inputs, self.read, self.refused, self.crashed = counts
            if fault:
                data = (self.folder / "current").read_bytes()
                if self.target.apart:  # as it is read outside of these tests, in another process first
                    self.crashed += 1
                    fault = self._fault_of(self._child([data], apart=True))
                    *counts, _ = COUNTS.unpack(self.shared[:])
                    self.inputs, self.read, self.refused, self.crashed = counts
                if fault:
                    self.inputs += 1
                    self._record(fault, data, f"{len(data)} bytes")
                self._count()
            attempt += 1

    def _changed(self, rng, end):
        while time.monotonic() < end and self.inputs < self.settings["inputs"]:
            yield self.target.damaged(rng.choice(self.seeds), rng)

    def _child(self, files, apart):
        """A process that reads the files; ``apart`` lets readers try them in one of their own."""
        if child := os.fork():
            return child
        status = 1
        try:
            self.tries_none = self.target.apart and not apart
            with contextlib.nullcontext() if apart else readers_do_not_try():
                for data in files:
                    self.one(data)
            status = 0
        except BaseException:
            (self.folder / "error").write_text(traceback.format_exc())
        os._exit(status)

    def _fault_of(self, child):
        """Waits for the child; how it crashed, if it did."""
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.02)
            began = COUNTS.unpack(self.shared[:])[-1]
            if began and time.monotonic() - began > HANGS_S:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "hang"
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError((self.folder / "error").read_text())
        return _ending(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else ""

    def _guided(self):
        """By coverage; the fuzzer keeps what reached new code, and changes that."""
        import atheris

        corpus = self.folder / "corpus"
        corpus.mkdir()
        for number, data in enumerate(self.seeds):
            (corpus / f"seed{number}").write_bytes(data)

        def changed(data, max_size, seed):
            try:
                return self.target.damaged(data, random.Random(seed))[:max_size]
            except BaseException:
                (self.folder / "error").write_text(traceback.format_exc())
                os._exit(1)

        def one(data):
            try:
                self.one(data)
            except BaseException:  # of the test itself
                (self.folder / "error").write_text(traceback.format_exc())
                os._exit(1)
            if self.inputs >= self.settings["inputs"]:
                os._exit(0)

        options = {
            "max_total_time": max(1, int(self.settings["seconds"])), "seed": self.settings["seed"] + 1,
            "max_len": 2**17, "mutate_depth": 1, "timeout": 10**6, "report_slow_units": 10**6, "rss_limit_mb": 0,
            "verbosity": 0, "len_control": 0, "artifact_prefix": f"{self.folder}/",
        }  # fmt: skip
        arguments = [sys.argv[0], str(corpus), *(f"-{key}={value}" for key, value in options.items())]
        atheris.Setup(arguments, one, custom_mutator=changed)
        atheris.Fuzz()


@contextlib.contextmanager
def readers_do_not_try():
    """Readers do not try a file in another process first, so that many are read a second, and crashes are counted."""
    own = [module for name, module in sys.modules.items() if name.startswith("prpose") and hasattr(module, "try_apart")]
    with contextlib.ExitStack() as patches:
        for module in own:
            patches.enter_context(unittest.mock.patch.object(module, "try_apart", return_value=None))
        yield


def _ending(number):
    return "hang" if number == signal.SIGPROF else f"crash {signal.Signals(number).name}"


def _is_linux():
    return Path("/proc/self/statm").exists()


def keep(folder, name, result):
    """Writes each find's file, so that tests replay it; the paths."""
    paths = []
    for fault, data in result.finds.items():
        path = Path(folder) / name / f"{''.join(c if c.isalnum() or c in '.-_' else '-' for c in fault)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        paths.append(path)
    return paths


if __name__ == "__main__":
    place = Path(sys.argv[1])
    with contextlib.suppress(KeyboardInterrupt):
        Worker(place, json.loads(sys.argv[2])).loop()
    shutil.rmtree(place / "watched", ignore_errors=True)
