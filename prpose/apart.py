"""Files that another process reads first: libraries may crash, or never end, on damaged ones."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prpose.tables import import_extra

START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from prpose.apart import main; main(*sys.argv[2:])"
SPARE_S, SPARE_BYTES = 5, 2**26  # beside a second for each megabyte of a file, and 20 bytes for each byte


def try_apart(read: Callable[..., object], library: str, *paths: Path, **arguments: Any) -> None:
    """Calls ``read(path, **arguments)`` in another process; ``ValueError`` naming the file on which that ends it.

    Args:
        read: a function, or a class, of a module.
        library: of the extra ``mocap``, which ``read`` imports; time and memory are not limited for that.
        arguments: values that JSON has.
    """
    import_extra(library, "mocap")
    where = f"{read.__module__}:{read.__qualname__}"
    command = [sys.executable, "-I", "-c", START, json.dumps(sys.path), where, library, json.dumps(arguments)]
    alone = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, *map(str, paths)], env=alone, **pipes) as process:  # type: ignore[call-overload]
        tried = max(1, process.stdout.read().count(b"\0"))
    if process.returncode:
        raise ValueError(f"{paths[tried - 1]}: damaged: the library that reads it crashes, or never ends")


def main(where: str, library: str, arguments: str, *paths: str) -> None:
    """What the other process does; it writes a zero byte before it reads a file."""
    read = pkgutil.resolve_name(where)  # of this package or a library, never of the working directory
    importlib.import_module(library)
    for path in paths:
        os.write(1, b"\0")
        try:
            _limit(os.path.getsize(path))
            read(path, **json.loads(arguments))
        except Exception as error:  # as the process that started this one will find
            found: BaseException | None = error
            while found is not None:
                if isinstance(found, MemoryError) or "alloc" in str(found).replace(path, ""):
                    os._exit(3)
                found = found.__context__


def _limit(size: int) -> None:
    """Limits the time and the memory for a file of so many bytes, where the system can."""
    try:
        import resource

        def most(kind: int, number: int) -> None:
            resource.setrlimit(kind, (number, resource.getrlimit(kind)[1]))

        most(resource.RLIMIT_CPU, int(time.process_time()) + SPARE_S + size // 2**20)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most(resource.RLIMIT_AS, used + SPARE_BYTES + 20 * size)
    except (ImportError, ValueError, OSError):  # another system
        pass
