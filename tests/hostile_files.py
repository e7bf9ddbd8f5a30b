"""Small files whose reading would take much memory or time, had the readers no bounds; measured one by one.

``python -m tests.hostile_files`` reads each in a fork of one process, and prints a JSON line with what became of it.
"""

import io
import json
import os
import random
import resource
import sys
import time
import traceback
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import prpose
from prpose.io.keypoints import read_people

HUGE = 10**12
META = np.array({"layout_name": "coco"}, dtype=object)


def npy(descr, shape, payload=b""):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + payload


def packed(method=zipfile.ZIP_DEFLATED, **entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def custom(clip, **metadata):
    """VideoPose3D's npz, whose only video has these cameras."""
    stream = io.BytesIO()
    content = np.array({"v": {"a": clip}}, dtype=object)
    np.savez_compressed(
        stream, metadata=np.array({"layout_name": "coco", **metadata}, dtype=object), positions_2d=content
    )
    return stream.getvalue()


def laughs(depth=8):
    value = [1.0] * 10
    for _ in range(depth):
        value = [value] * 10
    return value


def text(value):
    return json.dumps(value).encode()


def coco(people, frames, body=lambda rng: [rng.uniform(0, 1000) if i % 3 < 2 else 1 for i in range(51)]):
    rng = random.Random(0)
    return text(
        [{"image_id": t, "keypoints": [round(x, 1) for x in body(rng)]} for t in range(frames) for _ in range(people)]
    )


def walkers(people, frames):
    """A crowd on a grid that moves by a pixel per frame."""
    rng = np.random.default_rng(0)
    body = rng.uniform(0, 30, (17, 2))
    place = 40 * np.stack(np.divmod(np.arange(people), 40), axis=-1)[:, None]
    rows = []
    for t in range(frames):
        xy = np.concatenate([body + place + t, np.ones((people, 17, 1))], axis=-1).reshape(people, -1).round(1)
        rows += [{"image_id": t, "keypoints": row} for row in xy[rng.permutation(people)].tolist()]
    return text(rows)


MARK = "[" + ",".join(["{}"] * 33) + "]"
MERSENNE = 2**61 - 1  # whole numbers have themselves modulo this as their hash

KEYPOINTS = {  # name of the file, by what is in it
    "frames without joints": ("a.npy", lambda: npy("<f8", (HUGE, 0, 2))),
    "frames without coordinates": ("a.npy", lambda: npy("<f8", (HUGE, 17, 0))),
    "frames that are not there": ("a.npy", lambda: npy("<f8", (HUGE, 17, 2))),
    "a joint per frame": ("a.npy", lambda: npy("|i1", (500_000, 1, 2), bytes(10**6))),
    "bytes as numbers": ("a.npy", lambda: npy("|i1", (29_400, 17, 2), random.Random(0).randbytes(999_600))),
    "frames that jump": ("a.npy", lambda: npy("<f2", (7350, 17, 2), np.repeat(
        np.random.default_rng(0).uniform(0, 999, (2450, 1, 1)), 3, axis=0).repeat(34, 1).astype("<f2").tobytes())),
    "zeros": ("a.npz", lambda: packed(keypoints_px=npy("|i1", (2**20, 17, 2), bytes(34 * 2**20)))),
    "zeros packed otherwise": ("a.npz", lambda: packed(
        zipfile.ZIP_LZMA, keypoints_px=npy("|i1", (2**18, 17, 2), bytes(34 * 2**18)))),
    "zeros in many entries": ("a.npz", lambda: packed(**{
        name: npy("|i1", (2**22, 1), bytes(2**22)) for name in ("keypoints_px", "confidence", "times_s", "fps", "a")})),
    "text beyond Unicode": ("a.npz", lambda: packed(
        keypoints_px=npy("<f4", (3, 17, 2), bytes(408)), layout=npy("<U1", (1,), b"\xff\xff\xff\x7f"))),
    "lists that share": ("a.npz", lambda: custom([laughs()])),
    "one array as many cameras": ("a.npz", lambda: custom([np.ones((100, 17, 2))] * 60_000)),
    "a pickled array without joints": ("a.npz", lambda: custom([np.zeros((10**9, 0, 2))])),
    "marks": ("a.npz", lambda: packed(keypoints_px=npy("|O", (), b"\x80\x04" + b"(" * 10**7 + b"."))),
    "empty lists": ("a.npz", lambda: packed(keypoints_px=npy("|O", (), b"\x80\x04" + b"]" * 10**7 + b"."))),
    "lists in JSON": ("a.json", lambda: b"[" + b",".join([b"[]"] * 330_000) + b"]"),
    "objects in JSON": ("a.json", lambda: b'{"people": [' + b",".join([b"{}"] * 330_000) + b"]}"),
    "nothing in JSON": ("a.json", lambda: b'{"people": [' + b",".join([b"null"] * 200_000) + b"]}"),
    "landmarks without numbers": ("a.json", lambda: (
        '{"image_size": [9, 9], "frames": [{"pose_landmarks": [' + ",".join([MARK] * 9000) + "]}]}").encode()),
    "ids of images with one hash": ("a.json", lambda: text(
        {"images": [{"id": k * MERSENNE} for k in range(1, 40_000)], "annotations": []})),
    "ids of people with one hash": ("a.json", lambda: text(
        [{"image_id": t, "track_id": t * MERSENNE, "keypoints": [1, 2, 1] * 17} for t in range(5000)])),
    "many categories": ("a.json", lambda: text({
        "images": [{"id": 1}], "annotations": [{"image_id": 1, "category_id": 0}] * 12_000,
        "categories": [{"id": n, "keypoints": []} for n in range(1, 12_000)]})),
    "endings of names": ("a.json", lambda: text([{"image_id": ".json" * 200_000 + "x", "keypoints": [1, 2, 1] * 17}])),
    "numbers in names": ("a.json", lambda: text(
        [{"image_id": "1a" * 490 + str(n), "keypoints": [1, 2, 1] * 17} for n in range(900)])),
    "another joint in every row": ("a.csv", lambda: b"frame,joint,x,y\n" + b"".join(
        b"%d,j%d,1,2\n" % (n // 2, n) for n in range(60_000))),
    "thousands of columns": ("a.csv", lambda: ",".join(f"a{n}_x" for n in range(140_000)).encode()),
    "colliding frames": ("a.csv", lambda: b"frame,nose_x\n" + b"".join(
        b"%d,1\n" % (n * MERSENNE) for n in range(40_000))),
    "labels": ("a.txt", lambda: b"0 " * 500_000),
    "a crowd": ("a.json", lambda: coco(1000, 2)),
    "a crowd in one place": ("a.json", lambda: coco(1000, 3, lambda rng: [9.0 * (i % 7) + 1 for i in range(51)])),
    "a walking crowd": ("a.json", lambda: walkers(1000, 4)),
    "more people than fit": ("a.json", lambda: coco(4000, 2, lambda rng: [5, 6, 1] * 17)),
}  # fmt: skip
CROWDS = {
    "1,000 people in 100 frames": ("a.json", lambda: coco(1000, 100)),
    "1,000 people walk for 100 frames": ("a.json", lambda: walkers(1000, 100)),
}


def chain(joints, frames=1):
    names = "".join(f"JOINT j{n}\n{{\nOFFSET 0 0 1\n" for n in range(joints))
    head = f"HIERARCHY\nROOT r\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n{names}" + "}\n" * (joints + 1)
    return (head + f"MOTION\nFrames: {frames}\nFrame Time: 0.1\n" + "0\n" * frames).encode()


def asf(bones):
    described = "".join(f"begin\nname b{n}\ndirection 1 0 0\nlength 1\naxis 0 0 0 XYZ\nend\n" for n in range(bones))
    tree = "".join(f"{f'b{n - 1}' if n else 'root'} b{n}\n" for n in range(bones))
    return f":units\nangle deg\n:root\norder TX\n:bonedata\n{described}:hierarchy\nbegin\n{tree}end\n".encode()


def amc(frames):
    return b":FULLY-SPECIFIED\n:DEGREES\n" + b"".join(b"%d\nroot 0\n" % n for n in range(1, frames + 1))


MOCAP = {
    "a chain of joints": ("a.bvh", lambda: chain(4900)),
    "more joints than fit": ("a.bvh", lambda: chain(30_000)),
    "frames of joints that do not move": ("a.bvh", lambda: chain(4900, 250_000)),
    "a chain of bones": ("a.amc", lambda: amc(1), asf(4900)),
    "more bones than fit": ("a.amc", lambda: amc(1), asf(15_000)),
    "frames of bones that do not move": ("a.amc", lambda: amc(80_000), asf(4900)),
    "dots in a key": ("a.toml", lambda: b"a." * 400_000 + b"a = 1"),
    "a long list": ("a.toml", lambda: b"a = [" + b"1," * 400_000 + b"]"),
    "points that are not there": ("points.npz", lambda: packed(
        names=npy("<U1", (10**6,), bytes(4 * 10**6)), positions=npy("<f8", (1, 0, 3)), fps=npy("<f8", (), bytes(8)))),
}  # fmt: skip
PREDICTIONS = {
    "a model nested deeply": ("p.json", lambda: b'{"format": "prpose-prediction", "version": 2, "model": '
                              + b'{"a": ' * 100_000 + b"1" + b"}" * 100_001),
    "zeros": ("p.npz", lambda: packed(info=npy("<U1", (10**7,), bytes(4 * 10**7)), frame_numbers=npy("<i8", (0,)))),
}  # fmt: skip


REPORT = {
    "settings": {"dataset": "walkers", "split": "test", "num_samples": 2}, "command": "", "versions": {}, "sha256": {},
    "units": {}, "rows": [], "average": {"name": "all", "frames": 1, "values": {"deterministic": {"P1": 1.0}}},
}  # fmt: skip


def nested(levels, words):
    """A report whose settings are nested, with long names and with many values at the end."""
    settings = {f"{n}": n for n in range(words)}
    for _ in range(levels):
        settings = {"k" * 500: settings}
    return text(REPORT | {"settings": REPORT["settings"] | {"a": settings}})


def keypoints(times):
    body = np.random.default_rng(0).uniform(300, 700, (17, 2)).astype("<f4")
    return packed(
        keypoints_px=npy("<f4", (len(times), 17, 2), np.tile(body, (len(times), 1, 1)).tobytes()),
        times_s=npy("<f8", (len(times),), np.array(times).tobytes()),
        layout=npy("<U6", (), "h36m17".encode("utf-32-le")),
        image_size=npy("<i8", (2,), np.array([1000, 1000]).tobytes()), fps=npy("<f8", (), np.array(30.0).tobytes()),
    )  # fmt: skip


MODEL, SMOOTHED = [], prpose.InferenceConfig(smooth="gaussian", allow_implausible=True)
RESULTS = {
    "settings nested deeply": ("report.json", lambda: nested(500, 60_000)),
    "a person who comes back after months": ("smooth.npz", lambda: keypoints([*np.arange(19) / 30, 1e7])),
    "a person who comes back once in an age": ("smooth.npz", lambda: keypoints(np.arange(2000) * 1e6)),
}


def read(path):
    if path.name == "report.json":
        from prpose.view.report import report_page
        from prpose.view.report_file import read_report

        return report_page({"a": read_report(path)}, ())
    if path.name == "smooth.npz":
        return MODEL[0](prpose.read_keypoints(path), 2, config=SMOOTHED)
    if path.suffix in (".bvh", ".amc") or path.name == "points.npz":
        from prpose.data.mocap.mapping import FORMATS

        return next(reader for ending, reader in FORMATS.values() if ending == path.suffix)(path)
    if path.suffix == ".toml":
        from prpose.data.mocap.mapping import read_mapping

        return read_mapping(path)
    if path.name.startswith("p."):
        from prpose.io.export import read_prediction

        return read_prediction(path)
    return read_people(path, layout="coco17" if path.suffix == ".npy" else None, image_size=(1000, 1000))


def rss_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def measured(path):
    """What reading the file ends in, its seconds, and the growth of the memory, MB, in a fork of this process."""
    receive, send = os.pipe()
    before, start = rss_mb(), time.monotonic()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (40, 40))
        try:
            read(path)
            outcome = "read"
        except ValueError as error:
            outcome = f"error: {error}"
        except BaseException:
            outcome = f"traceback: {traceback.format_exc()}"
        os.write(send, outcome[:4000].encode(errors="replace"))
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    os.close(send)
    outcome = os.read(receive, 4000).decode() or f"killed by {status}"
    os.close(receive)
    seconds = usage.ru_utime + usage.ru_stime
    return {
        "outcome": outcome,
        "seconds": seconds,
        "wall": time.monotonic() - start,
        "MB": usage.ru_maxrss / 1024 - before,
    }


def main(tables):
    if "RESULTS" in tables:  # before memory is measured
        MODEL.append(prpose.load("mgcn-cmu17"))
    for name in tables:
        for what, (file, content, *skeleton) in globals()[name].items():
            with TemporaryDirectory() as folder:
                path = Path(folder) / file
                path.write_bytes(content())
                for data in skeleton:
                    path.with_suffix(".asf").write_bytes(data)
                size = sum(each.stat().st_size for each in Path(folder).iterdir()) / 2**20
                print(json.dumps({"what": f"{name}: {what}", "size": size} | measured(path)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
