"""A model in this process: its cache, its induction heads, the model without them. The model comes with the engine."""

import numpy as np

import interopinterp as ii

model = ii.HookedTransformer.from_pretrained("induction")
half = np.random.default_rng(0).integers(1, model.cfg.d_vocab, (1, 20))
tokens = np.concatenate([half, half], 1)  # a random sequence, twice
logits, cache = model.run_with_cache(tokens)
scores = np.array([cache["pattern", layer][0].diagonal(1 - 20, 1, 2).mean(-1) for layer in range(model.cfg.n_layers)])
heads = [(layer, head) for layer, head in np.argwhere(scores > 0.3)]
print("Attention to the token after the last occurrence:", ", ".join(f"L{layer}H{head} {scores[layer, head]:.0%}" for layer, head in heads))
with model.hooks(fwd_hooks=[(f"blocks.{layer}.attn.hook_z", ii.ops.zero(heads=head)) for layer, head in heads]):
    without = model(tokens)
for name, found in (("with these heads", logits), ("without them", without)):
    print(f"Loss of the second half {name}: {model.loss_fn(found[:, 20:], tokens[:, 20:]):.2f}")
