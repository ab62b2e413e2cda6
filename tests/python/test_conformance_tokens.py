"""Texts and tokens, through every door."""

import numpy as np
import pytest

from conftest import golden
from interopinterp import errors


def test_tokens_are_those_of_transformerlens(shakespeare):
    _, values = golden("tokens")
    prompts = values["prompts"]
    for key, value in values.items():
        if key.startswith("to_tokens/"):
            bos = key.endswith("True")
            assert shakespeare.to_tokens(value["text"], prepend_bos=bos).tolist() == value["tokens"], key
            assert shakespeare.to_str_tokens(value["text"], prepend_bos=bos) == value["str"], key
        elif key.startswith("to_single_token/"):
            text = key.partition("/")[2]
            if isinstance(value, dict):
                with pytest.raises(errors.InvalidArgumentError, match="is not a single token but 5"):
                    shakespeare.to_single_token(text)
            else:
                assert shakespeare.to_single_token(text) == value
    for side in ("right", "left"):
        assert shakespeare.to_tokens(prompts["batch"], padding_side=side).tolist() == values[f"batch/{side}"]["tokens"]
        assert shakespeare.to_str_tokens(prompts["batch"], padding_side=side) == values[f"batch/{side}"]["str"]
    assert shakespeare.to_tokens(prompts["batch"], padding_side="left", prepend_bos=False).tolist() == values["batch_no_bos/left"]
    special = values["special"]
    tokenizer = shakespeare.tokenizer
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (special["bos"], special["eos"], special["pad"])
    assert [tokenizer.pad_token, tokenizer.padding_side, len(tokenizer)] == [special[n] for n in ("pad_token", "padding_side", "vocab")]


def test_positions_and_strings_are_those_of_transformerlens(shakespeare):
    _, values = golden("tokens")
    clean = values["prompts"]["clean"]
    tokens = shakespeare.to_tokens(clean)
    for key, value in values.items():
        if key.startswith("get_token_position/") and key.count("/") == 3:
            _, token, mode, bos = key.split("/")
            token = int(token) if token.isdigit() else token
            assert shakespeare.get_token_position(token, clean, mode=mode, prepend_bos=bos == "bos_True") == value, key
    assert shakespeare.get_token_position(values["prompts"]["answer"], tokens[0]) == values["get_token_position/tokens"]
    assert shakespeare.to_string(tokens) == values["to_string/2d"] and shakespeare.to_string(tokens[0]) == values["to_string/1d"]
    assert shakespeare.to_single_str_token(300) == values["to_single_str_token/300"]
    with pytest.raises(errors.NotFoundError, match="does not occur"):
        shakespeare.get_token_position(" king", clean)


def test_long_texts_are_cut_with_a_warning(shakespeare):
    _, values = golden("tokens")
    long = values["truncate"]
    with pytest.warns(errors.InterpWarning, match=f"has {long['n_no_truncate']} tokens and is cut to the model's context of {long['n']}"):
        tokens = shakespeare.to_tokens(long["text"])
    assert tokens.shape == (1, long["n"]) and tokens[0, -4:].tolist() == long["last"]
    assert shakespeare.to_tokens(long["text"], truncate=False).shape == (1, long["n_no_truncate"])


def test_masks_directions_and_corpora_are_those_of_transformerlens(shakespeare):
    from interopinterp import utils

    tensors, values = golden("tokens")
    for side in ("right", "left"):
        tokens = shakespeare.to_tokens(values["prompts"]["batch"], padding_side=side)
        assert utils.get_attention_mask(shakespeare.tokenizer, tokens, True, side).tolist() == values[f"batch_mask/{side}"]
    answer, wrong = (shakespeare.to_single_token(values["prompts"][name]) for name in ("answer", "wrong"))
    directions = shakespeare.tokens_to_residual_directions(np.array([answer, wrong]))
    assert np.abs(directions - tensors["tokens_to_residual_directions"]).max() < 1e-5
    assert np.allclose(shakespeare.tokens_to_residual_directions(values["prompts"]["answer"]), directions[0])
    for key, rows in values.items():
        if key.startswith("tokenize_and_concatenate/"):
            _, length, bos = key.split("/")
            found = utils.tokenize_and_concatenate(
                values["prompts"]["docs"], shakespeare.tokenizer, max_length=int(length), add_bos_token=bos == "True")
            assert found.tolist() == rows, key


def test_defaults_can_be_overridden_for_a_block(shakespeare):
    from interopinterp import utils

    with utils.LocallyOverridenDefaults(shakespeare, prepend_bos=False, padding_side="left"):
        inside = shakespeare.to_tokens(["The king", "O"])
    assert inside.tolist() == shakespeare.to_tokens(["The king", "O"], prepend_bos=False, padding_side="left").tolist()
    assert shakespeare.cfg.default_prepend_bos and shakespeare.tokenizer.padding_side == "right"
    with pytest.raises(errors.InvalidArgumentError, match="'left'"):
        utils.LocallyOverridenDefaults(shakespeare, padding_side="middle")


def test_a_model_without_a_tokenizer_says_so_and_can_be_given_one(engine, tiny, shakespeare):
    with pytest.raises(errors.FailedPreconditionError, match="needs a tokenizer"):
        tiny("hello")
    with pytest.raises(errors.InvalidArgumentError, match="other.tokenizer"):
        tiny.set_tokenizer("gpt2")
    cfg = {**TINY_WITH_VOCABULARY, "d_vocab": shakespeare.cfg.d_vocab}
    model = engine.HookedTransformer(cfg, tokenizer=shakespeare.tokenizer)
    assert model.to_tokens("The king").tolist() == shakespeare.to_tokens("The king").tolist()
    assert model("The king").shape == (1, 3, shakespeare.cfg.d_vocab)


TINY_WITH_VOCABULARY = dict(n_layers=1, d_model=16, n_ctx=32, d_head=8, act_fn="gelu_new", seed=1)
