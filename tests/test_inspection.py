import numpy as np
import pytest
from scipy.stats import spearmanr

from prpose.data import load_clips
from prpose.data.clip import confidence_rank_correlation, count, detector_errors
from prpose.skeleton import H36M_17
from tests.golden_numbers import GOLDEN


@pytest.fixture(scope="module")
def clips():
    return load_clips("walkers", ".", "test", stride=5)


def test_counts_by_hand(clips):
    counts = count(clips)
    assert len(counts) == 3 * 7
    assert counts["W15", "sit"] == (4, 4 * 48)
    golden = count(load_clips("h36m", GOLDEN / "data", "test"))
    assert sum(frames for _, frames in golden.values()) == 1000
    assert ("S9", "Walking") in golden


def test_errors_of_the_detector(clips):
    truth = load_clips("walkers", ".", "test", "gt", stride=5)
    rows = detector_errors(clips)
    assert [row.joint for row in rows] == [*H36M_17.names, "all"]
    pairs = zip(clips, truth, strict=True)
    error = np.concatenate([np.linalg.norm(a.keypoints_px - b.keypoints_px, axis=-1) for a, b in pairs])
    hidden = np.concatenate([clip.hidden for clip in clips])
    wrist = rows[H36M_17.index("left_wrist")]
    assert wrist.visible == pytest.approx(np.percentile(error[~hidden[:, 13], 13], [50, 90, 99]), 1e-3)
    assert wrist.hidden == pytest.approx(np.percentile(error[hidden[:, 13], 13], [50, 90, 99]), 1e-3)
    assert rows[-1].mean == pytest.approx(error.mean(), 1e-3)
    assert rows[-1].hidden_share == pytest.approx(hidden.mean())
    confidence = np.concatenate([clip.confidence for clip in clips])
    expected = spearmanr(error.ravel(), confidence.ravel()).statistic
    assert confidence_rank_correlation(clips) == pytest.approx(expected, abs=1e-3)
    for row in rows:  # hidden joints are worse, each of them
        assert row.hidden is None or row.hidden[0] > 1.5 * row.visible[0]
    assert max(row.mean for row in detector_errors(truth)) < 1e-2
    assert confidence_rank_correlation(truth) is None


def test_no_errors_without_cameras_or_occlusion():
    assert detector_errors(load_clips("3dhp", GOLDEN / "data", "test")) == []
    assert detector_errors([]) == []
