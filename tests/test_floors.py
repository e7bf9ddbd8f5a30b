"""Imports go down only; see docs/architecture.md."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = [
    {
        *("atomic", "camera", "clouds", "imports", "metrics", "nets", "processes", "ranks"),
        *("seeds", "skeleton", "smooth", "tables", "toml"),
    },
    {
        *("aggregate", "layouts", "lifter", "noise", "noise_in_time", "placement"),
        *("prediction", "regions", "unpickle"),
    },
    {"config", "sampler", "data", "remap"},
    {"evaluation", "training", "weights", "keypoints", "plausibility"},
    {"preprocess", "hub", "view"},
    {"summary", "timing", "io"},
    {"stream"},
    {"model"},
    {"__init__", "bench"},
    {"cli"},
    {"main", "__main__"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {"matplotlib", "onnx", "onnxruntime", "mediapipe", "cdflib", "h5py", "scipy", "ezc3d", "av"}


def files():
    yield ROOT / "main.py"
    yield from sorted((ROOT / "prpose").rglob("*.py"))


def room_of(path):
    parts = path.relative_to(ROOT).parts
    return parts[0].removesuffix(".py") if len(parts) == 1 else parts[1].removesuffix(".py")


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.module == "prpose":
        return [f"prpose.{alias.name}" for alias in node.names]
    return [node.module]


def test_every_import_goes_down_or_stays_in_its_room():
    for path in files():
        room = room_of(path)
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            assert getattr(node, "level", 0) == 0, f"{path}: relative import"
            for name in imported(node):
                if name.split(".")[0] != "prpose":
                    continue
                target = [*name.split("."), "__init__"][1]
                fine = target == room or FLOOR[target] < FLOOR[room]
                assert fine, f"{path} (floor {FLOOR[room]}) imports {name} (floor {FLOOR[target]})"


def test_heavy_libraries_are_imported_where_they_are_used():
    for path in files():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in imported(node):
                    assert name.split(".")[0] not in HEAVY, f"{path} imports {name} at its top"


def test_data_and_nets_keep_to_themselves():
    for path in files():
        text = path.read_text()
        if room_of(path) == "nets":
            assert not {"prpose.camera", "prpose.skeleton"} & set(text.split())
        if room_of(path) == "data":
            assert "prpose.nets" not in text
            assert "prpose.lifter" not in text


def test_files_and_functions_stay_small():
    for path in files():
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 60, f"{path}: {node.name}"
