import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from prpose.metrics import rank_correlation, ranks


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_rank_correlation_is_scipys(decimals):
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    for noise in (0.1, 1.0, 10.0):
        b = a + noise * rng.normal(size=200)
        x, y = np.round(a, decimals), np.round(b, decimals)  # with and without ties
        assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
        assert ranks(x) + 100.5 == pytest.approx(rankdata(x))


def test_what_never_changes_has_no_rank():
    assert rank_correlation(np.ones(5), np.arange(5.0)) is None
