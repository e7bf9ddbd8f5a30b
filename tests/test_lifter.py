import pytest

from prpose import build_lifter, build_variance_net


@pytest.mark.parametrize("build", [build_lifter, build_variance_net])
def test_unknown_names_get_the_nearest_and_all(build):
    with pytest.raises(ValueError, match=r"did you mean htnet\? \(known: htnet, mgcn_lw\)"):
        build("htent")


def test_keyword_arguments_reach_the_constructor():
    assert build_lifter("htnet", blocks=1, drop_path=(0.0,)).blocks[0].drop_path.rate == 0
    assert build_lifter("mgcn_lw", hidden=32).gconv_output.W.shape == (1, 32, 3)
