"""Changes of HDF5, ONNX and cards, through the libraries that write them."""

import io
import json

import numpy as np

from tests.fuzz import damage, damage_arrays


def as_hdf5(data, rng):
    """A dataset, group or attribute changed; or bytes of the file."""
    import h5py

    if not rng.randrange(4):
        return damage.raw(data, rng)
    stream = io.BytesIO(data)
    try:
        with h5py.File(stream, "r+") as file:
            names = []
            file.visit(names.append)
            _change_hdf5(file, rng.choice(names), rng)
    except Exception:  # HDF5 refuses some changes, and files that were changed before
        return damage.raw(data, rng)
    return stream.getvalue()


def _change_hdf5(file, name, rng):
    import h5py

    entry, change = file[name], rng.randrange(14)
    if change <= 4 and isinstance(entry, h5py.Dataset):
        content = entry[()]
        if isinstance(content, np.ndarray) and content.dtype.names and content.size:
            field = rng.choice(content.dtype.names)
            content = content.copy()
            column = damage_arrays._array(np.ascontiguousarray(content[field]), rng)
            if column.shape == content[field].shape and column.dtype.kind in "fiu?":
                with np.errstate(all="ignore"):
                    content[field] = column.astype(content[field].dtype)
            else:
                content = content[: rng.choice((0, 1, 3))]
        elif isinstance(content, bytes | str):
            content = _text(content, rng)
        elif content.dtype.kind in "OS" and content.size:
            content = content.copy()
            at = rng.randrange(content.size)
            content.reshape(-1)[at] = _text(content.reshape(-1)[at], rng)
        else:
            content = damage_arrays._array(np.asarray(content), rng)
        _replace(file, name, content, rng)
    elif change == 5 or (change == 6 and not entry.attrs):
        del file[name]
    elif change <= 9 and len(entry.attrs):
        key = rng.choice(list(entry.attrs))
        old = entry.attrs[key]
        kind = rng.randrange(4)
        if kind == 0:
            del entry.attrs[key]
        elif isinstance(old, bytes | str | np.bytes_ | np.void):
            old = bytes(old) if not isinstance(old, str) else old
            is_pickle = isinstance(old, bytes) and old[-1:] == b"."
            entry.attrs[key] = np.void(damage_arrays.as_pickle(old, rng)) if is_pickle else _text(old, rng)
        elif kind == 1:
            entry.attrs[key] = "text"
        else:
            entry.attrs[key] = damage_arrays._array(np.asarray(old), rng)
    elif change == 10:
        file[f"{name}_copy"] = rng.choice((h5py.SoftLink("/nowhere"), h5py.ExternalLink("other.h5", "/a"), entry))
    elif change == 11:
        del file[name]
        links = (h5py.SoftLink("/" + name), h5py.ExternalLink("/etc/passwd", "/a"), h5py.SoftLink("/"))
        file[name] = rng.choice(links)
    elif change == 12:
        file.move(name, name + "2")
    else:
        shape = rng.choice(((10**12,), (10**5, 2, 17, 10**4), (0, 2, 17, 8), (4 * 10**6,), (2, 2, 17, 10**6)))
        del file[name]
        file.create_dataset(name, shape, dtype=rng.choice(("f8", "f4", "i8")), chunks=True)


def _replace(file, name, content, rng):
    options = rng.choice(({}, {}, {"compression": "gzip"}, {"shuffle": True}))
    attributes = dict(file[name].attrs)
    del file[name]
    options = {} if np.shape(content) == () else options
    file.create_dataset(name, data=content, **options).attrs.update(attributes)


def _text(old, rng):
    """JSON changed as such, other text replaced; of the same type as before."""
    text = old if isinstance(old, bytes) else str(old).encode()
    new = damage.as_json(text, rng) if text[:1] in b"{[" and text else str(damage.value(rng)).encode("utf-8", "replace")
    new = new.replace(b"\0", b"")
    return new if isinstance(old, bytes) else new.decode("utf-8", "replace")


def as_onnx(data, rng):
    """The card, a fact, a node, a weight or an input changed; or bytes of the file."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception:
        return damage.raw(data, rng)
    change, graph = rng.randrange(12), model.graph
    if change == 0:
        return damage.raw(data, rng)
    if change <= 5 and model.metadata_props:
        entry = rng.choice(model.metadata_props)
        entry.value = damage.as_json(entry.value.encode(), rng).decode("utf-8", "replace")
    elif change == 6 and model.metadata_props:
        del model.metadata_props[0]
    elif change == 7 and graph.node:
        node = rng.choice(graph.node)
        node.op_type = rng.choice(("Identity", "Reshape", "Expand", "Loop", "If", "Nothing", "Tile", "Concat", "Slice"))
    elif change == 8 and graph.node:
        node = rng.choice(graph.node)
        names = [name for each in graph.node for name in (*each.input, *each.output)]
        if node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice([*names, "", "nowhere"])
        for attribute in node.attribute:
            attribute.i = rng.choice((-1, 0, 1, 2**40))
    elif change == 9 and graph.initializer:
        weight = rng.choice(graph.initializer)
        new = damage_arrays._array(onnx.numpy_helper.to_array(weight), rng)
        if new.dtype.kind in "fiu" and new.dtype != np.longdouble:
            weight.CopyFrom(onnx.numpy_helper.from_array(new.astype(new.dtype.newbyteorder("=")), weight.name))
    elif change == 10:
        if rng.randrange(2) and graph.initializer:
            weight = rng.choice(graph.initializer)
            weight.data_location = 1
            del weight.external_data[:]
            for key, text in (("location", rng.choice(("weights.bin", "/etc/passwd", "../a"))), ("offset", "0")):
                weight.external_data.add(key=key, value=text)
        else:
            model.opset_import[0].version = rng.choice((0, 1, 7, 12, 99, 2**40))
            model.ir_version = rng.choice((0, 3, 9, 99))
    else:
        value = rng.choice([*graph.input, *graph.output])
        value.type.tensor_type.elem_type = rng.choice((0, 1, 7, 10, 11, 99))
        for dim in value.type.tensor_type.shape.dim[:1]:
            dim.dim_value = rng.choice((-1, 0, 1, 2, 2**40))
    return model.SerializeToString()


def as_matlab(data, rng):
    """A MATLAB 5 file with a variable changed; or bytes of it, or its HDF5."""
    import scipy.io

    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return as_hdf5(data, rng)
    try:
        content = {k: v for k, v in scipy.io.loadmat(io.BytesIO(data)).items() if not k.startswith("__")}
        if not content or not rng.randrange(3):
            return damage.raw(data, rng)
        name = rng.choice(list(content))
        array = content[name]
        if array.dtype == object:
            array = array.copy()
            array.reshape(-1)[rng.randrange(array.size)] = damage_arrays._array(array.reshape(-1)[0], rng)
        else:
            array = damage_arrays._array(array, rng)
        content[name] = array
        stream = io.BytesIO()
        scipy.io.savemat(stream, content, do_compression=rng.randrange(2) == 0)
        return stream.getvalue()
    except Exception:
        return damage.raw(data, rng)


def as_card(data, rng):
    """A card with something changed, below its networks' arguments more often than anywhere."""
    try:
        content = json.loads(data)
        if rng.randrange(2) and isinstance(content.get("lifter"), dict):
            arguments = damage.tree(content["lifter"].get("arguments", {}), rng)
            content["lifter"]["arguments"] = arguments
            return json.dumps(content).encode()
    except (ValueError, AttributeError, RecursionError):
        pass
    return damage.as_json(data, rng)
