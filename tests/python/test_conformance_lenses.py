"""The logit lens and direct logit attribution, through every door."""

import numpy as np
import pytest

from conftest import close, golden
from interopinterp import _safetensors, errors, ops
from interopinterp.tools.analysis import direct_logit_attribution, logit_lens


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def test_the_lens_at_the_last_position_is_transformerlenss(shakespeare, clean_tokens):
    found = logit_lens(shakespeare, clean_tokens, return_type="logits")
    assert found.labels == ["0_pre", "1_pre", "2_pre", "3_pre", "final_post"]
    assert close(np.asarray(found.values)[:, :, 0], golden("cache")[0]["logit_lens_last"])
    texts = found.top_tokens()
    best = int(np.asarray(found.values)[2, 0, 0].argmax())
    assert texts[2][0][0][0] == shakespeare.to_string([best]) and len(texts[2][0][0]) == 5
    page = found._repr_html_()
    assert page.count("<tr>") == 5 and page.index("final_post") < page.index("0_pre")


def test_readings_are_those_of_the_logits(tiny, tokens):
    targets = [[7, 8], [0, 39]]
    found = logit_lens(tiny, tokens, targets=targets, top_k=3, positions=None, incl_mid=True, return_type="logits")
    assert found.labels == ["0_pre", "0_mid", "1_pre", "1_mid", "final_post"] and found.targets == targets
    logits = np.asarray(found.values, np.float64)
    cache = tiny.run_with_cache(tokens)[1]
    assert logits.shape == (5, 2, 7, 50) and close(logits[-1], tiny(tokens), 2e-5)
    assert close(logits[3], tiny.unembed(tiny.ln_final(cache["blocks.1.hook_resid_mid"])), 2e-5)
    told = log_softmax(logits)
    assert close(found.entropy, -(np.exp(told) * told).sum(-1), 2e-5)
    assert close(found.kl_to_final, (np.exp(told[-1]) * (told[-1] - told)).sum(-1), 2e-5)
    index = np.array(targets)[None, :, None]
    wanted = np.take_along_axis(logits, np.broadcast_to(index, (5, 2, 7, 2)), -1)
    assert close(found.target_logits, wanted, 2e-5)
    assert close(found.target_log_probs, np.take_along_axis(told, np.broadcast_to(index, (5, 2, 7, 2)), -1), 2e-5)
    ranks = (logits[..., None, :] > wanted[..., None]).sum(-1)
    assert np.array_equal(found.target_ranks, ranks) and np.array_equal(found.rank_trajectory(1), ranks[..., 1])
    assert np.array_equal(found.top_ids, np.argsort(-logits, -1)[..., :3])
    assert close(found.top_log_probs, -np.sort(-told, -1)[..., :3], 2e-5)
    records = found.records()
    assert len(records) == 5 * 2 * 7 and records[-1]["stream"] == "final_post" and records[-1]["row"] == 1 and records[-1]["pos"] == 6
    assert records[-1]["top_id"] == logits[-1, 1, 6].argmax() and records[-1]["rank_1"] == ranks[-1, 1, 6, 1]


def test_only_what_is_asked_for_comes_and_hooks_run(tiny, tokens):
    found = logit_lens(tiny, tokens, targets=[7, 8], top_k=0)
    assert found.values is None and found.top_ids is None and found.entropy.shape == (3, 2, 1) and found.target_ranks.shape == (3, 2, 1, 2)
    probs = logit_lens(tiny, tokens, positions=[0, -1], return_type="probs")
    assert close(np.asarray(probs.values).sum(-1), np.ones((3, 2, 2)), 1e-5)
    assert close(np.asarray(logit_lens(tiny, tokens, return_type="log_probs").values)[-1, :, 0], log_softmax(tiny(tokens))[:, -1], 2e-5)
    with tiny.hooks(fwd_hooks=[("blocks.1.hook_resid_pre", ops.zero())]):
        edited = logit_lens(tiny, tokens, return_type="logits")
        assert close(np.asarray(edited.values)[-1, :, 0], np.asarray(tiny(tokens))[:, -1], 2e-5)
    plain = np.asarray(logit_lens(tiny, tokens, return_type="logits").values)
    assert close(np.asarray(edited.values)[0], plain[0], 1e-6) and not close(np.asarray(edited.values)[1], plain[1], 1e-3)


def test_a_tuned_lens_translates_before_it_unembeds(tiny, tokens, engine, writable_root):
    bias = np.linspace(-1, 1, 16, dtype=np.float32)
    translators = {name: value for layer in range(2) for name, value in (
        (f"{layer}.weight", np.zeros((16, 16), np.float32)), (f"{layer}.bias", bias if layer else 0 * bias))}
    path = writable_root(engine, f"lens-{engine.door.partition(':')[0]}.safetensors")
    _safetensors.save(path, translators)
    plain, tuned = (np.asarray(logit_lens(tiny, tokens, return_type="logits", tuned_lens=lens).values)[:, :, 0] for lens in ("", path))
    assert close(tuned[[0, 2]], plain[[0, 2]], 1e-6)
    stream = np.asarray(tiny.run_with_cache(tokens)[1]["blocks.1.hook_resid_pre"])[:, -1:] + bias
    assert close(tuned[1], np.asarray(tiny.unembed(tiny.ln_final(stream)))[:, 0], 2e-5)
    with pytest.raises(errors.InvalidArgumentError, match="no translators"):
        logit_lens(tiny, tokens, tuned_lens=path, incl_mid=True)


@pytest.mark.parametrize("unit", ["component", "head", "neuron", "layer"])
def test_what_components_write_sums_to_the_logit(tiny, tokens, unit):
    logits = np.asarray(tiny(tokens))
    found = direct_logit_attribution(tiny, tokens, [7, 8], [0, 39], unit=unit, pos=(2, 5))
    expected = np.stack([logits[0, 2:5, 7] - logits[0, 2:5, 0], logits[1, 2:5, 8] - logits[1, 2:5, 39]])
    values = np.asarray(found)
    assert values.shape == (len(found.labels), 2, 3) and found.unit == unit
    if unit == "layer":
        bias = np.asarray(tiny.b_U)
        assert close(values[-1] + np.array([[bias[7] - bias[0]], [bias[8] - bias[39]]]), expected, 5e-5)
    else:
        assert close(values.sum(0), expected, 5e-5) and found.labels[-1] == "b_U"
    label, value = found.top(1)[0]
    assert abs(value) == np.abs(values.astype(np.float64).mean((1, 2))).max() and label in found.labels
    assert label in found._repr_html_() and found.records()[-1]["attribution"] == values[-1, -1, -1]


def test_attributions_of_components_are_transformerlenss(shakespeare, clean_tokens):
    tensors, values = golden("cache")
    answer, wrong = values["answer_tokens"]["answer"], values["answer_tokens"]["wrong"]
    found = direct_logit_attribution(shakespeare, clean_tokens, answer, wrong)
    assert found.labels[:4] == ["embed", "pos_embed", "0_attn_out", "0_mlp_out"]
    assert close(np.asarray(found)[:10, :, 0], tensors["logit_attrs(pos_slice=-1)"])
    alone = direct_logit_attribution(shakespeare, clean_tokens, answer, pos=None)
    assert close(np.asarray(alone)[:10], tensors["logit_attrs(answer)"])
    assert close(np.asarray(alone).sum(0), np.asarray(shakespeare(clean_tokens))[..., answer], 2e-4)


def test_mistakes_with_lenses_are_named(tiny, tokens):
    for call, error, match in [
            (lambda: logit_lens(tiny, tokens, targets=[[1, 2], 3]), errors.InvalidArgumentError, "mixed"),
            (lambda: logit_lens(tiny, tokens, targets=[[1], [2], [3]]), errors.InvalidArgumentError, "3 rows; the plan has 2"),
            (lambda: logit_lens(tiny, tokens, targets=[50]), errors.OutOfRangeError, "50"),
            (lambda: logit_lens(tiny, tokens, positions=9), errors.OutOfRangeError, "9"),
            (lambda: logit_lens(tiny, tokens, return_type="logit"), errors.NotFoundError, "'logits'"),
            (lambda: logit_lens(tiny, tokens, tuned_lens="no-such-lens.safetensors"), errors.NotFoundError, "no-such-lens"),
            (lambda: logit_lens(tiny, tokens).rank_trajectory(), errors.FailedPreconditionError, "no targets"),
            (lambda: direct_logit_attribution(tiny, tokens, 3, unit="row"), errors.NotFoundError, "unit 'row'"),
            (lambda: direct_logit_attribution(tiny, tokens), errors.InvalidArgumentError, "answer_tokens"),
            (lambda: direct_logit_attribution(tiny, tokens, [1, 2, 3]), errors.InvalidArgumentError, "3 tokens"),
            (lambda: direct_logit_attribution(tiny, tokens, 3, cache={}), errors.UnimplementedError, "cache.logit_attrs")]:
        with pytest.raises(error, match=match):
            call()
