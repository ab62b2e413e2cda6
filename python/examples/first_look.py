"""A model in this process: its cache, a hook, a patch. Run it as it stands: the "induction" model comes with the engine."""

import numpy as np

import interopinterp as ii

model = ii.HookedTransformer.from_pretrained("induction")
half = np.random.default_rng(0).integers(1, model.cfg.d_vocab, (1, 20))
tokens = np.concatenate([half, half], 1)  # a random sequence, twice
logits, cache = model.run_with_cache(tokens)
scores = [[cache["pattern", layer][0, head].diagonal(1 - 20).mean() for head in range(model.cfg.n_heads)] for layer in range(model.cfg.n_layers)]
layer, head = np.unravel_index(np.argmax(scores), np.shape(scores))
print(f"Head L{layer}H{head} attends to the token after the last occurrence: {np.max(scores):.0%} of its attention.")
with model.hooks(fwd_hooks=[(f"blocks.{layer}.attn.hook_z", ii.ops.zero(heads=[head]))]):
    print(f"Loss of the second half {model.loss_fn(logits[:, 20:], tokens[:, 20:]):.2f}, without that head "
          f"{model.loss_fn(model(tokens)[:, 20:], tokens[:, 20:]):.2f}.")
