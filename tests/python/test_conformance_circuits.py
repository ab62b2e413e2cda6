"""Circuits found and judged, and the two kinds of experiment, through every door."""

import html
import json

import numpy as np
import pytest

from conftest import close
from interopinterp import _pb as pb
from interopinterp import circuits, errors, metrics, ops, patching

METRIC = metrics.logit_diff([4, 30], [11, 2])
GROUPED = dict(n_layers=2, d_model=16, n_ctx=20, d_head=4, n_heads=4, n_key_value_heads=2, d_vocab=50, act_fn="silu", gated_mlp=True,
               normalization_type="RMS", positional_embedding_type="rotary", rotary_dim=4, seed=2)


@pytest.fixture(scope="module")
def graph(tiny):
    return circuits.ResidualGraph.of(tiny)


def test_the_graph_is_told_with_what_receivers_feed(engine, tiny, graph):
    assert graph.senders == ["input", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "m1"] and graph.receivers[-1] == "logits"
    assert "a0.h1->a1.h0<k>" in graph.edges and len(graph.edges) == sum(graph.reaching)
    for model in (tiny, engine.HookedTransformer(GROUPED)):
        told = model.transport.call(pb.GetResidualGraphRequest(model=model._name))
        of = circuits.ResidualGraph.of(model)
        assert [[told.senders[at] for at in one.values] for one in told.feeds] == [of.feeds(receiver) for receiver in of.receivers]


def test_an_ablated_node_is_a_hook(tiny, tokens, other_tokens, graph):
    """Left out of a circuit is what the same ablation does as a hook at the node."""
    for node, point, heads in [("a0.h1", "blocks.0.attn.hook_z", [1]), ("m1", "blocks.1.hook_mlp_out", None)]:
        circuit = graph.all().without(node)
        assert len(circuit) < sum(graph.reaching) and node not in circuit.nodes
        for ablation, op in [("zero", ops.zero), (patching.mean(other_tokens), ops.mean), (other_tokens, ops.patch),
                             (tiny.run_with_cache(other_tokens)[1], ops.patch)]:
            hook = op(heads=heads) if op is ops.zero else op(other_tokens, heads=heads)
            with tiny.hooks(fwd_hooks=[(point, hook)]):
                expected = np.mean(np.asarray(tiny.measure(tokens, METRIC)))
            found = circuits.evaluate(tiny, circuit, tokens, ablation, METRIC)
            assert abs(found[0].value - expected) < 2e-5, (node, ablation)


def test_what_a_cache_lacks_is_named(tiny, tokens, other_tokens, graph):
    lacking = {"blocks.0.hook_resid_pre": np.zeros((1, 1))}
    with pytest.raises(errors.InterpError) as error:
        circuits.evaluate(tiny, graph.all(), tokens, lacking, METRIC)
    assert error.value.reason == "CACHE_LACKS_ACTIVATION" and "blocks.0.attn.hook_z" in str(error.value)
    with pytest.raises(errors.InterpError) as error:
        patching.sweep(tiny, tokens, "mlp_out", lacking, METRIC)
    assert error.value.reason == "CACHE_LACKS_ACTIVATION" and "blocks.0.hook_mlp_out" in str(error.value)
    with pytest.raises(errors.InterpError) as error:
        circuits.evaluate(tiny, graph.all(), tokens, None, METRIC)
    assert error.value.reason == "CIRCUIT_ABLATION"


def test_all_edges_are_the_model_and_none_nothing(tiny, tokens, other_tokens, graph):
    given = {"all": graph.all(), "none": graph.all().complement(), "heads": graph.of_nodes(["a0.h0", "a1.h1"])}
    found = circuits.evaluate(tiny, given, tokens, other_tokens, METRIC)
    whole = np.mean(np.asarray(tiny.measure(tokens, METRIC)))
    none = np.mean(np.asarray(tiny.measure(other_tokens, METRIC)))
    assert close([found["all"].whole, found["all"].none], [whole, none], 2e-5)
    assert close([found["all"].recovered, found["all"].recovered_outside, found["none"].recovered], [1, 0, 0], 1e-5)
    assert (found["all"].edges, found["none"].edges) == (46, 0)
    assert found["heads"].nodes == 3 and abs(found["heads"].outside - circuits.evaluate(
        tiny, given["heads"].complement(), tokens, other_tokens, METRIC)[0].value) < 1e-5
    inside = circuits.evaluate(tiny, given["heads"], tokens, other_tokens, METRIC, outside=False)
    assert inside[0].outside is None and abs(inside[0].value - found["heads"].value) < 1e-5
    front = found.pareto()
    assert front[0] == "none" and found[front[-1]].recovered == max(one.recovered for one in found.performances)
    records = found.records()
    assert [one["circuit"] for one in records] == list(given) and records[0]["recovered"] == found["all"].recovered
    page = found._repr_html_()
    assert page.count("<circle") == 3 and "heads" in page and "all: " in repr(found)


def test_acdc_leaves_what_the_metric_needs(tiny, tokens, other_tokens, graph):
    metric = metrics.kl_divergence(tiny(tokens))
    found = circuits.acdc(tiny, tokens, other_tokens, metric, 0.002)
    assert 0 < len(found.circuit) < sum(graph.reaching) and found.runs > 0
    judged = circuits.evaluate(tiny, found.circuit, tokens, other_tokens, metric)[0]
    assert abs(abs(judged.value - judged.whole) - found.distance) < 1e-5
    # Each edge that is left costs more than the threshold, on top of what was left out before it.
    kept = found.circuit.scores[found.circuit.mask]
    assert (kept >= 0.002).all()
    assert len(circuits.acdc(tiny, tokens, other_tokens, metric, 1e9).circuit) == 0
    page = found._repr_html_()
    assert page.count("<line") == len(found.circuit) and "logits" in page and html.escape(found.circuit.edges[0]) in page


def test_completeness_and_minimality_are_knockouts(tiny, tokens, other_tokens, graph):
    circuit = graph.of_nodes(["a0.h0", "m0", "a1.h1"])
    sets = [["m0"], ["a0.h0", "a1.h1"]]
    found = circuits.completeness(tiny, circuit, sets, tokens, other_tokens, METRIC)
    for nodes, one in zip(sets, found):
        inside, whole = circuits.evaluate(tiny, [circuit.without(*nodes), graph.all().without(*nodes)], tokens, other_tokens, METRIC)
        assert abs(one.circuit - inside.value) < 1e-5 and abs(one.model - whole.value) < 1e-5
        assert one.nodes == tuple(nodes) and one.incompleteness == abs(one.circuit - one.model)
    changes = circuits.minimality(tiny, circuit, tokens, patching.resample(other_tokens, 3), METRIC)
    assert set(changes) == {"input", "a0.h0", "m0", "a1.h1"} and list(changes.values()) == sorted(changes.values(), reverse=True)
    before, after = circuits.evaluate(tiny, [circuit, circuit.without("m0")], tokens, patching.resample(other_tokens, 3), METRIC)
    assert abs(changes["m0"] - abs(after.value - before.value)) < 1e-5


def test_circuits_are_files_that_the_engine_reads_too(tiny, tokens, other_tokens, graph, tmp_path):
    ranked = patching.attribution_patch_edges(tiny, tokens, other_tokens, METRIC)
    circuit = ranked.circuit(9)
    assert len(circuit) == 9 and set(circuit.edges) == {"->".join(edge) for edge, _ in ranked.top_edges(9)}
    circuit.save(tmp_path / "circuit.json")
    back = circuits.Circuit.load(tiny, tmp_path / "circuit.json")
    assert back == circuit and close(back.scores, circuit.scores, 1e-12) and circuits.Circuit.load(tiny, circuit.to_json()) == circuit
    assert json.loads(circuit.to_json())["edges"][circuit.edges[0]]["in_graph"] is True
    assert graph.of_edges(circuit.edges) == circuit and circuit.edges[0] in circuit and circuit.complement().edges[0] not in circuit
    expected = circuits.evaluate(tiny, circuit, tokens, other_tokens, METRIC)[0]
    request = pb.EvaluateCircuitsRequest(model=tiny._name)
    for row in tokens.tolist():
        request.task.prompts.rows.add(tokens=row)
    for row in other_tokens.tolist():
        request.task.corrupt.rows.add(tokens=row)
    request.task.metric.logit_diff.correct.extend([4, 30])
    request.task.metric.logit_diff.incorrect.extend([11, 2])
    request.circuits.add(json=circuit.to_json())
    request.circuits.add(edges=pb.EdgeNames(edges=circuit.edges))
    found = tiny.transport.call(request).circuits
    assert [one.edges for one in found] == [9, 9] and all(abs(one.value - expected.value) < 1e-5 for one in found)
    assert circuit.records()[0].keys() == {"sender", "receiver", "score"}


def test_experiments_explore_and_confirm(tiny, tokens, other_tokens):
    found = patching.explore(tiny, tokens, other_tokens, "attn_head_out_all_pos", METRIC)
    both = patching.contrast(tiny, tokens, other_tokens, "attn_head_out_all_pos", METRIC)
    assert close(found.restored, both.normalized[0, 0], 1e-6) and close(found.lost, 1 - both.normalized[1, 0], 1e-6)
    assert found.records()[1]["head"] == 1 and found.records()[1]["lost"] == found.lost[0, 1]
    assert "restored alone" in found._repr_html_() and "lost without" in found._repr_html_()
    ranked = patching.attribution_patch_edges(tiny, tokens, other_tokens, METRIC)
    curve = circuits.confirm(tiny, tokens, other_tokens, {str(n): ranked.circuit(n) for n in (0, 5, 20)}, METRIC)
    assert [one.edges for one in curve.performances] == [0, 5, 20] and all(one.outside is not None for one in curve.performances)
    with pytest.raises(errors.FailedPreconditionError, match="nothing to restore"):
        circuits.confirm(tiny, tokens, tokens, ranked.circuit(3), METRIC)


def test_long_calls_tell_how_far_they_have_come(tiny, tokens, other_tokens):
    told = []
    request = pb.FindCircuitRequest(model=tiny._name, threshold=0.01)
    for row in tokens.tolist():
        request.task.prompts.rows.add(tokens=row)
    request.task.zero.SetInParent()
    request.task.metric.log_prob.tokens.append(3)
    response = tiny.transport.follow(request, lambda done, total: told.append((done, total)))
    edges = sum(circuits.ResidualGraph.of(tiny).reaching)
    assert response.runs > 0 and told[-1] == (edges, edges) and told == sorted(told) and len(told) > 2
    with pytest.raises(errors.InvalidArgumentError, match="threshold is -1"):
        request.threshold = -1
        tiny.transport.follow(request, lambda done, total: None)


def test_mistakes_with_circuits_are_named(engine, tiny, tokens, other_tokens, graph):
    other = circuits.ResidualGraph.of(engine.HookedTransformer(GROUPED)).all()
    for call, error, match in [
            (lambda: circuits.evaluate(tiny, other, tokens, "zero", METRIC), errors.InvalidArgumentError, "of this model's residual graph"),
            (lambda: circuits.evaluate(tiny, [], tokens, "zero", METRIC), errors.InvalidArgumentError, "at least one circuit"),
            (lambda: circuits.evaluate(tiny, ["a0.h0"], tokens, "zero", METRIC), errors.InvalidArgumentError, "a Circuit is expected"),
            (lambda: circuits.evaluate(tiny, graph.all(), tokens, "mean", METRIC), errors.InterpError, "token"),
            (lambda: circuits.evaluate(tiny, graph.all(), tokens, "zero", lambda logits: 0), errors.InvalidArgumentError, "metric is a function"),
            (lambda: circuits.evaluate(tiny, graph.all(), tokens, other_tokens[:, :5], METRIC), errors.InvalidArgumentError, "5"),
            (lambda: circuits.acdc(tiny, tokens, None, METRIC, 0.1), errors.InvalidArgumentError, "ablation is a NoneType"),
            (lambda: circuits.acdc(tiny, tokens, other_tokens, METRIC, float("nan")), errors.InvalidArgumentError, "threshold"),
            (lambda: circuits.completeness(tiny, graph.all(), [["a7.h0"]], tokens, "zero", METRIC), errors.NotFoundError, "a7.h0"),
            (lambda: graph.of_edges(["m1->m0"]), errors.NotFoundError, "m1->m0"),
            (lambda: graph.of_nodes(["a0.h9"]), errors.NotFoundError, "a0.h1"),
            (lambda: circuits.Circuit.load(tiny, "{}"), errors.InvalidArgumentError, "no circuit"),
            (lambda: circuits.Circuit.load(tiny, other.to_json()), errors.InvalidArgumentError, "n_heads = 4")]:
        with pytest.raises(error, match=match):
            call()
