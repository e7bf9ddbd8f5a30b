"""What a reader may do with a file, and what it does."""

import contextlib
import io
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

from prpose.cli.console import print_line

SLOWEST_S, SLOWEST_S_PER_MB = 3.0, 7.0  # of the processor
MEMORY_FACTOR, MEMORY_BYTES = 20, 96 * 2**20  # of the file's size, and beyond that; libraries load code and caches
LONGEST_LINE = 50_000  # characters


@dataclass(frozen=True)
class Outcome:
    """Whether a file was read, and what the reader did that it may not: its kind and place, and the whole of it."""

    was_read: bool
    fault: str = ""
    details: str = ""


class Watched:
    """Calls a reader in an empty working directory, where nothing may be printed or written.

    What is printed is seen by file descriptor, so that of C libraries, too.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.work = self.folder / "work"
        self.inputs = self.folder / "in"

    def __enter__(self):
        self._exit = contextlib.ExitStack()
        for path in (self.work, self.inputs):
            path.mkdir(parents=True, exist_ok=True)
        self._exit.callback(os.chdir, os.getcwd())
        os.chdir(self.work)
        self._printed = self._exit.enter_context(tempfile.TemporaryFile())
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        text = io.TextIOWrapper(io.FileIO(self._printed.fileno(), "wb", closefd=False), "utf-8", write_through=True)
        self._exit.enter_context(contextlib.redirect_stdout(text))  # of a test, which need not write to descriptors
        self._exit.enter_context(contextlib.redirect_stderr(text))
        for number in (1, 2):
            saved = os.dup(number)
            os.dup2(self._printed.fileno(), number)
            self._exit.callback(_restore, saved, number)
        return self

    def __exit__(self, *error):
        self._exit.close()

    def call(self, target, data):
        """The outcome of a target's reader for a file of these bytes."""
        path = target.write(self.inputs, data)
        before, printed = set(os.listdir(self.inputs)), self._size()
        peak, start = _reset_peak(), time.process_time()
        message, place, fault, details = None, "", "", ""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                target.read(path)
            except (ValueError, OSError) as error:
                message, place = str(error), place_of(error)
                if isinstance(error, UnicodeError) or (isinstance(error, OSError) and not error.filename):
                    fault, details = f"{type(error).__name__} {place}", traceback.format_exc()
            except BaseException as error:
                place = place_of(error)
                fault, details = f"{type(error).__name__} {place}", traceback.format_exc()
        seconds, grown = time.process_time() - start, _peak() - peak
        line = _printed(message) if message is not None else ""
        if not fault and (not line.removesuffix("\n").isprintable() or len(line) > LONGEST_LINE):
            fault, details = f"unprintable {place}", repr(line[:LONGEST_LINE])
        if not fault and warned:
            first = warned[0]
            where = f"{Path(first.filename).stem} {first.lineno}"
            fault, details = f"warning {first.category.__name__} {where}", f"{first.message} ({where})"
        if self._size() != printed:
            fault = fault or f"printed {place}"
            self._printed.seek(printed)
            details += self._printed.read(1000).decode(errors="replace")
        if set(os.listdir(self.inputs)) != before or os.listdir(self.work):
            fault, details = "written", str({*os.listdir(self.inputs)} - before | {*os.listdir(self.work)})
        if seconds > slowest_s(data):
            fault, details = f"slow {place}", f"{seconds:.1f} s for {len(data)} bytes"
        if grown > MEMORY_BYTES + MEMORY_FACTOR * len(data):
            fault, details = f"memory {place}", f"{grown / 2**20:.0f} MB for {len(data)} bytes"
        return Outcome(message is None and not fault, " ".join(fault.split()), details)

    def _size(self):
        return os.fstat(self._printed.fileno()).st_size


def _restore(saved, number):
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(saved, number)
    os.close(saved)


def _printed(message):
    """What the command line prints of an error."""
    with contextlib.redirect_stderr(io.StringIO()) as text:
        print_line(message, error=True)
    return text.getvalue()


def slowest_s(data):
    """Seconds of the processor that reading a file of these bytes may take."""
    return SLOWEST_S + SLOWEST_S_PER_MB * len(data) / 2**20


def place_of(error):
    """The innermost function of prpose that an error came through, before it was turned into another."""
    while error.__context__ is not None:
        error = error.__context__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/prpose/" in frame.filename] or frames[-1:]
    return f"{Path(own[-1].filename).stem}.{own[-1].name}" if own else ""


def _peak():
    """Largest size so far; on Linux of this program alone, not of the one that started it, as ``getrusage`` has it."""
    try:
        status = Path("/proc/self/status").read_bytes()
    except OSError:  # another system
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.partition(b"VmHWM:")[2].split()[0]) * 1024


def _reset_peak():
    """Bytes in use; where the peak lies far above, it is set back (Linux), so that the next one is seen."""
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:  # another system
        return _peak()
    used = int(os.read(statm, 100).split()[1]) * resource.getpagesize()
    os.close(statm)
    if _peak() - used > MEMORY_BYTES / 2:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    return used
