"""SAELens 6.54's own evaluation, unchanged, over a model of ours."""

import json

import pytest

from conftest import environment, run, shared

EVALUATE = """
import json, sys, warnings
warnings.filterwarnings("ignore")
from pathlib import Path
folder, name = Path(sys.argv[1]), sys.argv[2]
import torch
torch.set_num_threads(1)
import interopinterp
import peer_stubs
from safetensors.torch import load_file
from sae_lens import SAE
from sae_lens.evals import get_eval_everything_config, run_evals
from sae_lens.training.activation_scaler import ActivationScaler

told = json.loads((folder / name / "golden.json").read_text())
batches = list(load_file(folder / name / "golden.safetensors")["tokens"])
model = interopinterp.HookedTransformer.from_pretrained_no_processing(folder / "tiny_model")
assert isinstance(model, torch.nn.Module)

class FixedTokens:
    def __init__(self):
        self.i, self.context_size, self.store_batch_size_prompts = 0, batches[0].shape[1], batches[0].shape[0]
    def get_batch_tokens(self, n=None):
        self.i += 1
        return batches[(self.i - 1) % len(batches)]
    def reset_input_dataset(self):
        self.i = 0

sae = SAE.load_from_disk(str(folder / name))
config = get_eval_everything_config(batch_size_prompts=4, n_eval_reconstruction_batches=3, n_eval_sparsity_variance_batches=3)
for case in told["results"].values():
    metrics, _ = run_evals(sae, FixedTokens(), model, ActivationScaler(scaling_factor=told["scaling_factor"]), config,
                           exclude_special_tokens=case["excluded_token_ids"] or False)
    print(json.dumps(metrics))
"""


@pytest.mark.parametrize("name", ["evals_standard", "evals_hook_z"])
def test_saelens_evaluates_a_model_of_ours_as_it_does_transformerlenss(peers, name):
    folder = shared("fixtures", "dictionaries")
    expected = json.loads((folder / name / "golden.json").read_text())["results"]
    found = [json.loads(line) for line in run(EVALUATE, environment(), str(folder), name, python=peers, timeout=180).splitlines()
             if line.startswith("{")]
    assert len(found) == len(expected) == 2
    for ours, theirs in zip(found, expected.values()):
        assert set(ours) == set(theirs["metrics"])
        for group, values in theirs["metrics"].items():
            for metric, value in values.items():
                assert ours[group][metric] == pytest.approx(value, rel=1e-4, abs=1e-6), (group, metric)
