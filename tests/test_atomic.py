import os
import subprocess
import sys

import numpy as np
import pytest

from prpose import atomic
from prpose.atomic import check_output, large_array, read_json, read_toml, release, replacing, write_json


def test_a_failed_block_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_existing_files_and_folders_are_not_overwritten_unasked(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="exists already"):
        check_output(path, overwrite=False)
    assert check_output(path, overwrite=True) == path
    for bad in (tmp_path, path / "out.json", path / "none" / "out.json"):
        with pytest.raises(ValueError, match="expected a file name, got a folder, or a file in"):
            check_output(bad, overwrite=True)


def test_folders_are_made_with_the_file_and_not_before(tmp_path):
    path = check_output(tmp_path / "a" / "b" / "out.json", overwrite=False)
    assert not list(tmp_path.iterdir())
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    target, link = tmp_path / "far" / "out.json", tmp_path / "out.json"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    with replacing(check_output(link, overwrite=True)) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_what_is_no_file_is_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="pipe: expected a file, got a device, pipe or socket"):
        check_output(pipe, overwrite=True)
    with pytest.raises(ValueError, match="pipe: expected a file"), replacing(pipe):
        pass
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_links_to_themselves_and_long_names(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "loop", tmp_path / "loop" / "x.npz"):
        with pytest.raises(ValueError, match="a symbolic link to itself"):
            check_output(path, overwrite=True)
    path = check_output(tmp_path / ("a" * 245 + ".npz"), overwrite=False)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_a_folder_that_is_not_writable_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(ValueError, match=r"out\.json: expected a writable folder"):
        check_output(tmp_path / "out.json", overwrite=False)


def test_json_files_are_read_back(tmp_path):
    content = {"name": "Köln", "values": [1, 2.5, None]}
    write_json(tmp_path / "a" / "a.json", content)
    assert read_json(tmp_path / "a" / "a.json") == content
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf[1]")  # with a byte order mark
    assert read_json(tmp_path / "b.json") == [1]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"x = " + b"9" * 5000])
@pytest.mark.parametrize("read", [read_json, read_toml])
def test_damaged_json_and_toml_files_are_refused_by_name(read, content, tmp_path):
    path = tmp_path / "a.cfg"
    with pytest.raises(ValueError, match=r"a\.cfg: no such file"):
        read(path)
    path.write_bytes(content)
    if content or read is read_json:  # an empty TOML file is valid
        with pytest.raises(ValueError, match=r"a\.cfg: not a (JSON|TOML) file"):
            read(path)


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "private.json"
    write_json(path, 1)
    path.chmod(0o600)
    write_json(path, 2)
    assert (path.stat().st_mode & 0o777, read_json(path)) == (0o600, 2)


def test_temporary_files_of_killed_processes_are_removed_by_the_next_and_others_are_kept(tmp_path):
    code = f"""
import os, sys
from prpose.atomic import replacing
with replacing({str(tmp_path / "out.npz")!r}) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    writers[0].kill()
    writers[0].wait()
    assert len(list(tmp_path.glob(".prpose-*"))) == 2
    write_json(tmp_path / "other.json", 1)
    assert len(list(tmp_path.glob(".prpose-*"))) == 1  # of the process that still writes
    writers[1].communicate()
    assert writers[1].returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.json", "out.npz"]
    writers[0].communicate()


def test_a_signal_as_soon_as_the_temporary_file_exists_removes_it(tmp_path, monkeypatch):
    def interrupted(*args):
        os.close(opened(*args))
        raise KeyboardInterrupt

    opened = os.open
    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_json(tmp_path / "out.json", 1)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_large_arrays_keep_their_content_without_memory(monkeypatch):
    monkeypatch.setattr(atomic, "LARGE", 2**12)
    for shape in ((3, 4), (100, 17, 3)):
        array = large_array(shape, np.float32)
        values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        array[:] = values
        release(array, array[1:], values)
        assert type(array) is np.ndarray
        assert array.shape == shape
        assert np.array_equal(array, values)


def test_arrays_of_others_are_not_released(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(2**16))
    array = np.load(tmp_path / "a.npy", mmap_mode="c")  # whose changes are in memory only
    array[:] = 1
    release(array, None)
    assert (array == 1).all()


def test_a_large_array_is_in_memory_where_the_disk_has_no_space(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    array = large_array((2**22,), np.float32)
    assert array.base is None
