"""Sweeps with every source and metric, through every door: equal to one pass per cell."""

import sys
import types

import numpy as np
import pytest

from conftest import close
from interopinterp import errors, metrics, ops, patching

TARGETS, OTHERS = [4, 30], [11, 2]
WEIGHTS = np.array([[1, -1, 0.5], [-2, 3, 1]])


def softmax(logits):
    logits = np.asarray(logits, np.float64)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def measured(name, logits, reference, tokens):
    """A metric per row, from logits [batch, pos, d_vocab]."""
    logits = np.asarray(logits, np.float64)
    last, rows = logits[:, -1], np.arange(len(logits))
    wanted = last[rows, TARGETS]
    if name == "loss":
        chosen = np.take_along_axis(np.log(softmax(logits[:, :-1])), tokens[:, 1:, None], -1)
        return -chosen[..., 0].mean(-1)
    return {
        "logit_diff": wanted - last[rows, OTHERS], "log_prob": np.log(softmax(last)[rows, TARGETS]), "prob": softmax(last)[rows, TARGETS],
        "accuracy": (last.argmax(-1) == TARGETS).astype(float), "rank": (last > wanted[:, None]).sum(-1),
        "weighted": (softmax(last)[:, [7, 3, 9]] * WEIGHTS).sum(-1),
        "kl_divergence": (softmax(reference) * (np.log(softmax(reference)) - np.log(softmax(last)))).sum(-1)}[name]


@pytest.fixture(scope="module")
def every(tiny, other_tokens):
    """All metrics, and the logits that kl_divergence compares with."""
    reference = np.asarray(tiny(other_tokens))[:, -1]
    return reference, {
        "logit_diff": metrics.logit_diff(TARGETS, OTHERS), "log_prob": metrics.log_prob(TARGETS), "loss": metrics.loss(),
        "prob": metrics.prob(TARGETS), "kl_divergence": metrics.kl_divergence(reference), "accuracy": metrics.accuracy(TARGETS),
        "rank": metrics.rank(TARGETS), "weighted": metrics.weighted([7, 3, 9], WEIGHTS, of="prob")}


def test_metrics_as_data_are_what_they_say_of_the_logits(tiny, tokens, every):
    reference, metric = every
    logits = tiny(tokens)
    for name, one in metric.items():
        assert close(tiny.measure(tokens, one), measured(name, logits, reference, tokens), 2e-5), name
    whole = metrics.kl_divergence(tiny(tokens + 1), position=2)
    assert close(tiny.measure(tokens + 1, whole), [0, 0], 1e-6)


def test_several_metrics_share_a_sweep_and_keep_rows_apart(tiny, tokens, other_tokens, every):
    reference, metric = every
    result = patching.sweep(tiny, tokens, ("z", ("layer", "pos", "head")), other_tokens, metric, only={"pos": [1, 5], "head": -1})
    assert result.axes == ("layer", "pos", "head") and result.labels == {"layer": [0, 1], "pos": [1, 5], "head": [1]}
    assert list(result.metrics) == list(metric) and result.shape == (2, 2, 1)
    base = tiny(tokens)
    for name, table in result.metrics.items():
        assert abs(table.baseline - measured(name, base, reference, tokens).mean()) < 2e-5
        for layer in range(2):
            for at, pos in enumerate([1, 5]):
                patch = ops.patch(other_tokens, pos=pos, heads=1)
                logits = tiny.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", patch)])
                expected = measured(name, logits, reference, tokens)
                assert close(table.per_row[layer, at, 0], expected, 2e-5) and abs(table.values[layer, at, 0] - expected.mean()) < 2e-5


@pytest.mark.parametrize("kind", ["cache", "tokens", "zero", "mean", "mean over positions"])
def test_every_source_is_one_pass_per_cell(tiny, tokens, other_tokens, kind):
    cache = tiny.run_with_cache(other_tokens)[1]
    source = {
        "cache": cache, "tokens": other_tokens, "zero": "zero", "mean": patching.mean(other_tokens),
        "mean over positions": patching.mean(other_tokens, over_positions=True)}[kind]
    found = patching.sweep(tiny, tokens, "mlp_out", source, metrics.log_prob(TARGETS))
    for layer in range(2):
        point = f"blocks.{layer}.hook_mlp_out"
        there = np.asarray(cache[point])
        if kind.startswith("mean"):
            there = np.broadcast_to(there.mean((0, 1) if "over" in kind else 0, keepdims=True), there.shape)
        there = np.zeros_like(there) if kind == "zero" else there
        for pos in range(7):
            logits = tiny.run_with_hooks(tokens, fwd_hooks=[(point, ops.set(there[:, pos:pos + 1].copy(), pos=pos))])
            assert close(found.per_row[layer, pos], measured("log_prob", logits, None, tokens), 2e-5)


def test_resampling_draws_rows_and_a_seed_draws_the_same(tiny, tokens, other_tokens):
    reference = np.concatenate([other_tokens, tokens + 20, other_tokens + 30])
    cache, metric = tiny.run_with_cache(reference)[1], metrics.log_prob(TARGETS)
    first, again, other = (patching.sweep(tiny, tokens, "resid_pre", patching.resample(reference, seed), metric) for seed in (1, 1, 2))
    assert np.array_equal(first.per_row, again.per_row) and not np.array_equal(first.per_row, other.per_row)
    # Each row of a cell is what some row of the reference gives there.
    there = np.asarray(cache["blocks.1.hook_resid_pre"])
    for row in range(2):
        choices = [measured("log_prob", tiny.run_with_hooks(
            tokens, fwd_hooks=[("blocks.1.hook_resid_pre", ops.set(np.stack([there[pick, 3:4]] * 2), pos=3))]), None, tokens)[row]
            for pick in range(6)]
        assert np.abs(np.array(choices) - first.per_row[1, 3, row]).min() < 2e-5


def test_a_function_is_a_metric_too_and_knows_no_rows(tiny, tokens, other_tokens):
    def last(logits):
        return float(logits[0, -1, 3])

    result = patching.sweep(tiny, tokens, "attn_head_out_all_pos", other_tokens, last)
    assert list(result.metrics) == ["last"] and result.per_row is None
    logits = tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.0.attn.hook_z", ops.patch(other_tokens, heads=1))])
    assert abs(result.values[0, 1] - float(logits[0, -1, 3])) < 2e-5
    with pytest.raises(errors.FailedPreconditionError, match="last is a function"):
        result.statistics()


def test_statistics_are_of_rows_and_intervals_hold_the_mean(tiny, other_tokens):
    rows = (np.arange(8)[:, None] * 3 + other_tokens[0]) % 50
    result = patching.sweep(tiny, rows, "attn_out", "zero", metrics.log_prob(3))
    told = result.statistics(level=0.9, resamples=500, seed=3)
    assert close(told.mean, result.values, 1e-9) and told.low.shape == result.shape
    assert close(told.standard_error, result.per_row.std(-1, ddof=1) / np.sqrt(8), 1e-9)
    assert (told.low < told.mean).all() and (told.mean < told.high).all()
    # About 1.64 standard errors to each side, a little less for a small sample.
    assert 0.6 < ((told.high - told.low) / (2 * 1.64 * told.standard_error)).mean() < 1.1
    again = result.statistics(level=0.9, resamples=500, seed=3)
    assert np.array_equal(again.low, told.low) and not np.array_equal(result.statistics(level=0.9, resamples=500, seed=4).low, told.low)
    with pytest.raises(errors.InvalidArgumentError, match="level of 2"):
        result.statistics(level=2)


def test_results_are_shown_and_become_tables(tiny, tokens, other_tokens, monkeypatch):
    both = [metrics.log_prob(3), metrics.log_prob(5, position=2), metrics.loss()]
    result = patching.sweep(tiny, tokens, "attn_head_out_by_pos", other_tokens, both, only={"pos": (2, 4)})
    assert list(result.metrics) == ["log_prob_1", "log_prob_2", "loss"] and close(result, result["log_prob_1"].values, 0)
    page = result._repr_html_()
    assert page.count("<table") == 3 * 2 and page.count("<td") == 3 * result.values.size and "layer 1" in page
    assert repr(result) == "SweepResult(z, [layer 2, pos 2, head 2], log_prob_1, log_prob_2, loss)"
    records = result.records()
    assert records[5]["layer"] == 1 and records[5]["pos"] == 2 and records[5]["head"] == 1
    assert records[5]["loss"] == result["loss"].values[1, 0, 1] and records[5]["loss_standard_error"] > 0
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(errors.FailedPreconditionError, match="needs pandas"):
        result.to_dataframe()
    frames = types.SimpleNamespace(from_records=lambda given: ("a table of", given))
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=frames))
    assert result.to_dataframe() == ("a table of", records)
    with pytest.raises(errors.NotFoundError, match="'rank'"):
        result["rank"]


def test_mistakes_in_sweeps_are_named(tiny, tokens, other_tokens):
    metric = metrics.log_prob(3)
    for call, error, match in [
            (lambda: patching.sweep(tiny, tokens, "resid_pra", "zero", metric), errors.NotFoundError, "resid_pre"),
            (lambda: patching.sweep(tiny, tokens, ("zz", ("layer",)), "zero", metric), errors.NotFoundError, "zz"),
            (lambda: patching.sweep(tiny, tokens, ("z", "layer"), "zero", metric), errors.InvalidArgumentError, "activation and its axes"),
            (lambda: patching.sweep(tiny, tokens, "resid_pre", "zero", metric, only={"head": 1}), errors.NotFoundError,
             "axis of this sweep 'head'"),
            (lambda: patching.sweep(tiny, tokens, "resid_pre", None, metric), errors.InvalidArgumentError, "source is a NoneType"),
            (lambda: patching.sweep(tiny, tokens, "resid_pre", "zero", "loss"), errors.InvalidArgumentError, "metric is a str"),
            (lambda: patching.sweep(tiny, tokens, "resid_pre", "zero", []), errors.InvalidArgumentError, "at least one"),
            (lambda: patching.sweep(tiny, tokens, "resid_pre", other_tokens[:, :5], metric), errors.InvalidArgumentError,
             "7 tokens, the source's 5"),
            (lambda: patching.sweep(tiny, tokens, "resid_pre", patching.mean(other_tokens[:, :5]), metric), errors.InvalidArgumentError,
             "5, 7 tokens"),
            (lambda: patching.sweep(tiny, tokens, "resid_pre", "zero", metric, only={"layer": 9}), errors.OutOfRangeError, "9"),
            (lambda: metrics.weighted([1], [1], of="odds"), errors.NotFoundError, "'odds'"),
            (lambda: tiny.measure(tokens, metrics.weighted([1, 2], [1, 2, 3])), errors.InvalidArgumentError, r"\[1, 3\]; \[2, 2\]"),
            (lambda: tiny.measure(tokens, metrics.weighted([1, 1], [1, 2])), errors.InvalidArgumentError, "token 1 twice"),
            (lambda: tiny.measure(tokens, metrics.weighted([1, 50], [1, 2])), errors.OutOfRangeError, "token 50"),
            (lambda: metrics.kl_divergence([1, 2]), errors.InvalidArgumentError, "reference is a list"),
            (lambda: tiny.measure(tokens, metrics.kl_divergence(np.zeros((3, 50)))), errors.InvalidArgumentError, r"\[2, 50\] is expected"),
            (lambda: tiny.gradients(tokens, metrics.rank(3)), errors.InvalidArgumentError, "[Rr]ank.*gradient")]:
        with pytest.raises(error, match=match):
            call()
