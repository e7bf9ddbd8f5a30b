"""prpose predict of many files: each by itself, shared among processes, whatever becomes of one."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from prpose import processes
from prpose.atomic import check_output
from prpose.cli.command import made_alone
from prpose.cli.lifting import Lifting
from prpose.cli.progress import progress
from prpose.cli.source import Source, check_apart
from prpose.io.export import FORMATS, format_of
from prpose.io.keypoints.folders import inputs_in, is_one_clip
from prpose.io.video import kind_of
from prpose.keypoints import Keypoints

EVERYBODY = "all"
"""As ``--person``: a file for each of the people."""


@dataclass(frozen=True)
class Job:
    """A file, and where its poses go; of everybody, with the person's name before the ending."""

    file: Path
    out: Path


@dataclass
class Done:
    """What became of a job."""

    file: Path
    written: list[Path] = field(default_factory=list)
    frames: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    """Of whom, and what."""
    errors: list[str] = field(default_factory=list)


def is_many(file: Path, each: bool, person: str | None) -> bool:
    """Whether there are several files to write, or may be.

    Raises:
        ValueError: if each file of a folder is wanted, and it is none.
    """
    if each and not file.is_dir():
        raise ValueError(f"{file}: expected a folder with --each, got something else")
    return person == EVERYBODY or (file.is_dir() and (each or not _is_clip(file)))


def _is_clip(folder: Path) -> bool:
    """Whether a folder holds a file per frame, of keypoints or photos."""
    return is_one_clip(folder) or kind_of(folder) == "folder"


def lift_many(file: Path, out: Path, each: bool, source: Source, lifting: Lifting) -> None:
    """Lifts every file of a folder, or everybody in one file; this process's share of it.

    Raises:
        ValueError: before anything is written, if the outputs cannot be; after everything else is
            done, in the first process, if some files could not be lifted.
    """
    jobs, notes = processes.once(lambda: _planned(file, out, each, source, lifting))
    share = jobs[processes.rank() :: processes.count()]
    first = processes.rank() == 0
    done: list[Done] = []
    _ = lifting.predictor  # what is wrong with it is wrong for every file
    with progress("files", len(share)) if first else nullcontext(lambda _: None) as advance:
        for job in share:
            done.append(_lifted(job, source, lifting, made_alone(sys.argv[1:], file, job)))
            _say(f"error: {error}" for error in done[-1].errors)
            advance(1)
    found = sorted(chain(*processes.gathered(done)), key=lambda one: one.file)
    if first:
        _report(found, notes, out, source, lifting.samples)


def _planned(file: Path, out: Path, each: bool, source: Source, lifting: Lifting) -> tuple[list[Job], list[str]]:
    """All that is to be done, checked; and what is left out."""
    everybody = source.person == EVERYBODY
    source.check(file, lifting.overwrite, many=True)
    if not file.is_dir() or (_is_clip(file) and not each):
        format_of(out, lifting.format)
        jobs, notes = [Job(file, out)], list[str]()
    else:
        inputs, others = inputs_in(file, lambda path: _is_film(path, each))
        _check_folder(file, out)
        others = [path for path in others if path.resolve() != out.resolve()]
        ending = format_of("", lifting.format or "npz")
        jobs = [Job(path, out / f"{_stem(path)}.{ending}") for path in inputs]
        left = ", ".join(path.name for path in others)
        notes = [f"neither keypoints nor video, left out: {left}"] if left else []
        _check_names(jobs)
    there = [path for job in jobs for path in _there(job.out, everybody)]
    if there and not lifting.overwrite:
        more = f", and {len(there) - 1} more" if len(there) > 1 else ""
        raise ValueError(f"{there[0]}: exists already{more}; name another place or --overwrite")
    for job in jobs:
        check_apart(job.file, *(_there(job.out, True) if everybody else [job.out]))
        check_output(job.out, overwrite=everybody or lifting.overwrite)
    return jobs, notes


def _is_film(path: Path, each: bool) -> bool:
    """Videos and folders of photos; photos too, if each is wanted by itself."""
    return kind_of(path) in (("video", "folder", "photo") if each else ("video", "folder"))


def _check_folder(folder: Path, out: Path) -> None:
    if out.suffix[1:].lower() in FORMATS and not out.is_dir():
        raise ValueError(f"expected a folder for the poses of many files, got {out} (--out-format says what they are)")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: expected a folder for the poses of many files, got a file")
    if out.resolve() == folder.resolve():
        raise ValueError(f"{out}: expected another folder than that of the keypoints")


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _check_names(jobs: Sequence[Job]) -> None:
    """No two files may become one."""
    out, count = Counter(job.out for job in jobs).most_common(1)[0]
    if count > 1:
        names = [job.file.name for job in jobs if job.out == out]
        raise ValueError(f"expected files of different names, got {', '.join(names)}: {out.name}")


def _there(out: Path, everybody: bool) -> list[Path]:
    """Files that exist where some are to be written."""
    if not everybody:
        return [out] if out.exists() else []
    named = re.compile(re.escape(out.stem) + r"\.[^.]+" + re.escape(out.suffix))
    found = sorted(out.parent.iterdir()) if out.parent.is_dir() else []
    return [path for path in found if named.fullmatch(path.name)]


def _lifted(job: Job, source: Source, lifting: Lifting, command: str) -> Done:
    """One file, of one person or of everybody; a mistake is written down, not raised."""
    done = Done(job.file)
    try:
        tracks = _people(job, source)
    except Exception as error:
        done.errors.append(_said(error, str(job.file)))
        return done
    for out, track in tracks.items():
        person = f", person {track.person}" if source.person == EVERYBODY else ""
        try:
            poses, notes = lifting.lift(track, out, command)
        except Exception as error:
            done.errors.append(_said(error, f"{job.file}{person}"))
            continue
        done.written.append(out)
        done.frames += len(poses)
        done.warnings += [(f"{job.file.name}{person}", note) for note in notes]
    return done


def _people(job: Job, source: Source) -> dict[Path, Keypoints]:
    """The tracks that are wanted, by the file that each becomes."""
    if source.person != EVERYBODY:
        return {job.out: source.read(job.file, bar=False)}
    found: dict[Path, Keypoints] = {}
    for track in source.tracks(job.file, bar=False):
        name = re.sub(r"[^\w-]+", "_", track.person)
        out = job.out.with_name(f"{job.out.stem}.{name}{job.out.suffix}")
        if out in found:
            raise ValueError(f"expected people of different names, got two that become {out.name}")
        found[out] = track
    return found


def _said(error: Exception, who: str) -> str:
    """One line; a fault of ours, which alone would be a traceback, with its kind."""
    text = " ".join(str(error).split("\n")).removeprefix(f"{who}: ")
    expected = isinstance(error, ValueError | OSError | MemoryError)
    return f"{who}: {text}" if expected else f"{who}: {type(error).__name__}: {text}"


def _say(lines: Iterable[str]) -> None:
    """On stderr, a line at a time, so that those of several processes do not mix."""
    for line in lines:
        sys.stderr.write(f"{line}\n")


def _report(found: list[Done], notes: list[str], out: Path, source: Source, S: int) -> None:
    """What there is to say in the end, and whether all went well."""
    _say(f"note: {note}" for note in notes)
    whose: dict[str, list[str]] = {}
    for who, note in chain(*(done.warnings for done in found)):
        whose.setdefault(note, []).append(who)
    _say(f"note: {_listed(people)}: {note}" for note, people in whose.items())
    written = [path for done in found for path in done.written]
    failed = [done.file.name for done in found if done.errors]
    frames = sum(done.frames for done in found)
    whole = len(found) - len(failed)
    print(f"{whole} of {len(found)} files, {len(written)} people, {frames:,} frames, {S} hypotheses each")
    shown = ", ".join(map(str, written)) if len(found) == 1 else f"{len(written)} files in {out}"
    print(f"written: {shown or 'nothing'}")
    if failed:
        what = "lifted for everybody in them" if source.person == EVERYBODY else "lifted"
        raise ValueError(f"{len(failed)} of {len(found)} files could not be {what}: {_listed(failed)}")


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
