"""Trained models of several families, through every door: one look at each."""

import json

import numpy as np
import pytest

from conftest import close, golden, shared
from interopinterp import _safetensors, errors, metrics
from interopinterp.head_detector import detect_head


def folder(engine, *parts):
    """A path in the shared folder, as the engine takes it."""
    path = shared(*parts)
    return str(path) if engine.transport.has_callbacks else "/".join(parts)


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def test_a_llama_with_grouped_keys_gives_its_numbers(engine):
    told = json.loads(shared("models", "01_tinystories656k_llama", "derived", "golden.json").read_text())
    place = folder(engine, "models", "01_tinystories656k_llama")
    model = engine.HookedTransformer.from_pretrained_no_processing(place)
    tokens = model.to_tokens(told["prompt"])
    assert tokens[0].tolist() == told["prompt_ids"]
    logits = np.asarray(model(tokens))[0, -1]
    assert close(logits[:16], told["logits_last_first16"], 2e-4) and np.argsort(-logits)[:5].tolist() == [token for token,
                                                                                                          _ in told["logits_last_top5"]]
    greedy = model.generate(tokens, max_new_tokens=len(told["greedy_ids"]) - tokens.shape[1], do_sample=False, stop_at_eos=False,
                            verbose=False)
    assert greedy[0].tolist() == told["greedy_ids"]
    cache = model.run_with_cache(tokens)[1]
    assert cache["q", 0].shape[2] == 8 and cache["k", 0].shape[2] == 4 and model.W_K.shape[1] == 8
    model.set_ungroup_grouped_query_attention(True)
    assert model.run_with_cache(tokens, names_filter="blocks.0.attn.hook_k")[1]["k", 0].shape[2] == 8
    folded = engine.HookedTransformer.from_pretrained(place)
    assert close(log_softmax(folded(tokens)), log_softmax(model(tokens)), 2e-4)


def test_smollm2_in_gguf_says_what_it_should(engine):
    place = shared("models", "09_smollm2_135m")
    prompt = json.loads((place / "golden.json").read_text())["prompts"][0]
    tensors = _safetensors.load(place / "golden.safetensors")[0]
    model = engine.HookedTransformer.from_pretrained_no_processing(folder(engine, "models", "09_smollm2_135m"))
    logits, cache = model.run_with_cache(prompt["text"], names_filter=["blocks.14.hook_resid_post"])
    assert model.to_tokens(prompt["text"])[0].tolist() == prompt["ids"]
    last = np.asarray(logits[0, -1])
    assert np.argsort(-last)[:3].tolist() == prompt["top_ids"][:3] and close(last[prompt["top_ids"]], prompt["top_logits"], 2e-3)
    assert close(cache["resid_post", 14][0], tensors["hf.hidden.15"], 2e-2)
    model.close()


def test_smollm2_with_processed_weights_goes_on_and_tells_names_apart(engine, in_process):
    place = shared("models", "09_smollm2_135m")
    told = json.loads((place / "golden.json").read_text())
    prompt, ioi = told["prompts"][0], told["ioi"]
    model = engine.HookedTransformer.from_pretrained(place)
    last = np.asarray(model(prompt["text"]))[0, -1]
    assert np.argsort(-last)[:10].tolist() == prompt["top_ids"]
    assert close(last[prompt["top_ids"]] - last.max(), np.array(prompt["top_logits"]) - prompt["top_logits"][0], 2e-3)
    greedy = model.generate(prompt["text"], max_new_tokens=8, do_sample=False, stop_at_eos=False, verbose=False)
    assert prompt["greedy_text"].startswith(greedy) and greedy.startswith("The capital of France is Paris.")
    difference = metrics.logit_diff(*ioi["answers"][0])
    for name in ("clean", "corrupt"):
        assert close(model.measure(ioi[name][0], difference), ioi[f"logit_diff_{name}"][:1], 2e-3)
    model.close()


def test_heads_are_found_as_transformerlens_finds_them(shakespeare):
    tensors, _ = golden("heads")
    prompts = golden("tokens")[1]["prompts"]
    for key, expected in tensors.items():
        parts = key.split("/")
        if parts[0] != "detect_head" or len(parts) < 5 or parts[1] != "clean":
            continue
        flags = parts[4].replace("False", "0").replace("True", "1")
        found = detect_head(shakespeare, prompts["clean"], parts[2], error_measure=parts[3], exclude_bos=flags[0] == "1",
                            exclude_current_token=flags[1] == "1")
        assert close(found, expected, 2e-3 if parts[3] == "abs" else 1e-4), key
    assert close(detect_head(shakespeare, prompts["clean"], "previous_token_head", heads=[(0, 1), (1, 2)]), tensors["detect_head/heads"])
    assert close(detect_head(shakespeare, prompts["batch"], "previous_token_head"), tensors["detect_head/list"])
    length = shakespeare.to_tokens(prompts["clean"]).shape[1]
    own = np.tril(np.full((length, length), 0.3, np.float32))
    assert close(detect_head(shakespeare, prompts["clean"], own, error_measure="abs"), tensors["detect_head/custom_abs"], 2e-3)


def test_models_are_booted_under_transformerlens_4s_names(engine, tiny, tokens, model_folder, clean_tokens):
    bridge = engine.TransformerBridge.boot_transformers(model_folder)
    plain = engine.HookedTransformer.from_pretrained_no_processing(model_folder)
    assert np.array_equal(np.asarray(bridge(clean_tokens)), np.asarray(plain(clean_tokens)))
    bridge.enable_compatibility_mode()
    processed = engine.HookedTransformer.from_pretrained(model_folder)
    assert np.abs(np.asarray(bridge(clean_tokens)) - np.asarray(processed(clean_tokens))).max() < 1e-3
    assert bridge.cfg.normalization_type == "LNPre"
    assert np.array_equal(np.asarray(engine.TransformerBridge.boot_native(tiny.cfg.to_dict())(tokens)), np.asarray(tiny(tokens)))
    with pytest.raises(errors.InterpError, match="revision"):
        engine.TransformerBridge.boot_transformers(model_folder, revision="main")
