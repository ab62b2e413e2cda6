"""What the process really holds during a sweep with a memory budget."""

import sys

import pytest

from conftest import environment, run

SWEEP = """
import re, sys
import numpy as np
import interopinterp as ii
from interopinterp import errors, metrics, patching
model = ii.HookedTransformer(dict(n_layers=4, d_model=256, n_ctx=128, d_head=32, d_vocab=500, act_fn="gelu_new", seed=1))
clean, corrupt = np.arange(8 * 96).reshape(8, 96) % 500, np.arange(8 * 96).reshape(8, 96) * 7 % 500

def status(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read()).group(1)) * 1024

def sweep(budget):
    return patching.sweep(model, corrupt, "attn_out", clean, metrics.logit_diff(3, 4), memory_budget=budget)

try:
    sweep(1)
except errors.ResourceExhaustedError as error:
    needed = int(re.search(r"about ([\\d,]+) bytes", str(error)).group(1).replace(",", ""))
model(clean)
with open("/proc/self/clear_refs", "w") as peaks:
    peaks.write("5")
before = status("VmRSS")
sweep(needed if sys.argv[1] == "least" else None)
print(needed, status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_sweep_keeps_to_its_memory_budget(capsys):
    (needed, least), (_, free) = (map(int, run(SWEEP, environment(), which, timeout=120).split()) for which in ("least", "free"))
    with capsys.disabled():
        print(f"\nbudget {needed >> 20} MiB: the process grew by {least >> 20} MiB; without a budget by {free >> 20} MiB")
    assert least < needed < free
