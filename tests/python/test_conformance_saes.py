"""SAEs by themselves and in a model, through every door."""

import json

import numpy as np
import pytest

from conftest import close, shared
from interopinterp import _safetensors, errors, ops

pytestmark = pytest.mark.usefixtures("dictionaries")
HOOK = "blocks.1.hook_resid_pre"


def path_of(engine, *parts):
    """A path in the dictionaries' fixtures, as the engine takes it."""
    path = shared("fixtures", "dictionaries", *parts)
    return str(path) if engine.transport.has_callbacks else "/".join(("fixtures", "dictionaries", *parts))


def golden_of(name):
    folder = shared("fixtures", "dictionaries", name)
    return _safetensors.load(folder / "golden.safetensors")[0], json.loads((folder / "golden.json").read_text())


@pytest.fixture
def sae(engine):
    return engine.SAE.load_from_disk(path_of(engine, "saelens_standard"))


@pytest.fixture
def spliced(engine):
    return engine.HookedTransformer.from_pretrained_no_processing(path_of(engine, "tiny_model"))


@pytest.mark.parametrize("name", ["saelens_standard", "saelens_jumprelu", "saelens_topk", "saelens_batchtopk_as_jumprelu"])
def test_codes_and_reconstructions_are_those_of_saelens(engine, name):
    tensors, told = golden_of(name)
    sae = engine.SAE.load_from_disk(path_of(engine, name))
    codes = sae.encode(tensors["x"])
    assert close(codes, tensors["codes"], 1e-5) and ((np.asarray(codes) != 0) == (tensors["codes"] != 0)).all()
    assert close(sae.decode(tensors["codes"]), tensors["recon"], 1e-4) and close(sae(tensors["x"]), tensors["recon"], 1e-4)
    assert told["architecture"].endswith(sae.cfg.architecture) and sae.cfg.d_sae == tensors["codes"].shape[-1]
    assert sae.cfg.metadata.model_name == "tiny" and sae.cfg.hook_name == sae.cfg.metadata.hook_name == sae.hook_name


def test_weights_have_their_names_and_fold(engine, sae):
    tensors, _ = golden_of("saelens_standard")
    file = _safetensors.load(shared("fixtures", "dictionaries", "saelens_standard", "sae_weights.safetensors"))[0]
    assert set(sae.state_dict()) == set(file) and np.array_equal(np.asarray(sae.W_enc), file["W_enc"]) and sae.W_dec.shape == (80, 32)
    with pytest.raises(AttributeError, match="Did you mean"):
        sae.W_encoder
    sae.fold_W_dec_norm()
    assert all(close(getattr(sae, name), tensors[f"folded.{name}"], 1e-5) for name in ("W_enc", "b_enc", "W_dec", "b_dec"))
    assert close(sae.encode(tensors["x"]), tensors["folded.codes"], 1e-5)


def test_models_with_saes_give_saelenss_numbers(spliced, sae):
    tensors, told = golden_of("saelens_standard")
    tokens, feature = tensors["tokens"], told["spliced"]["ablated_feature"]
    assert close(spliced(tokens), tensors["logits_clean"])
    assert close(spliced.run_with_saes(tokens, saes=[sae]), tensors["logits_sae"])
    assert close(spliced.run_with_saes(tokens, saes=sae, use_error_term=True), tensors["logits_sae_error_term"])
    assert close(spliced(tokens), tensors["logits_clean"]), "the SAEs are gone again"
    assert close(spliced.run_with_hooks(tokens, fwd_hooks=[(HOOK, ops.splice(sae, scale={feature: 0}))]),
                 tensors["logits_sae_feature_ablated"])
    ablated = spliced.run_with_hooks(tokens, fwd_hooks=[(HOOK, ops.feature(sae, feature, clamp=0))])
    assert close(ablated, tensors["logits_sae_error_term_feature_ablated"])
    assert close(spliced.run_with_hooks(tokens, fwd_hooks=[(HOOK, ops.splice(sae))]), tensors["logits_sae"])
    steered = spliced.run_with_hooks(tokens, fwd_hooks=[(HOOK, ops.steer(sae, feature, 2.5))])
    assert close(steered, spliced.run_with_hooks(tokens, fwd_hooks=[(HOOK, ops.add(2.5 * np.asarray(sae.W_dec)[feature]))]))


def test_caches_have_what_saelens_has(spliced, sae):
    tensors, _ = golden_of("saelens_standard")
    logits, cache = spliced.run_with_cache_with_saes(tensors["tokens"], saes=[sae])
    entered = np.asarray(spliced.run_with_cache(tensors["tokens"])[1][HOOK])
    assert close(logits, tensors["logits_sae"])
    assert close(cache[f"{HOOK}.hook_sae_input"], entered, 1e-5) and close(cache[f"{HOOK}.hook_sae_acts_post"], sae.encode(entered), 1e-5)
    assert close(cache[f"{HOOK}.hook_sae_output"], sae(entered), 1e-4) and close(cache[HOOK], cache[f"{HOOK}.hook_sae_output"], 0)
    assert close(cache[f"{HOOK}.hook_sae_recons"], sae(entered), 1e-4) and close(cache[f"{HOOK}.hook_sae_error"], entered - sae(entered),
                                                                                 1e-4)
    assert close(np.maximum(cache[f"{HOOK}.hook_sae_acts_pre"], 0), cache[f"{HOOK}.hook_sae_acts_post"], 1e-5)
    told = golden_of("saelens_standard")[1]["spliced"]["cache_names"]
    assert set(told) <= set(cache)
    name = f"{HOOK}.hook_sae_acts_post"
    only = spliced.run_with_cache_with_saes(tensors["tokens"], saes=[sae], names_filter=name, stop_at_layer=2)[1]
    assert list(only) == [name] and close(only[name], cache[name], 1e-5)
    filtered = spliced.run_with_cache_with_saes(tensors["tokens"], saes=[sae],
                                                names_filter=lambda n: "acts_post" in n or n == "hook_embed")[1]
    assert list(filtered) == ["hook_embed", name]


def test_saes_are_attached_and_detached(spliced, sae):
    tokens = golden_of("saelens_standard")[0]["tokens"]
    plain = np.asarray(spliced(tokens))
    spliced.add_sae(sae)
    assert spliced.acts_to_saes == {HOOK: sae} and not close(spliced(tokens), plain, 1e-3)
    with spliced.saes([sae], use_error_term=True):
        assert close(spliced(tokens), plain, 1e-4)
    assert not close(spliced(tokens), plain, 1e-3), "the one from before is back"
    spliced.reset_saes()
    assert close(spliced(tokens), plain, 1e-6) and spliced.acts_to_saes == {}
    with pytest.raises(errors.NotFoundError, match="hook point with an SAE"):
        spliced.reset_saes(HOOK)


def test_mistakes_with_saes_are_named(engine, spliced, sae, tiny, tokens):
    with pytest.raises(errors.InvalidArgumentError, match="An SAE is expected"):
        spliced.add_sae("saelens_standard")
    with pytest.raises(errors.InvalidArgumentError, match="16.*32|32.*16"):
        tiny.run_with_saes(tokens, saes=[sae])
    with pytest.raises(errors.NotFoundError):
        engine.SAE.load_from_disk(path_of(engine, "saelens_standard") + "_nope")
    with pytest.raises(errors.FailedPreconditionError, match="takes no hooks: ops.splice"):
        spliced.run_with_hooks(tokens, fwd_hooks=[(f"{HOOK}.hook_sae_acts_post", ops.zero())])
    with pytest.raises(errors.InvalidArgumentError, match="one of clamp"):
        ops.feature(sae, 3)
