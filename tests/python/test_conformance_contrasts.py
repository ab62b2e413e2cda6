"""Denoising and noising with several corruptions, features as an axis, budgets and partial results, through every door."""

import json

import numpy as np
import pytest

from conftest import close, environment, run, shared
from interopinterp import _safetensors, errors, metrics, ops, patching

TARGETS = [4, 30]
METRIC = metrics.log_prob(TARGETS)


@pytest.fixture
def corruptions(other_tokens):
    return {
        "prompts": other_tokens, "swapped": patching.swap_tokens([(3, 5), (10, 40)]),
        "noise": patching.gaussian_noise(seed=3, pos=[1, 2])}


def corrupted(name, tokens, other_tokens):
    """What a corrupted run reads, and with which hooks."""
    if name == "swapped":
        other = {3: 5, 5: 3, 10: 40, 40: 10}
        return np.array([[other.get(t, t) for t in row] for row in tokens.tolist()]), []
    return (other_tokens, []) if name == "prompts" else (tokens, [("hook_embed", ops.noise(seed=3, pos=[1, 2]))])


def log_prob(logits):
    logits = np.asarray(logits, np.float64)[:, -1]
    return (logits[[0, 1], TARGETS] - np.log(np.exp(logits).sum(-1))).mean()


def test_both_directions_and_several_corruptions_are_one_pass_per_cell(tiny, tokens, other_tokens, corruptions):
    result = patching.contrast(tiny, tokens, corruptions, "attn_head_out_by_pos", [METRIC, metrics.loss()])
    assert result.axes == ("direction", "corruption", "layer", "pos", "head") and result.shape == (2, 3, 2, 7, 2)
    assert result.labels["direction"] == ["denoising", "noising"] and result.labels["corruption"] == list(corruptions)
    clean = log_prob(tiny(tokens))
    for name in corruptions:
        given, hooks = corrupted(name, tokens, other_tokens)
        logits, there = tiny.run_with_cache(tokens)
        with tiny.hooks(fwd_hooks=hooks):
            logits, here = tiny.run_with_cache(given)
        corrupt = log_prob(logits)
        for direction, runs, cache, edits in (("denoising", given, there, hooks), ("noising", tokens, here, [])):
            part = result.select(direction=direction, corruption=name)
            assert part.axes == ("layer", "pos", "head") and part.shape == (2, 7, 2)
            assert abs(part.baseline[0, 0, 0] - (corrupt if direction == "denoising" else clean)) < 2e-5
            for layer, pos, head in [(0, 1, 0), (0, 2, 1), (1, 2, 0), (1, 6, 1)]:
                point = f"blocks.{layer}.attn.hook_z"
                expected = log_prob(tiny.run_with_hooks(runs, fwd_hooks=[*edits, (point, ops.patch(cache, pos=pos, heads=head))]))
                assert abs(part.values[layer, pos, head] - expected) < 2e-5
                assert abs(part.normalized[layer, pos, head] - (expected - corrupt) / (clean - corrupt)) < 1e-3
    assert abs(result.first.clean - clean) < 2e-5


def test_one_direction_one_corruption_and_a_function_measure_the_same(tiny, tokens, other_tokens):
    both = patching.contrast(tiny, tokens, other_tokens, "resid_pre", METRIC)
    assert both.labels["corruption"] == ["corrupted"]
    alone = patching.sweep(tiny, other_tokens, "resid_pre", tokens, METRIC)
    assert close(both.select(direction="denoising", corruption="corrupted").values, alone.values, 1e-5)
    noising = patching.contrast(tiny, tokens, other_tokens, "resid_pre", METRIC, direction="noising")
    assert noising.shape == (1, 1, 2, 7) and close(noising.values[0], both.values[1], 1e-6)
    function = patching.contrast(tiny, tokens, other_tokens, "resid_pre", log_prob)
    assert close(function.values, both.values, 2e-5) and function.per_row is None
    assert close(function.normalized, both.normalized, 1e-3)


def test_noise_is_the_same_in_every_door_and_an_op_of_plans(tiny, tokens):
    with tiny.hooks(fwd_hooks=[("hook_embed", ops.noise(2.0, seed=7, pos=-1))]):
        embedded = np.asarray(tiny.run_with_cache(tokens)[1]["hook_embed"])
    noise = embedded - np.asarray(tiny.W_E)[tokens]
    assert (noise[:, :-1] == 0).all() and not close(noise[0, -1], noise[1, -1], 1e-3)
    spread = 2 * np.asarray(tiny.W_E, np.float64).std()
    assert 0.5 < noise[:, -1].std() / spread < 1.5
    import interopinterp
    from engines import TINY
    here = interopinterp.HookedTransformer(TINY)
    with here.hooks(fwd_hooks=[("hook_embed", ops.noise(2 * np.asarray(tiny.W_E, np.float64).std(), seed=7, absolute=True, pos=-1))]):
        assert close(here.run_with_cache(tokens)[1]["hook_embed"], embedded, 1e-6)


def test_results_with_corruptions_are_shown_and_become_tables(tiny, tokens, corruptions):
    result = patching.contrast(tiny, tokens, corruptions, "attn_out", METRIC)
    records = result.records()
    assert len(records) == 2 * 3 * 2 * 7
    assert records[0]["direction"] == "denoising" and records[-1]["direction"] == "noising" and records[-1]["corruption"] == "noise"
    assert records[17]["log_prob_normalized"] == result.normalized.ravel()[17]
    maps = result.heatmaps()
    assert len(maps) == 6 and "corrupted 0, clean 1" in maps[0].title and "direction noising, corruption noise" in maps[-1].title
    assert result._repr_html_().count("<table") == 6
    assert "direction 2, corruption 3" in repr(result)
    with pytest.raises(errors.NotFoundError, match="noising"):
        result.select(direction="nosing")
    with pytest.raises(errors.NotFoundError, match="corruption"):
        result.select(corrupt="noise")
    with pytest.raises(errors.FailedPreconditionError, match="patching.contrast"):
        patching.sweep(tiny, tokens, "attn_out", "zero", METRIC).normalized


@pytest.fixture
def sae(engine):
    path = shared("fixtures", "dictionaries", "saelens_standard")
    return engine.SAE.load_from_disk(str(path) if engine.transport.has_callbacks else "fixtures/dictionaries/saelens_standard")


@pytest.fixture
def spliced(engine):
    path = shared("fixtures", "dictionaries", "tiny_model")
    return engine.HookedTransformer.from_pretrained_no_processing(
        str(path) if engine.transport.has_callbacks else "fixtures/dictionaries/tiny_model")


@pytest.mark.usefixtures("dictionaries")
def test_features_are_an_axis_and_each_is_saelenss_ablation(spliced, sae):
    tensors, told = golden_of("saelens_standard")
    tokens, feature = tensors["tokens"], told["spliced"]["ablated_feature"]
    target = [int(t) for t in tensors["logits_clean"][:, -1].argmax(-1)]
    metric = metrics.log_prob(target)
    found = patching.sweep(spliced, tokens, (sae, ("feature",)), "zero", metric)
    assert found.axes == ("feature",) and found.labels["feature"] == list(range(sae.cfg.d_sae))
    ablated = tensors["logits_sae_error_term_feature_ablated"].astype(np.float64)[:, -1]
    expected = ablated[np.arange(len(target)), target] - np.log(np.exp(ablated).sum(-1))
    assert close(found.per_row[feature], expected, 1e-4)
    by_pos = patching.sweep(spliced, tokens, (sae, ("feature", "pos")), "zero", metric, only={"feature": [feature, 3], "pos": [0, -1]})
    assert by_pos.shape == (2, 2) and by_pos.labels == {"feature": [feature, 3], "pos": [0, tokens.shape[1] - 1]}
    for at, pos in enumerate([0, -1]):
        logits = spliced.run_with_hooks(tokens, fwd_hooks=[(sae.hook_name, ops.feature(sae, feature, scale=0, pos=pos))])
        last = np.asarray(logits, np.float64)[:, -1]
        assert abs(by_pos.values[0, at] - (last[np.arange(len(target)), target] - np.log(np.exp(last).sum(-1))).mean()) < 2e-5
    other = np.roll(tokens, 1, axis=1)
    cache, patched = spliced.run_with_cache(other)[1], patching.sweep(spliced, tokens, (sae, ("feature",)), other, metric)
    assert close(patching.sweep(spliced, tokens, (sae, ("feature",)), cache, metric).values, patched.values, 1e-5)
    table = patching.contrast(spliced, tokens, other, (sae, ("feature",)), metric)
    assert table.axes == ("direction", "corruption", "feature") and close(table.values[1, 0], patched.values, 1e-5)
    assert table.records()[3]["feature"] == 3 and "layer" not in table.records()[3]
    with spliced.saes(sae, use_error_term=False), pytest.raises(errors.FailedPreconditionError, match="reset_saes"):
        patching.sweep(spliced, tokens, (sae, ("feature",)), "zero", metric)
    with pytest.raises(errors.OutOfRangeError, match=f"feature {sae.cfg.d_sae} is out of range: there are {sae.cfg.d_sae}"):
        patching.sweep(spliced, tokens, (sae, ("feature",)), "zero", metric, only={"feature": sae.cfg.d_sae})


def golden_of(name):
    folder = shared("fixtures", "dictionaries", name)
    return _safetensors.load(folder / "golden.safetensors")[0], json.loads((folder / "golden.json").read_text())


def test_neurons_are_an_axis(tiny, tokens, other_tokens):
    result = patching.sweep(tiny, tokens, ("mlp_post", ("layer", "neuron")), other_tokens, METRIC, only={"neuron": [5, 9]})
    assert result.labels == {"layer": [0, 1], "neuron": [5, 9]}
    logits = tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.1.mlp.hook_post", ops.patch(other_tokens, last=9))])
    assert abs(result.values[1, 1] - log_prob(logits)) < 2e-5


def test_partial_results_come_as_they_are_known(tiny, tokens, other_tokens):
    told = []
    both = {"log_prob": METRIC, "loss": metrics.loss()}
    result = patching.sweep(tiny, tokens, ("resid_pre", ("layer", "pos")), "zero", both, on_partial=told.append, memory_budget=400_000)
    assert result.is_complete and told and not told[0].is_complete and np.isnan(told[0].values).any()
    for one in told:
        known = ~np.isnan(one.values)
        assert one.labels == result.labels and np.array_equal(one.values[known], result.values[known])
        assert np.array_equal(one["loss"].per_row[known], result["loss"].per_row[known]) and one.baseline == result.baseline
    assert not np.isnan(told[-1].values).any()
    known = []
    patching.contrast(tiny, tokens, other_tokens, "attn_out", lambda logits: float(logits[0, -1, 3]), on_partial=known.append)
    assert len(known) > 20 and not np.isnan(known[-1].values).any() and "<table" in known[3]._repr_html_()


def test_a_callback_that_raises_stops_the_sweep(tiny, tokens):
    def stop(result):
        raise ZeroDivisionError("enough")

    with pytest.raises(ZeroDivisionError, match="enough"):
        patching.sweep(tiny, tokens, "resid_pre", "zero", METRIC, on_partial=stop)
    assert np.isfinite(np.asarray(tiny(tokens))).all()


INTERRUPTED = """
import os, signal, sys, threading
import numpy as np
import interopinterp as ii
client = ii.connect(sys.argv[1]) if sys.argv[1:] else ii.local()
model = client.HookedTransformer(dict(n_layers=4, d_model=128, n_ctx=80, d_head=32, d_vocab=100, act_fn="gelu_new", seed=1))
pressed, seen = threading.Event(), []
def press(result):
    # As a person would: until Python hears it.
    seen.append(result)
    os.kill(os.getpid(), signal.SIGINT)
clean, corrupt = np.arange(60)[None] * 7 % 100, np.arange(60)[None] * 11 % 100
try:
    ii.patching.sweep(model, corrupt, "attn_head_pattern_dest_src_pos", clean, ii.metrics.log_prob(3), on_partial=press)
except ii.patching.SweepInterrupted as stop:
    result = stop.result
known = ~np.isnan(result.values)
assert isinstance(stop := ii.patching.SweepInterrupted(result), KeyboardInterrupt) and str(known.sum()) in str(stop)
assert not result.is_complete and result.shape == (4, 4, 60, 60) and 0 < known.sum() < known.size, known.sum()
first = seen[0].values[~np.isnan(seen[0].values)]
assert np.array_equal(result.values[~np.isnan(seen[0].values)], first)
assert np.isfinite(np.asarray(model(clean))).all()
print("known", int(known.sum()), "of", known.size)
"""


def test_ctrl_c_gives_back_what_is_known_in_process():
    assert "known" in run(INTERRUPTED, environment(), timeout=120)


def test_ctrl_c_gives_back_what_is_known_over_grpc(server):
    assert "known" in run(INTERRUPTED, environment(), server.addresses["grpc-tcp"], timeout=120)


@pytest.mark.parametrize("given, error, number", [
    (dict(memory_budget=1000), errors.ResourceExhaustedError, "budget is 1,000"),
    (dict(only={"pos": (7, 9)}), errors.InvalidArgumentError, "no position: 7:9 of 7"),
    (dict(only={"layer": 2}), errors.OutOfRangeError, "layer 2 is out of range: there are 2"),
    (dict(corruptions={}), errors.InvalidArgumentError, "0 corruptions"),
    (dict(corruptions=np.ones((2, 5), int)), errors.InvalidArgumentError, "Row 0 has 7 tokens, that of corruption 'corrupted' 5"),
    (dict(corruptions=np.ones((1, 7), int)), errors.InvalidArgumentError, "1, those of the sweep 2"),
    (dict(corruptions=patching.swap_tokens([(3, 5)])), errors.InvalidArgumentError, "row 1"),
    (dict(corruptions=patching.swap_tokens([(3, 50), (10, 11)])), errors.OutOfRangeError, "50"),
    (dict(corruptions=patching.swap_tokens([(3, 4, 5)])), errors.InvalidArgumentError, "3 tokens"),
    (dict(corruptions=patching.gaussian_noise(pos=7)), errors.OutOfRangeError, "7"),
    (dict(corruptions=patching.gaussian_noise(-2)), errors.InvalidArgumentError, "-2"),
    (dict(corruptions=None), errors.InvalidArgumentError, "NoneType"),
    (dict(direction="up"), errors.NotFoundError, "'up'"),
    (dict(metric=metrics.log_prob(50)), errors.OutOfRangeError, "token 50 is out of range: the vocabulary has 50"),
    (dict(metric=metrics.log_prob(3, position=7)), errors.OutOfRangeError, "7"),
    (dict(metric=metrics.log_prob([3, 4, 5])), errors.InvalidArgumentError, "3 .*2 rows"),
    (dict(grid=("mlp_in", ("layer", "pos"))), errors.FailedPreconditionError, "use_hook_mlp_in"),
    (dict(grid=("z", ("layer", "neuron"))), errors.InvalidArgumentError, "no axis Neuron"),
    (dict(grid=("resid_pre", ("layer", "feature"))), errors.InvalidArgumentError, "no dictionaries"),
])
def test_what_cannot_be_swept_is_refused_with_the_number(tiny, tokens, other_tokens, given, error, number):
    told = {"corruptions": other_tokens, "grid": "resid_pre", "metric": METRIC} | given
    with pytest.raises(error, match=number):
        patching.contrast(tiny, tokens, **told)
