import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from prpose.unpickle import read_npz
from tests.golden_numbers import GOLDEN


@pytest.mark.parametrize("protocol", range(5))
def test_plain_data_of_all_kinds_survives_every_protocol_that_npz_writers_use(protocol, tmp_path):
    content = {
        "S1": {"a": np.arange(6.0).reshape(2, 3), "list": [np.float32(1.5), 2, "x", None, True]},
        "mixed": (np.int64(3), 2.5, b"bytes\xff"),
        "ragged": np.array([np.zeros(2), np.zeros(3)], dtype=object),
    }
    write_pickle(tmp_path / "a.npz", pickle.dumps(np.array(content, dtype=object), protocol))
    read = read_npz(tmp_path / "a.npz", "key")
    assert np.array_equal(read["S1"]["a"], content["S1"]["a"])
    assert read["S1"]["list"] == content["S1"]["list"]
    assert read["mixed"] == content["mixed"]
    assert [len(x) for x in read["ragged"]] == [2, 3]


def write_npy(path, descr, shape, payload=b""):
    """An npz whose entry ``key`` claims this type and shape, and holds this payload."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("key.npy", stream.getvalue() + payload)


def write_pickle(path, payload):
    write_npy(path, "|O", (), payload)


def assert_refused(folder, payload, message=""):
    write_pickle(folder / "a.npz", payload)
    with pytest.raises(ValueError, match=r"a\.npz: key: .*" + message):
        read_npz(folder / "a.npz", "key")


class Reduced:
    """Pickled as this call, with this state."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize("function", [os.mkdir, os.system, eval, getattr, np.load, np.memmap])
def test_hostile_pickles_raise_before_anything_runs(function, tmp_path):
    trace = tmp_path / "trace"
    argument = f"__import__('os').mkdir({str(trace)!r})" if function is eval else str(trace)
    assert_refused(tmp_path, pickle.dumps({"S1": Reduced(function, (argument,))}), "refused .*nothing of it was run")
    assert not trace.exists()


@pytest.mark.parametrize("keep", [0, 5, 100, 100_000, -100])
def test_truncated_files_are_named(keep, tmp_path):
    whole = (GOLDEN / "data/data_3d_h36m.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:keep])
    with pytest.raises(ValueError, match=r"cut\.npz: truncated or not an npz file"):
        read_npz(tmp_path / "cut.npz", "positions_3d")


def test_missing_files_and_entries_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.npz: no such file"):
        read_npz(tmp_path / "none.npz", "key")
    write_pickle(tmp_path / "a.npz", b"N.")
    with pytest.raises(ValueError, match=r"no entry 'other'; the file holds 'key'$"):
        read_npz(tmp_path / "a.npz", "other")


def forged(*state):
    return Reduced(*np.zeros(1).__reduce__()[:2], state)


def dtype(spec, *state):
    return Reduced(np.dtype, (spec, False, True), state)


@pytest.mark.parametrize(
    "claimed",
    [
        np.dtype(object),
        dtype("O8", 3, "|", None, None, None, -1, -1, 0),
        dtype("V8", 3, "|", None, ("f",), {"f": (np.dtype(object), 0)}, 8, 1, 0),
        dtype("f8", 3, "<", None, ("f",), {"f": (np.dtype(object), 0)}, 8, 1, 63),
    ],
)
def test_pointers_that_an_arrays_dtype_claims_are_never_followed(claimed, tmp_path):
    assert_refused(tmp_path, pickle.dumps(forged(1, (2,), claimed, False, b"A" * 16)))


def test_byte_orders_and_memory_orders(tmp_path):
    np.savez(tmp_path / "plain.npz", x=np.arange(3))  # which needs no pickle
    assert read_npz(tmp_path / "plain.npz", "x").tolist() == [0, 1, 2]
    content = {
        "big": np.arange(5, dtype=">f4"),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["left", "right"]),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 17, 2), np.float32),
        "scalar": np.float32(0.5),
        "objects": np.asfortranarray(np.array([[1, 2, 3], ["a", "b", "c"]], dtype=object)),
    }
    np.savez_compressed(tmp_path / "a.npz", key=np.array(content, dtype=object))
    read = read_npz(tmp_path / "a.npz", "key")
    for name, value in content.items():
        assert np.array_equal(read[name], value)
        assert np.asarray(read[name]).dtype == np.asarray(value).dtype
        assert np.shape(read[name]) == np.shape(value)


ITSELF = {}
ITSELF["self"] = ITSELF
DTYPE = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8tR"
SHARED = b"]" + b"".join(b"q" + bytes([i]) + b"](h" + bytes([i]) + b"h" + bytes([i]) + b"e"
                          for i in range(200))  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        pytest.param(b"}" + b")" + b"\x85" * 300_000 + b"K\x01s.", "a tuple as a key", id="deep"),
        pytest.param(b"](K\x01K\x02u.", "something that is no dict", id="items of a list"),
        pytest.param(b"\x80\x04\x8f.", "instruction EMPTY_SET", id="set"),
        pytest.param(b"\x80\x04(K\x01\x91.", "instruction FROZENSET", id="frozenset"),
        pytest.param(b"\x80\x05\x96" + b"\xff" * 7 + b"\x0f.", "BYTEARRAY8", id="bytearray"),
        pytest.param(b"Pid\n.", "instruction PERSID", id="persistent id"),
        pytest.param(b"\x82\x01.", "instruction EXT1", id="extension"),
        pytest.param(b"(cnumpy\ndtype\no.", "instruction OBJ", id="obj"),
        pytest.param(b"cnumpy\ndtype\n)\x81.", "instruction NEWOBJ", id="newobj"),
        pytest.param(b"X\x01\x00\x00\x00a)R.", "a call of something other", id="call of text"),
        pytest.param(b"c_codecs\nencode\n}b.", "a state of something", id="state of a function"),
        pytest.param(b"c_codecs\nencode\n.", "plain data, got function", id="function"),
        pytest.param(DTYPE + b".", "plain data, got _Dtype", id="dtype"),
        pytest.param(b"cnumpy.core.multiarray\nscalar\n(NC\x01atR.", "a dtype, got NoneType", id="no dtype"),
        pytest.param(b"c\x1b[31mos\nsystem\n.", r"refused '\\x1b\[31mos", id="terminal codes"),
        pytest.param(b"\xff.", "damaged entry", id="unknown instruction"),
        pytest.param(b"\x80\x04cnumpy\ndtype\nX\x01\0\0\0a" + b"q\x01h\x01\x86" * 100
                     + b"\x85R.", "refused dtype a tuple", id="dtype of 2^100 parts"),
        pytest.param(b"\x80\x04c_codecs\nencode\nX\x01\0\0\0aX\x01\0\0\0a"
                     + b"q\x01h\x01\x86" * 100 + b"\x86R.", "got a tuple", id="encoding of 2^100"),
        pytest.param(b"}(" + b"".join(b"L%dL\nN" % (k * (2**61 - 1)) for k in range(9)) + b"u.",
                     "a int as a key", id="colliding keys"),
        pytest.param(b"}(G\x3f\xf0\0\0\0\0\0\0Nu.", "a float as a key", id="float key"),
        pytest.param(SHARED + b".", "expected at most 16,777,216 bytes", id="shared 2^200 times"),
        pytest.param(pickle.dumps(Exception), "refused", id="class"),
        pytest.param(pickle.dumps({1, 2}, 0), "refused", id="set of protocol 0"),
        pytest.param(pickle.dumps(range(3)), "refused", id="range"),
        pytest.param(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "expected bytes as latin1", id="encoding"),
        pytest.param(pickle.dumps({"x": 1}), r"expected a pickled array of shape \(\), got dict", id="no array"),
        pytest.param(pickle.dumps(np.array({"x": 1}, dtype=object))[:-4], "", id="cut short"),
        pytest.param(pickle.dumps(np.array(ITSELF, dtype=object)), "RecursionError", id="itself"),
    ],
)  # fmt: skip
def test_what_no_honest_file_holds_is_refused_and_crashes_nothing(payload, message, tmp_path):
    assert_refused(tmp_path, payload, message)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x00\x00\x11\x00"])
def test_text_beyond_unicode_is_refused(data, tmp_path):
    for content in (forged(1, (1,), np.dtype("<U1"), False, data), np.frombuffer(data, "<U1")):
        assert_refused(tmp_path, pickle.dumps(content, 4), "code points beyond Unicode")


def test_sizes_that_a_file_only_claims_are_refused(tmp_path):
    for descr in ("|S0", "<f8"):
        write_npy(tmp_path / "a.npz", descr, (10**12,))
        with pytest.raises(ValueError, match=r"a\.npz: key: expected \(1000000000000,\)"):
            read_npz(tmp_path / "a.npz", "key")
    np.savez_compressed(tmp_path / "b.npz", key=np.zeros(2_000_000), small=np.zeros(200_000))
    with pytest.raises(ValueError, match="expected at most 16,777,216 bytes, got 17,600,256"):
        read_npz(tmp_path / "b.npz", "small")


def test_a_huge_memo_index_takes_no_memory(tmp_path):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert_refused(tmp_path, b"Nr\xff\xff\xff\x0a.", "expected a pickled array")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_archives_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "a.npz"
    for offset, value in ((8, 1), (10, 99)):  # encrypted; packed in a way that Python does not know
        write_pickle(path, b"N.")
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + offset] = value
        content[content.index(b"PK\x03\x04") + offset - 2] = value
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz: (truncated or not an npz file|expected entries compressed as)"):
            read_npz(path, "key")


@pytest.mark.parametrize("instruction", [b"(", b"]"])
def test_a_pickle_of_too_many_instructions_is_refused(instruction, tmp_path, monkeypatch):
    monkeypatch.setattr("prpose.unpickle.FEWEST", 1000)
    assert_refused(tmp_path, b"\x80\x04" + instruction * 2000 + b".", "expected at most 1,[0-9]+ pickled values")
