"""What can be read off weights, through every door, against numpy's own arithmetic."""

import numpy as np
import pytest

from conftest import close
from interopinterp import SVDInterpreter, circuits, errors
from interopinterp.utilities import composition_scores


@pytest.fixture(scope="module")
def weights(tiny):
    return {name: np.asarray(getattr(tiny, name), np.float64) for name in "W_E W_U W_Q W_K W_V W_O W_in W_out".split()}


def test_eigenvalues_are_those_of_the_whole_matrix(tiny, weights):
    for circuit in ("OV", "QK"):
        found = circuits.eigenvalues(tiny, circuit)
        assert found.values.shape == (2, 2, 8) and found.positivity.axes == ("layer", "head")
        for layer in range(2):
            for head in range(2):
                w = {name: weights[f"W_{name}"][layer, head] for name in "QKVO"}
                inner = w["V"] @ w["O"] @ weights["W_U"] if circuit == "OV" else w["Q"] @ w["K"].T @ weights["W_E"].T
                expected = np.linalg.eigvals(weights["W_E"] @ inner)
                expected = expected[np.argsort(-np.abs(expected))][:8]
                mine = found.values[layer, head]
                for one in expected:
                    assert np.abs(mine - one).min() < 1e-4 * np.abs(expected).max()
                assert abs(np.asarray(found.positivity)[layer, head] - expected.real.sum() / np.abs(expected).sum()) < 1e-4
        assert len(found.records()) == 32 and found._repr_html_().count("<circle") == 32
        assert repr(found) == f"Eigenvalues({circuit}, 2 layers, 2 heads, 8 each)"
    assert circuits.eigenvalues(tiny).copying.top(1)[0][1] != 0
    with pytest.raises(errors.InvalidArgumentError, match="of QK: see positivity"):
        found.copying


def test_composition_stands_beside_unrelated_heads(tiny):
    for kind, right in (("Q", tiny.QK), ("K", tiny.QK.T), ("V", tiny.OV)):
        found = circuits.composition(tiny, kind, samples=200, seed=4)
        expected = np.asarray(composition_scores(tiny.OV, right))
        expected[1], expected[:, :, 0] = 0, 0
        assert close(found, expected, 1e-5) and close(found, tiny.all_composition_scores(kind), 1e-6)
        # The mean of the squares is 1 / d_model.
        assert abs(found.baseline**2 + found.deviation**2 - 1 / 16) < 0.01 and found.axes == ("layer", "head", "later_layer", "later_head")
        excess = np.asarray(found.excess())
        assert close(excess[0, 0, 1], (expected[0, 0, 1] - found.baseline) / found.deviation, 1e-3) and (excess[1] == 0).all()
        assert "L1H1" in found._repr_html_() and found.heatmaps()[0].values.shape == (4, 4)
    assert found.baseline == circuits.composition(tiny, "V", samples=200, seed=4).baseline


def test_virtual_heads_act_as_one(tiny, tokens, weights):
    found = circuits.virtual_head(tiny, [(0, 1), (1, 0)], tokens)
    expected = np.linalg.multi_dot([weights["W_V"][0, 1], weights["W_O"][0, 1], weights["W_V"][1, 0], weights["W_O"][1, 0]])
    assert close(found.OV.AB, expected, 1e-5) and repr(found) == "VirtualHead(L0H1 -> L1H0)"
    cache = tiny.run_with_cache(tokens)[1]
    assert close(found.pattern, np.asarray(cache["pattern", 1])[:, 0] @ np.asarray(cache["pattern", 0])[:, 1], 1e-5)
    assert circuits.virtual_head(tiny, [(1, 1)]).pattern is None


def test_the_largest_entries_of_a_circuit(tiny, weights):
    ov = weights["W_E"] @ weights["W_V"][1, 0] @ weights["W_O"][1, 0] @ weights["W_U"]
    found = circuits.top_entries(tiny, (1, 0), k=7)
    order = np.argsort(-ov, axis=None)[:7]
    assert [(one["source"], one["out"]) for one in found] == [tuple(np.unravel_index(at, ov.shape)) for at in order]
    assert close([one["value"] for one in found], ov.ravel()[order], 1e-5)
    qk = weights["W_E"] @ weights["W_Q"][0, 1] @ weights["W_K"][0, 1].T @ weights["W_E"].T
    best = circuits.top_entries(tiny, (0, 1), "QK", k=1)[0]
    assert (best["query"], best["key"]) == np.unravel_index(qk.argmax(), qk.shape)
    first = weights["W_V"][0, 0] @ weights["W_O"][0, 0]
    assert abs(circuits.top_entries(tiny, [(0, 0), (1, 0)], k=1)[0]["value"]
               - (weights["W_E"] @ first @ weights["W_V"][1, 0] @ weights["W_O"][1, 0] @ weights["W_U"]).max()) < 1e-5


def test_singular_directions_are_read_as_tokens(tiny, weights):
    reader = SVDInterpreter(tiny)
    for kind, matrix in (("OV", weights["W_V"][1, 1] @ weights["W_O"][1, 1]), ("w_out", weights["W_out"][1]),
                         ("w_in", weights["W_in"][1].T * np.asarray(tiny.state_dict()["blocks.1.ln2.w"], np.float64)
                          if "blocks.1.ln2.w" in tiny.state_dict() else weights["W_in"][1].T)):
        values, directions = np.linalg.svd(matrix, full_matrices=False)[1:]
        found = np.asarray(reader.get_singular_vectors(kind, 1, num_vectors=3, head_index=1 if kind == "OV" else None))
        assert found.shape == (50, 1, 3) and close(np.abs(found[:, 0]), np.abs(directions[:3] @ weights["W_U"]).T, 1e-4), kind
        assert close(reader.get_singular_values(kind, 1, 3, 1), values[:3], 1e-4)
    with pytest.raises(errors.InvalidArgumentError, match="head_index"):
        reader.get_singular_vectors("OV", 0)
    with pytest.raises(errors.NotFoundError, match="vector_type 'w_inn'"):
        reader.get_singular_vectors("w_inn", 0)


def test_bigrams_are_the_direct_path(tiny, weights):
    logits = np.asarray(tiny.unembed(tiny.ln_final(np.asarray(tiny.W_E)[None])), np.float64)[0]
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    found = circuits.bigrams(tiny, [3, 41], top=2)
    assert [(one["token"], one["next"]) for one in found] == [(t, n) for t in (3, 41) for n in np.argsort(-expected[t])[:2]]
    assert close([one["log_prob"] for one in found], [expected[one["token"], one["next"]] for one in found], 1e-5)
    assert len(circuits.bigrams(tiny, top=1)) == 50 and "the first 20 of 50" in circuits.bigrams(tiny, top=1)._repr_html_()
    placed = circuits.bigrams(tiny, 3, top=1, pos=2)[0]
    stream = np.asarray(tiny.W_E)[3] + np.asarray(tiny.W_pos)[2]
    assert placed["next"] == int(np.asarray(tiny.unembed(tiny.ln_final(stream[None, None])))[0, 0].argmax())


def test_skip_trigrams_of_a_head(tiny, weights):
    ov = weights["W_E"] @ weights["W_V"][0, 1] @ weights["W_O"][0, 1] @ weights["W_U"]
    found = circuits.skip_trigrams(tiny, 1, [7], top=3)[0]
    row = ov[7] - ov[7].mean()
    assert found.source == 7 and [token for token, _ in found.outs] == list(np.argsort(-row)[:3])
    assert close([value for _, value in found.outs], np.sort(row)[::-1][:3], 1e-5)
    scores = weights["W_E"] @ weights["W_Q"][0, 1] @ weights["W_K"][0, 1].T @ (weights["W_E"][7] - weights["W_E"].mean(0)) / np.sqrt(8)
    assert [token for token, _ in found.destinations] == list(np.argsort(-scores)[:3])
    strongest = circuits.skip_trigrams(tiny, 1, top=2)
    assert [one.source for one in strongest] == list(np.argsort(-(ov - ov.mean(1, keepdims=True)).max(1))[:2])


def test_terms_of_attention_only_models(engine):
    model = engine.HookedTransformer(dict(n_layers=2, d_model=16, n_ctx=12, d_head=8, d_vocab=20, attn_only=True, seed=3))
    tokens = np.array([[1, 2, 3, 1, 2, 3], [4, 5, 6, 4, 5, 6]])
    found = circuits.term_importance(model, tokens)
    assert found.losses.shape == (3,) and abs(found.losses[-1] - float(model(tokens, return_type="loss"))) < 1e-5
    assert abs(found.marginals.sum() - (np.log(20) - found.losses[-1])) < 1e-9 and found.records()[1]["order"] == 1
    assert "order 2" in found._repr_html_()


def test_mistakes_with_weights_are_named(tiny, tokens):
    for call, error, match in [
            (lambda: circuits.eigenvalues(tiny, "VO"), errors.NotFoundError, "circuit 'VO'"),
            (lambda: circuits.composition(tiny, "X"), errors.NotFoundError, "kind 'X'"),
            (lambda: circuits.composition(tiny, "Q", samples=1), errors.InvalidArgumentError, "1 samples"),
            (lambda: circuits.virtual_head(tiny, [(1, 0), (0, 0)]), errors.InvalidArgumentError, "rising layers"),
            (lambda: circuits.virtual_head(tiny, []), errors.InvalidArgumentError, "at least one head"),
            (lambda: circuits.top_entries(tiny, [(0, 0), (1, 0)], "QK"), errors.InvalidArgumentError, "one head's"),
            (lambda: circuits.top_entries(tiny, (0, 5)), errors.OutOfRangeError, "5"),
            (lambda: circuits.bigrams(tiny, [50]), errors.OutOfRangeError, "50"),
            (lambda: circuits.skip_trigrams(tiny, 4), errors.OutOfRangeError, "4"),
            (lambda: circuits.term_importance(tiny, tokens), errors.FailedPreconditionError, "attention-only"),
            (lambda: SVDInterpreter(tiny).get_singular_vectors("w_in", 2), errors.OutOfRangeError, "2")]:
        with pytest.raises(error, match=match):
            call()
