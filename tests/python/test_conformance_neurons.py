"""Neurons: where they are large, what they say, what they do, what they know; through every door."""

import numpy as np
import pytest

from conftest import close
from engines import TINY
from interopinterp import metrics, neurons, ops, patching, streams
from interopinterp.errors import InterpError

POST = "blocks.1.mlp.hook_post"
ROWS = (np.arange(30 * 8).reshape(30, 8) * 7 + 3) % 50


@pytest.fixture(scope="module")
def model(engine):
    return engine.HookedTransformer(dict(TINY))


@pytest.fixture(scope="module")
def gathered(model):
    return streams.run(model, ROWS, {POST: [streams.mean(), streams.top(3), streams.sample(240)]})


def test_logit_weights_are_what_a_neuron_writes_unembedded(model):
    direct = np.asarray(model.W_out[1], np.float64)[4] * np.asarray(model.state_dict().get("ln_final.w", 1.0)) @ np.asarray(model.W_U)
    found = neurons.logit_weights(model, 1, [4, 0], k=3)
    assert [one.neuron for one in found] == [4, 0]
    order = np.argsort(direct)
    assert [token for token, _, _ in found[0].promoted] == list(order[::-1][:3])
    assert [token for token, _, _ in found[0].suppressed] == list(order[:3])
    assert abs(found[0].promoted[0][2] - direct.max()) < 1e-5 and len(found[0].records()) == 6


def test_ablation_effects_are_those_of_one_pass_each(model, gathered):
    tokens, metric = ROWS[:4], metrics.log_prob(4)
    table = neurons.ablation_effects(model, tokens, metric, 1, [2, 9], patching.means(gathered))
    mean = np.asarray(gathered[POST]["mean"], np.float32)
    for at, neuron in enumerate((2, 9)):
        logits = np.asarray(model.run_with_hooks(tokens, fwd_hooks=[(POST, ops.set(mean[[neuron]], last=[neuron]))]), np.float64)[:, -1]
        assert abs(table.values[0, at] - (logits[:, 4] - np.log(np.exp(logits).sum(-1))).mean()) < 1e-4
    assert table.axes == ("layer", "neuron") and table.labels["neuron"] == [2, 9]
    assert neurons.ablation_effects(model, tokens, metric, 0).shape == (1, 64)


def test_a_card_shows_where_a_neuron_is_large(model, gathered):
    card = neurons.card(model, gathered, layer=1, neuron=5, k=2)
    values = np.sort(np.asarray(model.run_with_cache(ROWS)[1][POST])[..., 5].reshape(-1))[::-1][:3]
    assert close([one.value for one in card.examples], values, 1e-5)
    shown = card._repr_html_()
    assert shown.count("<mark>") == 3 and "blocks.1.mlp.hook_post 5" in shown and "«" in str(card)
    with pytest.raises(InterpError):
        neurons.card(model, gathered)


def test_sparse_probes_find_the_neurons_that_tell(model, gathered):
    # The label is made of two neurons, one of them by far the more telling.
    samples = np.asarray(gathered[POST]["samples"])
    label = samples[:, 11] > np.median(samples[:, 11])
    for selection in ("mean_difference", "l1"):
        one, four = neurons.sparse_probes(gathered[POST], label, sizes=(1, 4), selection=selection, C=1e4)
        assert one.neurons == [11] and one.test["accuracy"] > 0.9 and len(four.neurons) <= 4
        scores = samples[:, one.neurons] @ np.asarray(one.weights) + one.bias
        accuracy = ((scores > 0) == label).mean()
        assert min(one.train["accuracy"], one.test["accuracy"]) - 1e-9 <= accuracy <= max(one.train["accuracy"], one.test["accuracy"]) + 1e-9
    with pytest.raises(InterpError) as error:
        neurons.sparse_probes(gathered[POST], label[1:])
    assert error.value.reason == "PROBE_SHAPE"
