import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from prpose.unpickle import read_npz
from tests.golden_numbers import GOLDEN


def test_plain_data_of_all_kinds_survives(tmp_path):
    content = {
        "S1": {"a": np.arange(6.0).reshape(2, 3), "list": [np.float32(1.5), 2, "x", None, True]},
        "mixed": (np.int64(3), 2.5, b"bytes"),
        "ragged": np.array([np.zeros(2), np.zeros(3)], dtype=object),
    }
    np.savez_compressed(tmp_path / "a.npz", positions=np.array(content, dtype=object))
    read = read_npz(tmp_path / "a.npz", "positions")
    assert np.array_equal(read["S1"]["a"], content["S1"]["a"])
    assert read["S1"]["list"] == content["S1"]["list"]
    assert read["mixed"] == content["mixed"]
    assert [len(x) for x in read["ragged"]] == [2, 3]


@pytest.mark.parametrize("protocol", range(6))
def test_every_pickle_protocol(protocol, tmp_path):
    if protocol == 5:
        pytest.skip("NumPy pickles arrays out of band there; no npz writer uses protocol 5")
    content = np.array({"x": np.arange(3), "b": b"\xff"}, dtype=object)
    write_pickle(tmp_path / "a.npz", pickle.dumps(content, protocol))
    read = read_npz(tmp_path / "a.npz", "key")
    assert read["x"].tolist() == [0, 1, 2]
    assert read["b"] == b"\xff"


def test_plain_arrays_need_no_pickle(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    assert read_npz(tmp_path / "a.npz", "x").tolist() == [0, 1, 2]


def write_pickle(path, payload):
    """An npz whose entry ``key`` is an object array with this pickle in it."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("key.npy", stream.getvalue() + payload)


class Call:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize("function", [os.mkdir, os.system, eval, getattr, np.load, np.memmap])
def test_hostile_pickles_raise_before_anything_runs(function, tmp_path):
    trace = tmp_path / "trace"
    argument = f"__import__('os').mkdir({str(trace)!r})" if function is eval else str(trace)
    write_pickle(tmp_path / "a.npz", pickle.dumps({"S1": Call(function, argument)}))
    with pytest.raises(ValueError, match=r"a\.npz: key: refused .*nothing of it was run"):
        read_npz(tmp_path / "a.npz", "key")
    assert not trace.exists()


def test_classes_and_other_encodings_are_refused(tmp_path):
    for payload in (pickle.dumps(Exception), pickle.dumps({1, 2}, 0), pickle.dumps(range(3))):
        write_pickle(tmp_path / "a.npz", payload)
        with pytest.raises(ValueError, match="refused"):
            read_npz(tmp_path / "a.npz", "key")
    write_pickle(tmp_path / "a.npz", b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")
    with pytest.raises(ValueError, match="expected bytes as latin1"):
        read_npz(tmp_path / "a.npz", "key")


@pytest.mark.parametrize("keep", [0, 5, 100, 100_000, -100])
def test_truncated_files_are_named(keep, tmp_path):
    whole = (GOLDEN / "data/data_3d_h36m.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:keep])
    with pytest.raises(ValueError, match=r"cut\.npz: truncated or not an npz file"):
        read_npz(tmp_path / "cut.npz", "positions_3d")


def test_damaged_pickles_and_missing_entries_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.npz: no such file"):
        read_npz(tmp_path / "none.npz", "key")
    write_pickle(tmp_path / "a.npz", pickle.dumps({"x": 1}))
    with pytest.raises(ValueError, match=r"expected a pickled array of shape \(\), got dict"):
        read_npz(tmp_path / "a.npz", "key")
    write_pickle(tmp_path / "a.npz", pickle.dumps(np.array({"x": 1}, dtype=object))[:-4])
    with pytest.raises(ValueError, match=r"a\.npz: key: "):
        read_npz(tmp_path / "a.npz", "key")
    with pytest.raises(ValueError, match=r"no entry 'other'; the file holds key\.npy"):
        read_npz(tmp_path / "a.npz", "other")


class Forged:
    """An array whose dtype claims pointers where the data are bytes of the attacker's."""

    def __init__(self, dtype, state):
        self.dtype, self.state = dtype, state

    def __reduce__(self):
        function, arguments, _ = np.zeros(1).__reduce__()
        return function, arguments, self.state


class Dtype:
    def __init__(self, spec, *state):
        self.spec, self.state = spec, state

    def __reduce__(self):
        return np.dtype, (self.spec, False, True), self.state


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype(object),
        Dtype("O8", 3, "|", None, None, None, -1, -1, 0),
        Dtype("V8", 3, "|", None, ("f",), {"f": (np.dtype(object), 0)}, 8, 1, 0),
        Dtype("f8", 3, "<", None, ("f",), {"f": (np.dtype(object), 0)}, 8, 1, 63),
    ],
)
def test_forged_pointers_are_never_followed(dtype, tmp_path):
    forged = Forged(dtype, (1, (2,), dtype, False, b"A" * 16))
    write_pickle(tmp_path / "a.npz", pickle.dumps(forged))
    with pytest.raises(ValueError, match=r"a\.npz: key: "):
        read_npz(tmp_path / "a.npz", "key")


def test_byte_orders_and_memory_orders(tmp_path):
    content = {
        "big": np.arange(5, dtype=">f4"),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["left", "right"]),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 17, 2), np.float32),
        "scalar": np.float32(0.5),
    }
    np.savez(tmp_path / "a.npz", key=np.array(content, dtype=object))
    read = read_npz(tmp_path / "a.npz", "key")
    for name, value in content.items():
        assert np.array_equal(read[name], value)
        assert np.asarray(read[name]).dtype == np.asarray(value).dtype
        assert np.shape(read[name]) == np.shape(value)


def test_a_pickle_that_contains_itself_is_refused(tmp_path):
    content = {}
    content["self"] = content
    write_pickle(tmp_path / "a.npz", pickle.dumps(np.array(content, dtype=object)))
    with pytest.raises(ValueError, match="RecursionError"):
        read_npz(tmp_path / "a.npz", "key")
