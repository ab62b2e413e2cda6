"""Weights: by name, stacked, saved, loaded, processed, through every door."""

import time

import numpy as np
import pytest

from conftest import golden
from interopinterp import errors

GROUPED = dict(n_layers=2, d_model=16, n_ctx=16, d_head=4, n_heads=4, n_key_value_heads=2, d_vocab=30, act_fn="silu", gated_mlp=True,
               normalization_type="RMS",
               positional_embedding_type="rotary", seed=4)


def test_weights_have_transformerlenss_names_and_shapes(tiny, tokens):
    c = tiny.cfg
    assert tiny.W_E.shape == (c.d_vocab, c.d_model) and tiny.W_pos.shape == (c.n_ctx, c.d_model) and tiny.W_U.shape == (c.d_model,
                                                                                                                        c.d_vocab)
    assert tiny.W_Q.shape == tiny.W_K.shape == tiny.W_V.shape == (2, c.n_heads, c.d_model,
                                                                  c.d_head) and tiny.W_O.shape == (2, c.n_heads, c.d_head, c.d_model)
    assert tiny.W_in.shape == (2, c.d_model, c.d_mlp) and tiny.b_O.shape == (2, c.d_model) and tiny.b_U.shape == (c.d_vocab,
                                                                                                                  ) and tiny.W_gate is None
    assert tiny.W_E_pos.shape == (c.d_vocab + c.n_ctx, c.d_model)
    assert np.array_equal(tiny.blocks[1].attn.W_Q, tiny.W_Q[1]) and np.array_equal(tiny.blocks[-1].mlp.W_out, tiny.W_out[1])
    assert np.array_equal(tiny.unembed.W_U, tiny.W_U) and np.array_equal(tiny.state_dict()["embed.W_E"], tiny.W_E)
    assert len(tiny.blocks) == 2 and [block.name for block in tiny.blocks] == ["blocks.0", "blocks.1"] and tiny.blocks[0].attn.cfg is c
    assert tiny.QK.shape == (2, 2, 16, 16) and np.allclose(tiny.OV[1, 0].AB, tiny.W_V[1, 0] @ tiny.W_O[1, 0])
    assert np.allclose(tiny.blocks[1].attn.QK.AB, tiny.QK.AB[1]) and tiny.all_head_labels() == ["L0H0", "L0H1", "L1H0", "L1H1"]
    assert tiny.n_params_total == sum(np.asarray(w).size for w in tiny.parameters())
    with pytest.raises(AttributeError, match="W_QQ"):
        tiny.blocks[0].attn.W_QQ
    with pytest.raises(errors.NotFoundError, match="Did you mean"):
        tiny.state_dict()["blocks.0.attn.W_QQ"]
    scores = tiny.all_composition_scores("V")
    expected = np.linalg.norm(tiny.OV.AB[0, 1] @ tiny.OV.AB[1, 0]) / np.linalg.norm(tiny.OV.AB[0, 1]) / np.linalg.norm(tiny.OV.AB[1, 0])
    assert scores.shape == (2, 2, 2, 2) and np.isclose(scores[0, 1, 1, 0], expected) and scores[1, 0, 0, 1] == 0


def test_grouped_keys_are_repeated_per_query_head(engine):
    model = engine.HookedTransformer(GROUPED)
    grouped = np.asarray(model.state_dict()["blocks.1.attn._W_K"])
    assert grouped.shape == (2, 16, 4) and model.W_K.shape == (2, 4, 16, 4) and model.W_gate.shape == (2, 16, 64)
    assert np.array_equal(model.blocks[1].attn.W_K, np.repeat(grouped, 2, 0)) and not hasattr(model, "W_pos")


def test_weights_cannot_be_written_to_by_accident(tiny):
    if isinstance(tiny.W_E, np.ndarray) and tiny.transport.has_callbacks:
        with pytest.raises(ValueError, match="read-only"):
            tiny.W_E[0] = 0


def test_changed_weights_are_loaded_and_others_keep_theirs(engine, tiny, tokens):
    model = engine.HookedTransformer(tiny.cfg.to_dict())
    assert np.array_equal(np.asarray(model(tokens)), np.asarray(tiny(tokens))), "the seed gives the same weights"
    state = {name: np.array(value) for name, value in model.state_dict().items()}
    state["unembed.W_U"] *= 2
    state["unembed.b_U"] *= 2
    model.load_state_dict(state)
    assert np.abs(np.asarray(model(tokens)) - 2 * np.asarray(tiny(tokens))).max() < 1e-5
    model.load_state_dict({"unembed.W_U": state["unembed.W_U"] / 2}, strict=False)
    assert np.abs(np.asarray(model(tokens)) - np.asarray(tiny(tokens))).max() < 1e-5
    with pytest.raises(errors.InterpError, match="W_Q"):
        model.load_state_dict({name: value for name, value in state.items() if name != "blocks.1.attn.W_Q"})
    with pytest.raises(errors.InterpError, match="nope"):
        model.load_state_dict({**state, "nope": state["unembed.b_U"]})
    assert np.isfinite(np.asarray(model(tokens))).all()


def test_processing_keeps_the_function(engine, tiny, tokens):
    def log_probs(model):
        logits = np.asarray(model(tokens), np.float64)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    for cfg in (tiny.cfg.to_dict(), {**GROUPED, "d_vocab": 50}):
        model = engine.HookedTransformer(cfg)
        before = log_probs(model)
        model.process_weights_()
        assert np.abs(log_probs(model) - before).max() < 1e-4 and model.cfg.normalization_type.endswith("Pre")


def test_models_come_back_from_disk(engine, tiny, tokens, writable_root):
    path = writable_root(engine, "saved")
    tiny.save(path)
    back = engine.HookedTransformer.from_pretrained_no_processing(path)
    assert np.array_equal(np.asarray(back(tokens)), np.asarray(tiny(tokens))) and list(back.state_dict()) == list(tiny.state_dict())


def test_dtypes_and_first_layers(engine, tiny, tokens, model_folder, clean_tokens):
    tensors, _ = golden("forward")
    double = engine.HookedTransformer.from_pretrained(model_folder, dtype="float64")
    logits = double(clean_tokens)
    assert np.asarray(logits).dtype == np.float64 and np.abs(logits - tensors["logits"]).max() < 1e-4
    short = engine.HookedTransformer.from_pretrained(model_folder, first_n_layers=2)
    assert short.cfg.n_layers == 2 and len(short.blocks) == 2
    model = engine.HookedTransformer(tiny.cfg.to_dict())
    assert model.to("float64", print_details=False) is model and np.asarray(model(tokens)).dtype == np.float64
    assert model.cpu() is model and model.eval() is not None


def test_a_closed_model_is_gone(engine, tiny, tokens):
    model = engine.HookedTransformer(tiny.cfg.to_dict())
    held = {told.name for told in engine.models()}
    assert model._name in held
    model.close()
    model.close()
    with pytest.raises(errors.FailedPreconditionError, match="was closed"):
        model(tokens)
    other = engine.HookedTransformer(tiny.cfg.to_dict())
    name = other._name
    del other
    # Over gRPC nobody waits for the answer, so a later call may come first.
    for _ in range(100):
        if name not in {told.name for told in engine.models()}:
            break
        time.sleep(0.05)
    else:
        pytest.fail("a model goes with its last reference")
