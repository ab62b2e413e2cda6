"""Streams of activations, through every door."""

import os
import signal
import threading

import numpy as np
import pytest

from conftest import close
from engines import TINY
from interopinterp import circuits, metrics, ops, patching, streams
from interopinterp.errors import InterpError

POST, Z = "blocks.1.mlp.hook_post", "blocks.0.attn.hook_z"
ROWS = (np.arange(12 * 9).reshape(12, 9) * 7 + 3) % 50


@pytest.fixture(scope="module")
def model(engine):
    return engine.HookedTransformer(dict(TINY))


def everything(model, point, skip=0):
    """[tokens, ...] of all rows."""
    cache = model.run_with_cache(ROWS)[1]
    values = np.asarray(cache[point], np.float64)[:, skip:]
    return values.reshape(-1, *values.shape[2:])


def test_statistics_are_those_of_all_activations(model):
    result = streams.run(model, ROWS, {
        POST: [streams.covariance(), streams.histogram(-0.2, 0.6, 4), streams.firing(0.1), streams.by_position(variance=True)],
        "blocks.*.attn.hook_z": [streams.mean(), streams.variance()]}, batch_tokens=30, skip_first=1)
    assert (result.rows, result.tokens, result.is_complete) == (12, 96, True)
    assert list(result) == [POST, Z, "blocks.1.attn.hook_z"]
    post, z = everything(model, POST, 1), everything(model, Z, 1)
    assert close(result[POST]["mean"], post.mean(0), 1e-6) and close(result[POST]["variance"], post.var(0), 1e-6)
    assert close(result[POST]["covariance"], np.cov(post.T, bias=True), 1e-6)
    assert close(result[Z]["mean"], z.mean(0), 1e-6) and close(result[Z]["variance"], z.var(0), 1e-6)
    assert np.asarray(result[POST]["histogram"]).sum() + np.asarray(result[POST]["histogram_below"]).sum() + \
        np.asarray(result[POST]["histogram_above"]).sum() == post.size
    assert list(np.asarray(result[POST]["firing_count"])) == list((post > 0.1).sum(0))
    by_position = np.asarray(model.run_with_cache(ROWS)[1][POST], np.float64)
    assert close(np.asarray(result[POST]["position_mean"])[1:], by_position.mean(0)[1:], 1e-6)
    assert np.isnan(np.asarray(result[POST]["position_mean"])[0]).all()
    records = result[Z].records()
    assert len(records) == 2 * 8 and records[9]["head"] == 1 and abs(records[9]["mean"] - z.mean(0)[1, 1]) < 1e-6


def test_examples_come_with_their_tokens(model):
    result = streams.run(model, ROWS, {POST: [streams.top(3, before=2, after=1), streams.bottom(2, before=1, after=0)]})
    values = everything(model, POST)
    for neuron in (0, 5):
        found = result[POST].examples(neuron)
        assert close([one.value for one in found], np.sort(values[:, neuron])[::-1][:3], 1e-6)
        for one in found:
            assert one.tokens[one.at] == ROWS[one.row, one.pos]
            assert one.tokens == list(ROWS[one.row, max(0, one.pos - 2):one.pos + 2])
        assert close([one.value for one in result[POST].examples(neuron, bottom=True)], np.sort(values[:, neuron])[:2], 1e-6)


def test_what_it_gathered_ablates(model):
    result = streams.run(model, ROWS, {"blocks.*.attn.hook_z": [streams.mean(), streams.sample(20)]})
    tokens, metric = ROWS[:3], metrics.log_prob(4)
    means = patching.sweep(model, tokens, "attn_head_out_all_pos", patching.means(result), metric)
    drawn = patching.sweep(model, tokens, "attn_head_out_all_pos", patching.samples(result, seed=3), metric)
    for layer in range(2):
        point = f"blocks.{layer}.attn.hook_z"
        for table, op in ((means, ops.set(np.asarray(result[point]["mean"])[[1]], heads=[1])),
                          (drawn, ops.resample(np.asarray(result[point]["samples"])[:, [1]], seed=3, heads=[1]))):
            logits = model.run_with_hooks(tokens, fwd_hooks=[(point, op)])
            last = np.asarray(logits, np.float64)[:, -1]
            expected = (last[:, 4] - np.log(np.exp(last).sum(-1))).mean()
            assert abs(table.values[layer, 1] - expected) < 1e-4
    assert np.abs(means.values - drawn.values).max() > 1e-4


def test_sources_of_files(model, engine, server, tmp_path):
    folder = server.root if engine.transport.door.startswith(("grpc", "unix")) else tmp_path
    np.save(folder / "tokens.npy", ROWS.astype(np.uint16))
    ROWS.astype("<u2").tofile(folder / "tokens.bin")
    path = (lambda name: name) if folder == server.root else (lambda name: str(folder / name))
    expected = everything(model, Z).mean(0)
    for source in (streams.shards(path("tokens.npy")), streams.shards(path("tokens.bin"), row_length=9)):
        result = streams.run(model, source, {Z: streams.mean()})
        assert result.rows == 12 and close(result[Z]["mean"], expected, 1e-6)
    with pytest.raises(InterpError, match="TOKENIZER|tokenizer"):
        (folder / "text.txt").write_text("abc")
        streams.run(model, streams.text(path("text.txt")), {Z: streams.mean()})


def test_texts_are_read_and_shown(engine, server, tmp_path):
    folder = server.root if engine.transport.door.startswith(("grpc", "unix")) else tmp_path
    (folder / "corpus.txt").write_text("k7x9q2w4;mj3k7x9q2w\nabc def\n")
    model = engine.HookedTransformer.from_pretrained("induction")
    source = streams.text("corpus.txt" if folder == server.root else str(folder / "corpus.txt"), row_length=12)
    result = streams.run(model, source, {"blocks.1.hook_resid_post": streams.top(1)}, skip_first=1)
    # Two documents joined by an EOS, cut into rows that each begin with a BOS.
    tokens = [*model.to_tokens("k7x9q2w4;mj3k7x9q2w")[0][1:], model.tokenizer.eos_token_id, *model.to_tokens("abc def")[0][1:]]
    assert result.tokens == len(tokens) == 27 and result.rows == 3
    (example,) = result["blocks.1.hook_resid_post"].examples(3)
    assert "".join(model.to_str_tokens(np.array(example.tokens))) == "".join(example.texts)
    assert example.tokens[example.at] == tokens[example.row * 11 + example.pos - 1]


def test_circuits_are_judged_with_what_it_gathered(model):
    points = ["blocks.*.attn.hook_z", "blocks.*.hook_mlp_out", "blocks.0.hook_resid_pre"]
    result = streams.run(model, ROWS, {point: [streams.mean(), streams.sample(9)] for point in points})
    metric, prompts = metrics.log_prob(4), ROWS[:2]
    without = circuits.ResidualGraph.of(model).all().without("a0.h1")

    with model.hooks(fwd_hooks=[(Z, ops.set(np.asarray(result[Z]["mean"], np.float32)[1], heads=[1]))]):
        expected = np.mean(np.asarray(model.measure(prompts, metric)))
    assert abs(circuits.evaluate(model, without, prompts, patching.means(result), metric)[0].value - expected) < 2e-5
    drawn = [circuits.evaluate(model, without, prompts, patching.samples(result, seed), metric)[0].value for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] and drawn[0] != drawn[2] and abs(drawn[0] - expected) > 1e-7


def test_a_checkpoint_goes_on_to_the_last_bit(model, engine, server, tmp_path):
    folder = server.root if engine.transport.door.startswith(("grpc", "unix")) else tmp_path
    name = f"stream-{engine.transport.door.replace('/', '_').replace(':', '_')}.safetensors"
    path = name if folder == server.root else str(folder / name)
    probes = {POST: [streams.covariance(), streams.top(3), streams.sample(5)]}
    whole = streams.run(model, ROWS, probes, batch_tokens=20)
    with streams.Stream(model, ROWS, probes, batch_tokens=20, checkpoint=path) as stream:
        assert stream.advance(0) and 0 < stream.rows < 12
        partial = stream.result()
        assert not partial.is_complete and partial.tokens == stream.tokens
        stream.save()
    with streams.Stream(model, ROWS, probes, batch_tokens=20, checkpoint=path) as stream:
        assert stream.rows == partial.rows
        while stream.advance():
            pass
        resumed = stream.result()
    for name, value in whole[POST].tensors.items():
        assert np.array_equal(np.asarray(value), np.asarray(resumed[POST][name]), equal_nan=np.asarray(value).dtype.kind == "f"), name
    with pytest.raises(InterpError, match="CHECKPOINT_OF_OTHER_STREAM|another stream"):
        streams.run(model, ROWS, probes, batch_tokens=21, checkpoint=path)


def test_ctrl_c_gives_what_is_known(model):
    def press(_):
        if not threading.main_thread() is threading.current_thread():
            return
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        streams.run(model, ROWS, {POST: streams.mean()}, batch_tokens=10, every=0, on_partial=press)
    result = stopped.value.result
    assert isinstance(stopped.value, streams.StreamInterrupted) and 0 < result.tokens < ROWS.size and not result.is_complete
    rows = ROWS[:result.rows]
    values = np.asarray(model.run_with_cache(rows)[1][POST], np.float64)
    assert close(result[POST]["mean"], values.mean((0, 1)), 1e-6)


def test_interventions_and_parts(model):
    steer = np.full(16, 2.0, np.float32)
    result = streams.run(model, ROWS, {streams.at("blocks.1.hook_resid_pre", "two", last=[0, 3]): streams.mean()},
                         interventions=[("blocks.1.hook_resid_pre", ops.add(steer))])
    plain = everything(model, "blocks.1.hook_resid_pre").mean(0)
    assert close(result["two"]["mean"], plain[[0, 3]] + 2, 1e-5)


@pytest.mark.parametrize("probes, options, reason", [
    ({}, {}, "NO_PROBES"), ({POST: []}, {}, "NO_STATISTICS"), ({"blocks.1.mlp.hook_pots": "mean"}, {}, "UNKNOWN_HOOK_POINT"),
    ({"blocks.0.attn.hook_pattern": "mean"}, {}, "POINT_HAS_NO_WIDTH"), ({POST: "mean"}, {"skip_first": 9}, "SKIP_FIRST"),
    ({POST: "mean"}, {"memory_limit": 10}, "STREAM_TOO_LARGE"), ({POST: "mean"}, {"max_tokens": 0}, "MAX_TOKENS")])
def test_what_cannot_run_is_refused(model, probes, options, reason):
    probes = {point: streams.mean() if gathered == "mean" else gathered for point, gathered in probes.items()}
    with pytest.raises(InterpError) as error:
        streams.run(model, ROWS, probes, **options)
    assert error.value.reason == reason


def test_a_stream_that_was_closed_says_so(model):
    stream = streams.Stream(model, ROWS, {POST: streams.mean()})
    stream.close()
    with pytest.raises(InterpError) as error:
        stream.result()
    assert error.value.reason == "STREAM_CLOSED"
