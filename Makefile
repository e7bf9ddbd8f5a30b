# Each target makes its own virtual environment if there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DETECT := $(VENV)/.detect
FUZZ := $(VENV)/.fuzz
AXE := $(if $(shell command -v npm),viewer/node_modules/.package-lock.json)

# PyTorch's idle threads spin by default; on a shared machine that slows everything down.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test test-browser test-all bench check format viewer
demo: $(READY)
	$(BIN)/python examples/demo.py

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

bench: $(READY)
	$(BIN)/python -m studies.rates
	$(BIN)/python -m studies.speed
	$(BIN)/python -m studies.peers

# Needs Chromium; axe-core, which checks accessibility, comes with the sources of the viewer.
test-browser: $(READY) $(AXE)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m browser

test-all: $(READY) $(DETECT) $(FUZZ) $(AXE)
	$(BIN)/python -m pytest -m "slow or browser or not slow"

# Builds prpose/view/page.html, which is in the repository, so that users do not need Node.js.
viewer: viewer/node_modules/.package-lock.json
	cd viewer && npm run build

viewer/node_modules/.package-lock.json: viewer/package-lock.json
	@command -v npm > /dev/null || { echo "make viewer needs Node.js 20 or newer with npm; all else works without"; exit 1; }
	cd viewer && npm ci --no-audit --no-fund

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_floors.py

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

# Without what MediaPipe and rtmlib ask for: their OpenCV would be installed over that of the tests. What Rerun asks for
# the extra dev has.
$(DETECT): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps mediapipe certifi flatbuffers \
		rtmlib onnxruntime tqdm protobuf packaging onnx ml_dtypes rerun-sdk
	touch $@

# Atheris has releases for some systems and Python versions only; elsewhere the tests guided by coverage are skipped.
$(FUZZ): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --only-binary :all: atheris \
		|| echo "no release of atheris for this system: no fuzzing guided by coverage"
	touch $@
