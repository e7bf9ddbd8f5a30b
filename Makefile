# Each target makes its own virtual environment if there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DETECT := $(VENV)/.detect
DOCS := $(VENV)/.docs
FUZZ := $(VENV)/.fuzz
AXE := $(if $(shell command -v npm),viewer/node_modules/.package-lock.json)

# PyTorch's idle threads spin by default; on a shared machine that slows everything down.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo docs test test-browser test-all test-lowest bench check format viewer audit licences dist
demo: $(READY)
	$(BIN)/python examples/demo.py

# Writes site/, which is read without a network: open site/index.html.
docs: $(DOCS)
	$(BIN)/python docs/build.py

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

bench: $(READY)
	$(BIN)/python -m studies.rates
	$(BIN)/python -m studies.speed
	$(BIN)/python -m studies.peers

# Needs Chromium; axe-core, which checks accessibility, comes with the sources of the viewer.
test-browser: $(READY) $(AXE)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m browser

test-all: $(READY) $(DETECT) $(DOCS) $(FUZZ) $(AXE)
	$(BIN)/python -m pytest -m "slow or browser or not slow"

# Builds prpose/view/page.html, which is in the repository, so that users do not need Node.js.
viewer: viewer/node_modules/.package-lock.json
	cd viewer && npm run build

viewer/node_modules/.package-lock.json: viewer/package-lock.json
	@command -v npm > /dev/null || { echo "make viewer needs Node.js 20 or newer with npm; all else works without"; exit 1; }
	cd viewer && npm ci --no-audit --no-fund

# The lowest versions that pyproject.toml admits, of PyTorch the one that is tested. The licences are those of other versions,
# and newer releases of pyparsing warn of how Matplotlib 3.8 calls them.
TORCH ?= 2.13.0
test-lowest: $(READY)
	$(BIN)/python -m studies.dependencies lowest | sed "s/^torch==.*/torch==$(TORCH)/" > $(VENV)/lowest.txt
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/pip install --quiet --constraint $(VENV)/lowest.txt --editable ".[dev]" "pyparsing<3.3"
	OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python -m pytest --ignore tests/test_licences.py

# Asks a service on the network for known vulnerabilities of the pinned versions.
AUDIT ?= https://api.osv.dev
audit:
	@$(PYTHON) -c "from urllib.request import urlopen; urlopen('$(AUDIT)/v1/vulns/PYSEC-2019-41', timeout=20)" 2> /dev/null \
		|| { echo "make audit: cannot reach $(AUDIT), so NOTHING was audited"; exit 1; }
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet pip-audit
	$(VENV)-audit/bin/pip-audit --strict --vulnerability-service osv --no-deps --disable-pip --requirement constraints.txt

licences: $(READY)
	$(PYTHON) -m venv $(VENV)-extras
	$(VENV)-extras/bin/pip install --quiet --constraint constraints.txt ".[$$($(BIN)/python -m studies.dependencies extras)]"
	$(VENV)-extras/bin/python -m studies.dependencies licences > $(VENV)/licences.md
	mv $(VENV)/licences.md docs/licences.md

# Builds the wheel and the sdist, the same bytes everywhere, and tries both: the wheel in an empty environment and folder,
# the sdist by its own tests.
dist: $(READY)
	$(BIN)/python -m pytest -m slow tests/test_dist.py
	$(BIN)/python -m hatchling build --clean --directory dist
	set -e; empty=$$(mktemp -d); trap 'rm -rf "$$empty"' EXIT; \
	tar -xzf dist/*.tar.gz -C "$$empty" --strip-components=1 --one-top-level=sdist; \
	$(PYTHON) -m venv "$$empty/venv"; "$$empty/venv/bin/pip" install --quiet --constraint constraints.txt dist/*.whl; \
	cd "$$empty"; venv/bin/prpose predict sdist/examples/walk_openpose --image-size 1000 1002 --fps 30 --out walk.trc -n 20; \
	test -s walk.trc; cd sdist; OMP_NUM_THREADS=1 $(abspath $(BIN))/python -m pytest -n 2 --dist loadfile

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
	$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	touch $@

$(DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[docs]"
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
