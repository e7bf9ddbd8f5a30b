import pytest

from prpose.atomic import check_output, replacing


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


def test_a_successful_block_replaces_the_file(tmp_path):
    path = tmp_path / "out.json"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_existing_files_and_folders_are_not_overwritten_unasked(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="exists already"):
        check_output(path, overwrite=False)
    assert check_output(path, overwrite=True) == path
    for bad in (tmp_path, tmp_path / "none" / "out.json"):
        with pytest.raises(ValueError, match="file name in an existing folder"):
            check_output(bad, overwrite=True)
