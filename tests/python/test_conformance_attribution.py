"""Attribution patching of nodes and edges, and path patching, through every door."""

import numpy as np
import pytest

from conftest import close, golden
from interopinterp import errors, metrics, ops, patching

METRIC = metrics.logit_diff([4, 30], [11, 2])


@pytest.fixture(scope="module")
def difference(shakespeare):
    """The golden's prompts and metric, which is 0 on the corrupted prompt and 1 on the clean one."""
    tensors, values = golden("attribution")
    span = values["metric"]["clean_logit_diff"] - values["metric"]["corrupted_logit_diff"]
    told = golden("patching")[1]["metric"]
    return tensors, tensors["clean_tokens"], tensors["corrupted_tokens"], metrics.logit_diff(told["answer_id"], told["wrong_id"]), span


def test_attributions_of_nodes_are_transformerlenss(shakespeare, difference):
    tensors, clean, corrupt, metric, span = difference
    names = ["z", "q", "k", "v", "pattern", "mlp_out", "mlp_post", "resid_pre", "resid_mid"]
    found = patching.attribution_patch(shakespeare, clean, corrupt, metric, names)
    for name, expected in [("z", "head_out"), ("q", "head_q"), ("k", "head_k"), ("v", "head_v"), ("pattern", "head_pattern"),
                           ("mlp_out", "mlp_out")]:
        assert close(np.asarray(found[name]) / span, tensors[expected]), name
    assert found["z"].axes == ("layer", "pos", "head") and found["pattern"].axes == ("layer", "head", "pos", "src_pos")
    assert close(np.asarray(found["mlp_post"])[3].sum(0) / span, tensors["neurons_last_layer"])
    streams = np.stack([found["resid_pre"], found["resid_mid"]], 1).reshape(8, -1)
    assert close(streams / span, tensors["resid"][:8])


def test_directions_are_the_difference_times_the_gradient(tiny, tokens, other_tokens):
    both = patching.attribution_patch(tiny, tokens, other_tokens, METRIC, direction="both")
    assert list(both.denoising) == list(both.noising) == ["resid_pre", "attn_out", "mlp_out", "z"]
    for here, there, found in ((other_tokens, tokens, both.denoising), (tokens, other_tokens, both.noising)):
        point = "blocks.1.attn.hook_z"
        values = [np.asarray(tiny.run_with_cache(given, names_filter=point)[1][point]) for given in (there, here)]
        gradient = np.asarray(tiny.gradients(here, METRIC, point)[point])
        assert close(np.asarray(found["z"])[1], ((values[0] - values[1]) * gradient).sum((0, -1)), 2e-5)
    noising = patching.attribution_patch(tiny, tokens, other_tokens, METRIC, "z", direction="noising")
    assert not noising.denoising and close(noising["z"], both.noising["z"], 1e-6)
    fixed = patching.attribution_patch(tiny, tokens, other_tokens, METRIC, ["q", "v"], fix_qk=True)
    plain = patching.attribution_patch(tiny, tokens, other_tokens, METRIC, ["q", "v"])
    assert close(fixed["v"], plain["v"], 1e-6) and not close(fixed["q"], plain["q"], 1e-6)
    assert (np.asarray(patching.attribution_patch(tiny, tokens, other_tokens, METRIC, "z", drop_gradients=True)["z"]) >= 0).all()


def test_edges_of_a_sender_sum_to_its_node(tiny, tokens, other_tokens):
    edges = patching.attribution_patch_edges(tiny, tokens, other_tokens, METRIC, direction="denoising")
    nodes = patching.attribution_patch(tiny, tokens, other_tokens, METRIC, ["z", "mlp_out", "resid_pre"])
    assert edges.senders == ["input", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "m1"] and edges.receivers[-1] == "logits"
    assert edges.scores.shape == (7, len(edges.receivers)) and len(edges.edge_scores) == sum(edges.reaching)
    # A head's path within its own layer and the later ones is all that its output does; likewise for MLPs and the embedding.
    for sender, expected in [("a0.h1", np.asarray(nodes["z"])[0, :, 1]), ("m1", np.asarray(nodes["mlp_out"])[1]),
                             ("input", np.asarray(nodes["resid_pre"])[0])]:
        assert abs(edges.scores[edges.senders.index(sender)].sum() - expected.sum()) < 1e-4, sender
    strongest, score = edges.top_edges(1)[0]
    assert abs(score) == np.abs(edges.scores).max() and edges["->".join(strongest)] == score
    assert edges.scores[edges.senders.index("m1"), edges.receivers.index("m0")] == 0
    close_to_all = [patching.attribution_patch_edges(tiny, tokens, other_tokens, METRIC, method=name, steps=32).scores[0].sum()
                    for name in ("ig_inputs", "ig_activations")]
    # Averaged along the embedding's way, the embedding's edges add up to what the metric changes by in all.
    change = np.mean(np.asarray(tiny.measure(other_tokens, METRIC)) - np.asarray(tiny.measure(tokens, METRIC)))
    assert all(abs(total - change) < 0.02 * max(1, abs(change)) for total in close_to_all)


def test_attributions_are_shown_and_become_tables(tiny, tokens, other_tokens):
    found = patching.attribution_patch(tiny, tokens, other_tokens, METRIC, ["z", "mlp_post"])
    place, value = found["z"].top(1)[0]
    assert value == np.asarray(found["z"])[place] and abs(value) == np.abs(found["z"]).max()
    records = found["z"].records()
    assert len(records) == np.asarray(found["z"]).size and list(records[-1].values())[:3] == [1, 6, 1]
    assert found["z"]._repr_html_().count("<table") == 2 and found._repr_html_().count("<table") == 4
    assert repr(found["z"]) == "Attribution(z, [layer 2, pos 7, head 2])"
    edges = patching.attribution_patch_edges(tiny, tokens, other_tokens, METRIC)
    assert "logits" in edges._repr_html_() and repr(edges).startswith("EdgeAttributions(7 senders, ")
    assert edges.records()[0] == {"sender": "input", "receiver": "a0.h0<q>", "score": edges["input->a0.h0<q>"]}


def test_paths_are_transformerlenss(shakespeare, difference):
    tensors, clean, corrupt, metric, _ = difference
    receivers = [f"a{layer}.h{head}<{kind}>" for layer in range(4) for head in range(4) for kind in "qkv"] + ["logits"]
    found = patching.path_patch(shakespeare, clean, corrupt, None, receivers, metric)
    assert found.axes == ("sender", "receiver") and found.labels["receiver"][1] == "a0.h0<k>" and found.labels["sender"][5] == "a1.h1"
    values = np.where(found.has_path, found.values, 0)
    assert close(values[:, :-1].reshape(4, 4, 4, 4, 3), tensors["path/all"])
    assert close(values[:, -1].reshape(4, 4), tensors["path/to_logits"])


def test_direct_paths_are_the_linear_change_of_what_later_heads_read(tiny, tokens, other_tokens):
    clean, cache = tiny.run_with_cache(other_tokens)[1], tiny.run_with_cache(tokens)[1]
    point = "blocks.0.attn.hook_z"
    for component in "qkv":
        found = np.asarray(patching.get_act_patch_direct_path(tiny, tokens, clean, cache, METRIC, 0, 1, component))
        assert found.shape == (2, 2) and (found[0] == 0).all()
        written = (np.asarray(clean[point])[:, :, 1] - np.asarray(cache[point])[:, :, 1]) @ np.asarray(tiny.W_O)[0, 1]
        read = (written - written.mean(-1, keepdims=True)) / np.asarray(cache["blocks.1.ln1.hook_scale"])
        for head in range(2):
            delta = read @ np.asarray(getattr(tiny, f"W_{component.upper()}"))[1, head]
            with tiny.hooks(fwd_hooks=[(f"blocks.1.attn.hook_{component}", ops.add(delta[:, :, None].astype(np.float32), heads=head))]):
                assert abs(found[1, head] - np.mean(np.asarray(tiny.measure(tokens, METRIC)))) < 2e-5
    every = np.asarray(patching.get_act_patch_direct_path_all_sources(tiny, tokens, clean, cache, METRIC, "v"))
    assert every.shape == (2, 2, 2, 2) and (every[1] == 0).all() and close(every[0, 1], found, 1e-5)


def test_sets_and_positions_of_paths(tiny, tokens, other_tokens):
    found = patching.path_patch(tiny, tokens, other_tokens, ["input", ["a0.h0", "m0"]], ["logits", ["a1.h0<q>", "a1.h1<k>"], "m0"], METRIC,
                                freeze_mlps=False, receiver_pos=-1)
    assert found.labels == {"sender": ["input", "a0.h0+m0"], "receiver": ["logits", "a1.h0<q>+a1.h1<k>", "m0"]}
    assert found.per_row.shape == (2, 3, 2) and close(found.per_row.mean(-1), found.values, 1e-9) and found.has_path.all()
    whole = patching.path_patch(tiny, tokens, other_tokens, ["input"], ["logits"], METRIC, freeze_norms=True)
    part = [patching.path_patch(tiny, tokens, other_tokens, ["input"], ["logits"], METRIC, freeze_norms=True, sender_pos=pos)
            for pos in ((0, 6), -1)]
    assert abs(part[0].values[0, 0] - part[0].baseline) < 1e-5 and close(part[1].values, whole.values, 1e-5)
    assert "a0.h0+m0" in found._repr_html_() and len(found.records()) == 6


def test_mistakes_in_attributions_and_paths_are_named(tiny, tokens, other_tokens):
    attribute, edges, paths = patching.attribution_patch, patching.attribution_patch_edges, patching.path_patch
    for call, error, match in [
            (lambda: attribute(tiny, tokens, other_tokens, METRIC, "zz"), errors.NotFoundError, "zz"),
            (lambda: attribute(tiny, tokens, other_tokens, METRIC, "attn_scores"), errors.InvalidArgumentError, "Attribute to the pattern"),
            (lambda: attribute(tiny, tokens, other_tokens, METRIC, direction="noise"), errors.NotFoundError, "noising"),
            (lambda: attribute(tiny, tokens, other_tokens, lambda logits: 0), errors.InvalidArgumentError, "metric is a function"),
            (lambda: attribute(tiny, tokens, other_tokens[:, :5], METRIC), errors.InvalidArgumentError, "7 tokens, the source's 5"),
            (lambda: attribute(tiny, tokens, other_tokens, metrics.accuracy(3)), errors.InvalidArgumentError, "gradient"),
            (lambda: edges(tiny, tokens, other_tokens, METRIC, direction="both"), errors.NotFoundError, "direction 'both'"),
            (lambda: edges(tiny, tokens, other_tokens, METRIC, method="ig_inputs", steps=0), errors.InvalidArgumentError, "0 steps"),
            (lambda: edges(tiny, tokens, other_tokens, METRIC)["m1->m0"], errors.NotFoundError, "m1->m0"),
            (lambda: paths(tiny, tokens, other_tokens, "a9.h0", "logits", METRIC), errors.OutOfRangeError, "2 layers"),
            (lambda: paths(tiny, tokens, other_tokens, "a0.h0", "a1.h0", METRIC), errors.InvalidArgumentError, "a1.h0.*names no receiver"),
            (lambda: paths(tiny, tokens, other_tokens, "m1", "m0", METRIC), errors.InvalidArgumentError, "No sender writes before"),
            (lambda: paths(tiny, tokens, other_tokens, [], "m0", METRIC), errors.InvalidArgumentError, "senders|nothing|empty"),
            (lambda: patching.get_act_patch_direct_path(tiny, tokens, {}, {}, METRIC, 0, 0, "z"), errors.NotFoundError, "component")]:
        with pytest.raises(error, match=match):
            call()
