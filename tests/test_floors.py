"""Imports go down only, and nothing grows beyond its room; see docs/architecture.md."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = (
    {"atomic", "camera", "metrics", "nets", "skeleton", "tables", "unpickle"},
    {"apart", "layouts", "lifter", "placement", "regions", "rng"},
    {"card", "engine"},
    {"data", "keypoints", "noise", "prediction", "remap"},
    {"config", "io", "missing", "plausibility", "sampler", "swaps", "weights"},
    {"one_pass", "onnx"},
    {"evaluation", "hub", "preprocess", "training", "view"},
    {"out_of_distribution", "timing"},
    {"postprocess", "smoothing"},
    {"stream"},
    {"export", "model"},
    {"__init__"},
    {"cli"},
    {"main", "__main__"},
)
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
UPWARDS = {("prpose/prediction.py", "io"), ("prpose/prediction.py", "view")}
"""Methods of a noun that are one call to a higher room, imported inside the method."""
HEAVY = {
    "matplotlib",
    "mediapipe",
    "cdflib",
    "h5py",
    "ezc3d",
    "av",
    "ray",
    "huggingface_hub",
    "rtmlib",
    "ultralytics",
    "rerun",
}


def files():
    yield ROOT / "main.py"
    yield from sorted((ROOT / "prpose").rglob("*.py"))


def room_of(path):
    parts = path.relative_to(ROOT).parts
    return (parts[0] if len(parts) == 1 else parts[1]).removesuffix(".py")


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.module == "prpose":
        return [f"prpose.{alias.name}" for alias in node.names]
    return [node.module]


def test_imports_go_down_or_stay_in_their_room():
    for path in files():
        room, name = room_of(path), str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            assert getattr(node, "level", 0) == 0, f"{name}: relative import"
            for module in imported(node):
                if module.split(".")[0] == "prpose":
                    target = [*module.split("."), "__init__"][1]
                    fine = target == room or FLOOR[target] < FLOOR[room] or (name, target) in UPWARDS
                    assert fine, f"{name} (floor {FLOOR[room]}) imports {module} (floor {FLOOR[target]})"


def test_heavy_libraries_are_imported_where_they_are_used():
    for path in files():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in imported(node):
                    assert name.split(".")[0] not in HEAVY, f"{path} imports {name} at its top"


def test_nets_and_data_do_not_know_each_other():
    for path in files():
        text = path.read_text()
        if room_of(path) == "nets":
            assert not {"prpose.camera", "prpose.skeleton", "prpose.data"} & set(text.split())
        if room_of(path) == "data":
            assert "prpose.nets" not in text
            assert "prpose.lifter" not in text


def test_inference_imports_neither_data_nor_training():
    code = (
        "import sys, prpose, prpose.io.export, prpose.io.overlay, prpose.io.detector;"
        "print(*[name for name in sys.modules if name.startswith(('prpose.data', 'prpose.training', 'prpose.cli'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == []


def test_help_and_import_do_not_load_pytorch():
    code = (
        "import sys, prpose, prpose.cli\n"
        "prpose.cli.guarded(lambda: prpose.cli.run(['--help']))\n"
        "prpose.cli.guarded(lambda: prpose.cli.run(['train', '--help']))\n"
        "print(*sorted({'torch', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)), sep=',')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Predict many 3D poses" in found.stdout
    assert found.stdout.splitlines()[-1] == ""


def test_public_names_are_found_and_others_are_not():
    code = "import prpose; print(all(getattr(prpose, name) is not None for name in prpose.__all__), dir(prpose))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.startswith("True")
    assert "'Model'" in found.stdout
    code = "import prpose; prpose.Modell"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "AttributeError: module 'prpose' has no attribute 'Modell'" in found.stderr


def test_files_functions_and_the_package_stay_small():
    lines = {path: path.read_text().count("\n") for path in files()}
    package = {path: count for path, count in lines.items() if path.name != "main.py"}
    assert len(package) <= 115
    assert sum(package.values()) <= 18_280
    for path, count in lines.items():
        assert count <= 300, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 60, f"{path}: {node.name}"
