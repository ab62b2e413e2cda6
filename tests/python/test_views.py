"""Arrays as notebooks show them."""

import numpy as np
import pytest

from interopinterp import errors
from interopinterp.views import AttentionPatterns, Heatmap


def test_heatmaps_are_tables_that_say_their_numbers():
    page = Heatmap([[1.0, -2.0], [0.0, np.nan]], rows=["L0", "<b>\n"], columns=["x", "y"], title="a & b")._repr_html_()
    assert page.count("<td") == 4 and "title='-2'" in page and "rgb(0,0,255)" in page and "rgb(255,127,127)" in page
    assert "a &amp; b (largest 2)" in page and "&lt;b&gt;\\n" in page and "#ddd" in page
    for wrong in (np.zeros(3), np.zeros((3, 500))):
        with pytest.raises(errors.InvalidArgumentError, match=r"A heatmap is \[rows, columns\]"):
            Heatmap(wrong)
    with pytest.raises(errors.InvalidArgumentError, match="1 labels for 2 rows"):
        Heatmap(np.zeros((2, 2)), rows=["only"])


def test_patterns_are_a_map_for_each_head():
    view = AttentionPatterns(np.tril(np.ones((3, 4, 4))), ["a", "b", "c", "d"])
    page = view._repr_html_()
    assert page.count("<table") == 3 and "head 2" in page and repr(view) == "AttentionPatterns(3 heads)"
    with pytest.raises(errors.InvalidArgumentError, match="Pick a row"):
        AttentionPatterns(np.zeros((1, 3, 4, 4)))
