"""Beside TransformerLens 3.9 itself, in one process: the same weights, inputs and hook code through both."""

import json

import pytest

from conftest import environment, run

BESIDE = """
import contextlib, io, json, logging, sys, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.WARNING)
import numpy as np, torch
torch.set_num_threads(1)
import interopinterp as ours
import transformer_lens as theirs
from transformer_lens import patching as their_patching
from interopinterp import patching as our_patching

torch.manual_seed(0)
found = {}
def compare(name, a, b, most):
    a, b = (torch.as_tensor(np.asarray(x.detach() if isinstance(x, torch.Tensor) else x)).double() for x in (a, b))
    assert a.shape == b.shape, (name, a.shape, b.shape)
    # What both have no finite value for is equal where it is the same.
    same = torch.isfinite(a) & torch.isfinite(b)
    assert (torch.isfinite(a) == torch.isfinite(b)).all(), name
    found[name] = float((a[same] - b[same]).abs().max())
    assert found[name] <= most, (name, found[name])

KINDS = {
    "gpt2": dict(act_fn="gelu_new"),
    "attention only": dict(attn_only=True, normalization_type=None),
    "grouped llama": dict(act_fn="silu", gated_mlp=True, normalization_type="RMS", positional_embedding_type="rotary", n_key_value_heads=2),
    "parallel neox": dict(act_fn="gelu", parallel_attn_mlp=True, positional_embedding_type="rotary", rotary_dim=4),
}
for kind, more in KINDS.items():
    fields = dict(n_layers=3, d_model=32, n_ctx=24, d_head=8, d_vocab=60, **more)
    with contextlib.redirect_stdout(io.StringIO()):
        tl = theirs.HookedTransformer(theirs.HookedTransformerConfig(**fields, device="cpu", seed=3))
    for parameter in tl.parameters():
        torch.nn.init.normal_(parameter, std=0.15 if parameter.ndim > 1 else 0.05)
    model = ours.HookedTransformer(ours.HookedTransformerConfig(**fields))
    own = set(model.state_dict())
    model.load_state_dict({name: value for name, value in tl.state_dict().items() if name in own})
    tokens, other = torch.randint(0, 60, (2, 9)), torch.randint(0, 60, (2, 9))

    with torch.no_grad():
        logits, cache = model.run_with_cache(tokens)
        expected, their_cache = tl.run_with_cache(tokens)
        assert isinstance(logits, torch.Tensor) and isinstance(model, torch.nn.Module) and list(cache) == list(their_cache), kind
        compare(f"{kind}: logits", logits, expected, 1e-5)
        for name in their_cache:
            compare(f"{kind}: {name}", cache[name], their_cache[name], 2e-5)
        compare(f"{kind}: loss", model(tokens, return_type="loss"), tl(tokens, return_type="loss"), 1e-5)

        # TransformerLens's own hook code, as it stands, on both.
        def ablate(z, hook):
            z[:, :, 2] = 0.0
        def rotate(value, hook):
            hook.ctx["norm"] = value.norm(dim=-1)
            return value.flip(-1) * 0.5
        def patch(value, hook, source):
            value[:, 4] = source[hook.name][:, 4]
            return value
        from functools import partial
        for name, hook in (("blocks.1.attn.hook_z", ablate), ("blocks.2.hook_resid_pre", rotate), ("blocks.0.hook_attn_out", None)):
            pair = [[(name, hook or partial(patch, source=c))] for c in (model.run_with_cache(other)[1], tl.run_with_cache(other)[1])]
            mine, yours = (one.run_with_hooks(tokens, fwd_hooks=hooks) for one, hooks in zip((model, tl), pair))
            compare(f"{kind}: hooked {name}", mine, yours, 1e-5)
        assert "norm" in model.hook_dict["blocks.2.hook_resid_pre"].ctx

        clean, their_clean = model.run_with_cache(other)[1], tl.run_with_cache(other)[1]
        metric = lambda logits: logits[:, -1, 7].mean() - logits[:, -2, 3].mean()
        for helper in ("resid_pre", "attn_head_out_by_pos", "attn_head_pattern_all_pos", "attn_head_k_all_pos"):
            with contextlib.redirect_stderr(io.StringIO()):
                a = getattr(our_patching, f"get_act_patch_{helper}")(model, tokens, clean, metric)
                b = getattr(their_patching, f"get_act_patch_{helper}")(tl, tokens, their_clean, metric)
            compare(f"{kind}: patch {helper}", a, b, 2e-5)
        parts, labels = cache.decompose_resid(return_labels=True)
        expected, their_labels = their_cache.decompose_resid(return_labels=True)
        assert labels == their_labels
        compare(f"{kind}: decompose_resid", parts, expected, 2e-5)
        compare(f"{kind}: heads", cache.stack_head_results(), their_cache.stack_head_results(), 2e-5)

    # Gradients: TransformerLens differentiates everything, the engine what is asked for.
    grads = {}
    for name, one in (("ours", model), ("theirs", tl)):
        kept = grads[name] = {}
        def keep(gradient, hook):
            kept[hook.name] = gradient.clone()
        with one.hooks(bwd_hooks=[(lambda n: n.endswith(("hook_resid_pre", "hook_z", "hook_attn_out")), keep)]):
            one(tokens)[:, -1, :7].square().sum().backward()
    assert set(grads["ours"]) == set(grads["theirs"]) and len(grads["ours"]) == 9
    for name in grads["theirs"]:
        compare(f"{kind}: gradient {name}", grads["ours"][name], grads["theirs"][name], 1e-4)
    loss, cache = model.run_with_cache(tokens, return_type="loss", incl_bwd=True)
    expected, their_cache = tl.run_with_cache(tokens, return_type="loss", incl_bwd=True)
    for name in ("blocks.0.hook_resid_pre_grad", "blocks.1.attn.hook_pattern_grad", "blocks.2.attn.hook_q_grad"):
        compare(f"{kind}: {name}", cache[name], their_cache[name], 1e-5)
    # TransformerLens's own cache of keys and values needs a tokenizer.
    generated = [one.generate(tokens, max_new_tokens=6, do_sample=False, stop_at_eos=False, verbose=False, use_past_kv_cache=one is model)
                 for one in (model, tl)]
    assert torch.equal(*generated), kind
worst = sorted(found.items(), key=lambda item: -item[1])[:5]
print(json.dumps({"compared": len(found), "worst": worst}))
"""


@pytest.fixture(scope="module")
def beside(peers):
    """What a process says that has both packages; importing TransformerLens takes longest, so it is one."""
    return run(BESIDE + NAMES, environment(), python=peers, timeout=240).splitlines()


def test_the_same_code_gives_the_same_numbers_in_transformerlens(beside, capsys):
    with capsys.disabled():
        print(f"\nbeside TransformerLens 3.9: {beside[0]}")
    assert json.loads(beside[0])["compared"] > 300


NAMES = """
import importlib, inspect
import interopinterp, transformer_lens
for module, names in {
        "": ["HookedTransformer", "HookedTransformerConfig", "ActivationCache", "FactoredMatrix", "HookedRootModule", "patching", "utils",
             "utilities"],
        "hook_points": ["HookPoint", "LensHandle", "NamesFilter"], "HookedTransformer": ["HookedTransformer", "Output"],
        "ActivationCache": ["ActivationCache"], "HookedRootModule": ["HookedRootModule"], "FactoredMatrix": ["FactoredMatrix"],
        "HookedTransformerConfig": ["HookedTransformerConfig"], "config": ["HookedTransformerConfig"],
        "head_detector": ["detect_head"], "cache.key_value_cache": ["TransformerLensKeyValueCache"],
        "past_key_value_caching": ["HookedTransformerKeyValueCache"]}.items():
    found = importlib.import_module(f"interopinterp.{module}" if module else "interopinterp")
    for name in names:
        assert hasattr(found, name), (module, name)
assert isinstance(interopinterp.HookedTransformer, type) and isinstance(interopinterp.ActivationCache, type)

patched = [n for n in dir(their_patching) if n.startswith(("get_act_patch", "layer_")) or n == "generic_activation_patch"]
assert len(patched) > 20 and all(hasattr(our_patching, n) for n in patched), patched
# Parameters of each call come in TransformerLens's order under its names; more may follow.
for cls in ("HookedTransformer", "ActivationCache", "FactoredMatrix"):
    mine, their = getattr(interopinterp, cls), getattr(transformer_lens, cls)
    for name in sorted(set(dir(mine)) & set(dir(their))):
        a, b = getattr(mine, name), getattr(their, name)
        own = (inspect.isfunction(b) or inspect.ismethod(b)) and b.__qualname__.split(".")[0] in (cls, "HookedRootModule")
        if name.startswith("_") or not own:
            continue
        mine_names, their_names = list(inspect.signature(a).parameters), list(inspect.signature(b).parameters)
        their_names = [n for n in their_names if n != "kwargs"]
        if name not in ("to", "cuda", "cpu", "state_dict", "load_state_dict", "check_hooks_to_add"):
            assert mine_names[:len(their_names)] == their_names, (cls, name, mine_names, their_names)
print("same names")
"""


def test_imports_and_signatures_are_those_of_3x_code(beside):
    assert beside[1] == "same names"


TORCH = """
import sys, warnings
warnings.filterwarnings("ignore")
import torch
import interopinterp as ii
from interopinterp import errors, ops
torch.manual_seed(0)
model = ii.HookedTransformer(dict(n_layers=2, d_model=16, n_ctx=16, d_head=8, d_vocab=40, act_fn="gelu_new", seed=1))
tokens = torch.randint(0, 40, (2, 7))

# A tree of torch modules; results over the engine's memory.
assert isinstance(model, torch.nn.Module) and isinstance(model.blocks[0].attn.hook_q, torch.nn.Module)
assert dict(model.named_modules())["blocks.1.attn.hook_z"] is model.hook_dict["blocks.1.attn.hook_z"]
with torch.no_grad():
    logits = model(tokens)
seen = []
def edit(value, hook):
    seen.append(value)
    value[:, 0] = 0
with torch.no_grad():
    changed = model.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_resid_post", edit)])
assert isinstance(seen[0], torch.Tensor) and (seen[0][:, 0] == 0).all() and not torch.equal(changed, logits)
print("memory")

# torch's own hooks on a hook point run inside the engine's pass, and edit it.
def torch_hook(module, inputs, output):
    return output * 2
handle = model.blocks[1].hook_resid_pre.register_forward_hook(torch_hook)
with torch.no_grad():
    doubled = model(tokens)
handle.remove()
with torch.no_grad():
    same = model.run_with_hooks(tokens, fwd_hooks=[("blocks.1.hook_resid_pre", lambda v, hook: v * 2)])
    assert torch.equal(doubled, same) and torch.equal(model(tokens), logits)
    names = []
    model.call_every_hook_point = True
    handles = [point.register_forward_hook(lambda m, i, o: names.append(m.name)) for point in model.hook_points()]
    model(tokens)
    assert names == list(model.fireable()), names
    for handle in handles: handle.remove()
    model.call_every_hook_point = False
print("modules")

# backward: through the logits, the loss, a residual stream that went in; refused behind an edit that nobody can differentiate.
resid = model(tokens, stop_at_layer=1).detach().requires_grad_()
loss = model(resid, start_at_layer=1, tokens=tokens, return_type="loss")
loss.backward()
expected = model.gradients(tokens, ii.metrics.loss(), "blocks.1.hook_resid_pre")["blocks.1.hook_resid_pre"]
assert torch.allclose(resid.grad, expected, atol=1e-6), (resid.grad - expected).abs().max()
both = model(tokens, return_type="both")
grads = []
with model.hooks(bwd_hooks=[("blocks.0.hook_resid_pre", lambda g, hook: grads.append(g.clone()))]):
    (both.logits.square().mean() + 3 * both.loss).backward()
a = model.gradients(tokens, lambda logits: logits.square().mean(), "blocks.0.hook_resid_pre")["blocks.0.hook_resid_pre"]
b = model.gradients(tokens, ii.metrics.loss(), "blocks.0.hook_resid_pre")["blocks.0.hook_resid_pre"]
assert torch.allclose(grads[0], a + 3 * b, atol=1e-6)
looks, nothing = [], [("blocks.0.hook_resid_pre", lambda g, hook: None)]
with model.hooks(fwd_hooks=[("blocks.1.hook_resid_pre", lambda v, hook: looks.append(v.mean()))], bwd_hooks=nothing):
    model(tokens).sum().backward()
assert len(looks) == 1, "a hook that only looks runs once"
with model.hooks(fwd_hooks=[("blocks.1.hook_resid_pre", lambda v, hook: v * 2)], bwd_hooks=nothing):
    try:
        model(tokens).sum().backward()
    except errors.FailedPreconditionError as error:
        assert error.reason == "GRADIENT_THROUGH_CALLBACK"
    else:
        raise AssertionError("differentiated through a Python hook")
keep = [("blocks.0.hook_resid_pre", lambda g, hook: grads.append(g))]
with model.hooks(fwd_hooks=[("blocks.1.hook_resid_pre", ops.scale(2.0))], bwd_hooks=keep):
    model(tokens).sum().backward()
assert len(grads) == 2
print("backward")

# Mistakes that only torch allows.
try:
    model(tokens.to("meta"))
except errors.InvalidArgumentError as error:
    assert error.reason == "TENSOR_HAS_NO_DATA"
model.W_E[0] = 0
try:
    model(tokens)
except errors.FailedPreconditionError as error:
    assert error.reason == "WEIGHT_WRITTEN_TO" and "embed.W_E" in str(error)
state = {name: value.clone() for name, value in model.state_dict().items()}
model.load_state_dict(state)
with torch.no_grad():
    assert not torch.equal(model(tokens), logits), "the changed weights are loaded now"
ii.results_as("numpy")
assert type(model(tokens)).__module__ == "numpy"
print("mistakes")
"""


@pytest.mark.parametrize("order", ["torch first", "ours first"])
def test_torch_hooks_modules_and_backward(peers, order):
    code = TORCH if order == "torch first" else TORCH.replace("import torch\nimport interopinterp as ii",
                                                              "import interopinterp as ii\nimport torch")
    assert run(code, environment(), python=peers, timeout=120).split() == ["memory", "modules", "backward", "mistakes"]
