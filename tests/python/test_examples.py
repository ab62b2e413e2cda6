"""The examples run as they are written."""

import re

from conftest import PACKAGE, environment, run


def test_first_look_runs_as_written():
    example = (PACKAGE / "examples" / "first_look.py").read_text()
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 10, "the README shows it as ten lines"
    told, heads, _, *table = run(example, environment()).splitlines()
    assert told == "'m7xq2kzb, m7xq' goes on with '2'" and heads == f"Layer 1's heads look at {['2'] * 4}"
    differences = [float(number) for number in re.findall(r"-?\d+\.\d*", " ".join(table))]
    assert len(differences) == 8 and min(differences) < -5 < max(differences), "one head restores more than another"
