"""The examples run as they are written."""

import pytest

from conftest import PACKAGE, REPOSITORY, environment, run

EXAMPLES = sorted((PACKAGE / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run_as_written(example):
    if not (REPOSITORY / "src" / "InteropInterp" / "Models" / "Embedded" / "induction").is_dir():
        pytest.skip("this engine comes without the induction model")
    out = run(example.read_text(), environment())
    assert "Attention to the token after the last occurrence: L1H" in out
    with_heads, without = (float(line.rpartition(" ")[2]) for line in out.splitlines()[1:])
    assert with_heads < without - 1


def test_there_is_an_example():
    assert EXAMPLES
