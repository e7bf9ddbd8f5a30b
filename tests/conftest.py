import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import pytest
import torch

from tests.golden_numbers import GOLDEN, VARIANCE_OF, rule_state


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device: parity on the GPU is not checked here")
    return torch.device(request.param)


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A folder as the release's users have it: dataset/ and ckpt/; the working directory."""
    (tmp_path / "dataset").symlink_to(GOLDEN / "data")
    (tmp_path / "ckpt").mkdir()
    for lifter, variance in VARIANCE_OF.items():
        torch.save(rule_state(lifter, fitted=True), tmp_path / f"ckpt/shhpe_model_{lifter}.pth")
        torch.save(rule_state(variance), tmp_path / f"ckpt/avg_model_{lifter}.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def any_points(monkeypatch):
    """Random points pass for a person, whose legs data sets must have."""
    monkeypatch.setattr("prpose.data.clip.LEG_M", (0.0, float("inf")))


@pytest.fixture
def read_at_once(monkeypatch):
    """Files are not tried in a process of their own first, which takes longer than reading these."""
    for module in ("human36m", "mpi_inf_3dhp"):
        monkeypatch.setattr(f"prpose.data.{module}.try_apart", lambda *_, **__: None)
