"""The examples run as they are written."""

import pytest

from conftest import PACKAGE, environment, run

EXAMPLES = sorted((PACKAGE / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run_as_written(example):
    out = run(example.read_text(), environment())
    assert out.startswith("Head L") and "without that head" in out


def test_there_is_an_example():
    assert EXAMPLES
