"""The examples run as they are written."""

import re

from conftest import PACKAGE, environment, run, shared


def test_first_look_runs_as_written():
    example = (PACKAGE / "examples" / "first_look.py").read_text()
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 10, "the README shows it as ten lines"
    told, heads, _, *table = run(example, environment()).splitlines()
    assert told == "'m7xq2kzb, m7xq' goes on with '2'" and heads == f"Layer 1's heads look at {['2'] * 4}"
    differences = [float(number) for number in re.findall(r"-?\d+\.\d*", " ".join(table))]
    assert len(differences) == 8 and min(differences) < -5 < max(differences), "one head restores more than another"


def test_ioi_circuit_runs_as_written_and_its_parts_hang_together():
    model = shared("models", "09_smollm2_135m", "SmolLM2-135M-Instruct.Q4_1.gguf")
    told = run((PACKAGE / "examples" / "ioi_circuit.py").read_text(), environment(), str(model), "4", timeout=600).splitlines()
    solved, attributed, alone, logits, queries, *sizes = told
    difference = float(re.search(r"logit difference (-?[\d.]+)", solved).group(1))
    assert difference > 0 and abs(float(re.search(r"(-?[\d.]+) in all", attributed).group(1)) - difference) < 0.02
    assert logits.startswith("By its direct path") and queries.startswith("Into their queries")
    assert len(sizes) == 5 and all(re.search(r"-?\d+% of the difference", line) for line in sizes)
