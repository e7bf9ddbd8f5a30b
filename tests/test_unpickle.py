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


@pytest.mark.parametrize("protocol", range(5))
def test_every_pickle_protocol_that_npz_writers_use(protocol, tmp_path):
    content = np.array({"x": np.arange(3), "b": b"\xff"}, dtype=object)
    write_pickle(tmp_path / "a.npz", pickle.dumps(content, protocol))
    read = read_npz(tmp_path / "a.npz", "key")
    assert read["x"].tolist() == [0, 1, 2]
    assert read["b"] == b"\xff"


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
    with pytest.raises(ValueError, match=r"no entry 'other'; the file holds 'key'$"):
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


def global_(module, name):
    return b"c" + module + b"\n" + name + b"\n"


DTYPE = global_(b"numpy", b"dtype") + b"(X\x02\x00\x00\x00f8tR"
SHARED = b"]" + b"".join(b"q" + bytes([i]) + b"](h" + bytes([i]) * 1 + b"h" + bytes([i]) + b"e"
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
        pytest.param(b"cnumpy.core.multiarray\nscalar\n(NC\x01atR.", "a dtype, got NoneType",
                     id="number without a dtype"),
        pytest.param(b"c\x1b[31mos\nsystem\n.", r"refused '\\x1b\[31mos", id="terminal codes"),
        pytest.param(b"\xff.", "damaged entry", id="unknown instruction"),
        pytest.param(b"\x80\x04cnumpy\ndtype\nX\x01\0\0\0a" + b"q\x01h\x01\x86" * 100
                     + b"\x85R.", "refused dtype a tuple", id="dtype of 2^100 parts"),
        pytest.param(b"\x80\x04c_codecs\nencode\nX\x01\0\0\0aX\x01\0\0\0a"
                     + b"q\x01h\x01\x86" * 100 + b"\x86R.", "got a tuple", id="encoding of 2^100"),
        pytest.param(b"}(" + b"".join(b"L%dL\nN" % (k * (2**61 - 1)) for k in range(9)) + b"u.",
                     "a int as a key", id="colliding keys"),
        pytest.param(b"}(G\x3f\xf0\0\0\0\0\0\0Nu.", "a float as a key", id="float key"),
        pytest.param(SHARED + b".", "expected a pickled array", id="shared 2^200 times"),
    ],
)  # fmt: skip
def test_what_no_honest_file_holds_is_refused_and_crashes_nothing(payload, message, tmp_path):
    write_pickle(tmp_path / "a.npz", payload)
    with pytest.raises(ValueError, match=r"a\.npz: key: .*" + message):
        read_npz(tmp_path / "a.npz", "key")


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x00\x00\x11\x00"])
def test_text_beyond_unicode_is_refused(data, tmp_path):
    for content in (Forged(None, (1, (1,), np.dtype("<U1"), False, data)),
                    np.frombuffer(data, "<U1")):  # fmt: skip
        write_pickle(tmp_path / "a.npz", pickle.dumps(content, 4))
        with pytest.raises(ValueError, match="code points beyond Unicode"):
            read_npz(tmp_path / "a.npz", "key")


def test_sizes_that_a_file_only_claims_are_refused(tmp_path, monkeypatch):
    for descr in ("|S0", "<f8"):
        stream = io.BytesIO()
        header = {"descr": descr, "fortran_order": False, "shape": (10**12,)}
        np.lib.format.write_array_header_1_0(stream, header)
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("key.npy", stream.getvalue())
        with pytest.raises(ValueError, match=r"a\.npz: key: expected \(1000000000000,\)"):
            read_npz(tmp_path / "a.npz", "key")
    monkeypatch.setattr("prpose.unpickle.LARGEST", 1000)
    np.savez_compressed(tmp_path / "b.npz", key=np.zeros(10_000))
    with pytest.raises(ValueError, match="entry 'key' is larger than 1,000 bytes"):
        read_npz(tmp_path / "b.npz", "key")


def test_a_huge_memo_index_takes_no_memory(tmp_path):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write_pickle(tmp_path / "a.npz", b"Nr\xff\xff\xff\x0a.")
    with pytest.raises(ValueError, match="expected a pickled array"):
        read_npz(tmp_path / "a.npz", "key")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_archives_that_cannot_be_read_are_named(tmp_path):
    """Encrypted, or packed in a way that Python does not know."""
    path = tmp_path / "a.npz"
    for offset, value in ((8, 1), (10, 99)):  # of the central directory: flags, method
        write_pickle(path, b"N.")
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + offset] = value
        content[content.index(b"PK\x03\x04") + offset - 2] = value
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz: truncated or not an npz file"):
            read_npz(path, "key")


@pytest.mark.parametrize("instruction", [b"(", b"]"])
def test_a_pickle_of_too_many_instructions_is_refused(instruction, tmp_path, monkeypatch):
    monkeypatch.setattr("prpose.unpickle.MOST", 1000)
    write_pickle(tmp_path / "a.npz", b"\x80\x04" + instruction * 2000 + b".")
    with pytest.raises(ValueError, match="expected at most 1,000 pickled values"):
        read_npz(tmp_path / "a.npz", "key")
