"""Gradients at hook points, through every door."""

import numpy as np
import pytest

from conftest import golden
from interopinterp import errors, metrics, ops


def test_gradients_are_finite_differences(engine, tiny, tokens):
    model = engine.HookedTransformer({**tiny.cfg.to_dict(), "dtype": "float64"})
    metric = metrics.logit_diff([3, 5], [4, 6])
    names = ["blocks.0.hook_resid_pre", "blocks.1.attn.hook_pattern", "blocks.1.mlp.hook_post"]
    gradients = model.gradients(tokens, metric, names)
    assert list(gradients) == names
    cache = model.run_with_cache(tokens)[1]
    random = np.random.default_rng(0)
    for name in names:
        direction = random.standard_normal(cache[name].shape)
        value = np.asarray(cache[name])
        region = (lambda x: x.swapaxes(1, 2)) if name.endswith("pattern") else (lambda x: x)
        ends = []
        for sign in (1, -1):
            with model.hooks(fwd_hooks=[(name, ops.set(region(value + sign * 1e-4 * direction)))]):
                ends.append(np.mean(np.asarray(model.measure(tokens, metric))))
        assert (ends[0] - ends[1]) / 2e-4 == pytest.approx((np.asarray(gradients[name]) * direction).sum(), rel=1e-4, abs=1e-9), name


def test_gradients_of_the_loss_come_with_the_cache(shakespeare, clean_tokens):
    loss, cache = shakespeare.run_with_cache(clean_tokens, return_type="loss", incl_bwd=True, names_filter=lambda name: "resid" in name)
    plain = shakespeare(clean_tokens, return_type="loss")
    assert float(loss) == pytest.approx(float(plain)) and "blocks.0.hook_resid_pre_grad" in cache and len(cache) == 24
    direct = shakespeare.gradients(clean_tokens, metrics.loss(), "blocks.2.hook_resid_mid")
    assert np.abs(np.asarray(cache["blocks.2.hook_resid_mid_grad"]) - direct["blocks.2.hook_resid_mid"]).max() < 1e-7
    with pytest.raises(errors.InvalidArgumentError, match="return_type='loss'"):
        shakespeare.run_with_cache(clean_tokens, incl_bwd=True)


def test_the_loss_of_rows_of_different_length_weighs_tokens(shakespeare):
    texts = ["ROMEO:\nAy me! sad hours seem long.", "O"]
    name = "blocks.1.hook_resid_pre"
    loss, cache = shakespeare.run_with_cache(texts, return_type="loss", incl_bwd=True, names_filter=name)
    counts, alone = [], []
    for text in texts:
        counts.append(shakespeare.to_tokens(text).shape[1] - 1)
        alone.append(np.asarray(shakespeare.run_with_cache(text, return_type="loss", incl_bwd=True,
                                                           names_filter=name)[1][f"{name}_grad"])[0])
    for row, (count, gradient) in enumerate(zip(counts, alone)):
        found = np.asarray(cache[f"{name}_grad"])[row, :count + 1]
        assert np.abs(found - gradient * count / sum(counts)).max() < 1e-6


def test_backward_hooks_see_and_change_gradients(tiny, tokens, in_process):
    name, seen = "blocks.1.hook_resid_pre", []

    def look(gradient, hook):
        seen.append((hook.name, tuple(gradient.shape)))

    def double(gradient, hook):
        return (gradient * 2,)

    _, plain = tiny.run_with_cache(tokens, return_type="loss", incl_bwd=True)
    with tiny.hooks(bwd_hooks=[(name, look), (name, double)]):
        _, doubled = tiny.run_with_cache(tokens, return_type="loss", incl_bwd=True)
    assert seen == [(name, (2, 7, 16))]
    for below in ("blocks.0.hook_resid_pre_grad", f"{name}_grad"):
        assert np.allclose(doubled[below], 2 * np.asarray(plain[below]), atol=1e-7)
    assert np.allclose(doubled["blocks.1.hook_resid_post_grad"], plain["blocks.1.hook_resid_post_grad"])
    with pytest.warns(errors.InterpWarning, match="before any backward pass"):
        tiny.run_with_hooks(tokens, bwd_hooks=[(name, look)])


def test_ops_edit_gradients_too(tiny, tokens):
    name = "blocks.1.hook_resid_pre"
    plain = tiny.gradients(tokens, metrics.loss(), ["blocks.0.hook_resid_pre", name])
    with tiny.hooks(bwd_hooks=[(name, ops.scale(3.0))]):
        scaled = tiny.gradients(tokens, metrics.loss(), ["blocks.0.hook_resid_pre", name])
    assert all(np.allclose(scaled[key], 3 * np.asarray(plain[key]), atol=1e-6) for key in plain)


def test_given_cotangents_are_carried_back(tiny, tokens):
    cotangent = np.random.default_rng(1).standard_normal((2, 7, 16)).astype(np.float32)
    found = tiny.gradients(tokens, None, "blocks.1.hook_resid_post", cotangents={"blocks.1.hook_resid_post": cotangent})
    assert np.array_equal(np.asarray(found["blocks.1.hook_resid_post"]), cotangent)
    with pytest.raises(errors.InvalidArgumentError, match="needs a metric, or cotangents"):
        tiny.gradients(tokens, None, "hook_embed")
    with pytest.raises(errors.InvalidArgumentError, match="import torch"):
        tiny.gradients(tokens, lambda logits: logits.sum(), "hook_embed")


def test_declared_metrics_are_those_of_the_logits(shakespeare, clean_tokens):
    _, values = golden("patching")
    answer, wrong = values["metric"]["answer_id"], values["metric"]["wrong_id"]
    logits = np.asarray(shakespeare(clean_tokens), np.float64)[0]
    assert float(shakespeare.measure(clean_tokens, metrics.logit_diff(answer, wrong))[0]) == pytest.approx(values["metric"]["clean"],
                                                                                                           abs=1e-4)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    assert float(shakespeare.measure(clean_tokens, metrics.log_prob("PETRUCHIO", position=3))[0]) == pytest.approx(log_probs[3, answer],
                                                                                                                   abs=1e-4)
    assert float(shakespeare.measure(clean_tokens, metrics.loss())[0]) == pytest.approx(golden("forward")[1]["loss"], abs=1e-5)
