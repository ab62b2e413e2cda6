"""SAELens 6.54's own evaluation, unchanged, over a model of ours."""

import json

import pytest

from conftest import environment, run, shared

EVALUATE = """
import json, sys, warnings
warnings.filterwarnings("ignore")
from pathlib import Path
folder = Path(sys.argv[1])
import torch
torch.set_num_threads(1)
import interopinterp
import peer_stubs
from safetensors.torch import load_file
from sae_lens import SAE
from sae_lens.evals import get_eval_everything_config, run_evals
from sae_lens.training.activation_scaler import ActivationScaler

model = interopinterp.HookedTransformer.from_pretrained_no_processing(folder / "tiny_model")
assert isinstance(model, torch.nn.Module)

class FixedTokens:
    def __init__(self, batches):
        self.batches = batches
        self.i, self.context_size, self.store_batch_size_prompts = 0, batches[0].shape[1], batches[0].shape[0]
    def get_batch_tokens(self, n=None):
        self.i += 1
        return self.batches[(self.i - 1) % len(self.batches)]
    def reset_input_dataset(self):
        self.i = 0

config = get_eval_everything_config(batch_size_prompts=4, n_eval_reconstruction_batches=3, n_eval_sparsity_variance_batches=3)
for name in sys.argv[2:]:
    told = json.loads((folder / name / "golden.json").read_text())
    batches = list(load_file(folder / name / "golden.safetensors")["tokens"])
    sae = SAE.load_from_disk(str(folder / name))
    scaler = ActivationScaler(scaling_factor=told["scaling_factor"])
    for case in told["results"].values():
        excluded = case["excluded_token_ids"] or False
        metrics, _ = run_evals(sae, FixedTokens(batches), model, scaler, config, exclude_special_tokens=excluded)
        print(json.dumps(metrics))
"""
NAMES = ["evals_standard", "evals_hook_z"]


@pytest.fixture(scope="module")
def evaluated(peers):
    """What SAELens finds: of each name its cases. Importing it takes longest, so it is one process."""
    folder = shared("fixtures", "dictionaries")
    told = [json.loads(line) for line in run(EVALUATE, environment(), str(folder), *NAMES, python=peers, timeout=240).splitlines()
            if line.startswith("{")]
    return dict(zip(NAMES, (told[:2], told[2:])))


@pytest.mark.parametrize("name", NAMES)
def test_saelens_evaluates_a_model_of_ours_as_it_does_transformerlenss(evaluated, name):
    expected = json.loads(shared("fixtures", "dictionaries", name, "golden.json").read_text())["results"]
    assert len(evaluated[name]) == len(expected) == 2
    for ours, theirs in zip(evaluated[name], expected.values()):
        assert set(ours) == set(theirs["metrics"])
        for group, values in theirs["metrics"].items():
            for metric, value in values.items():
                assert ours[group][metric] == pytest.approx(value, rel=1e-4, abs=1e-6), (group, metric)
