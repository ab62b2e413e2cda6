"""The circuit of indirect objects in a language model, by hand: what `interp circuit ioi` does in one go.

    python3 ioi_circuit.py path/to/model [prompts]
"""

import itertools
import sys

import numpy as np

import interopinterp as ii
from interopinterp import metrics, ops, patching
from interopinterp.tools.analysis import direct_logit_attribution

SENTENCE = "After{} and{} came out of the station,{} handed the ticket to"
PAIRS = [(" Mary", " John"), (" Anna", " Peter"), (" Sarah", " David"), (" Alice", " Robert")]
OTHERS = [" Laura", " Thomas", " Kate", " Michael", " Jane", " Paul"]

model = ii.HookedTransformer.from_pretrained(sys.argv[1])
count = int(sys.argv[2]) if len(sys.argv) > 2 else 16
answers = [pair[::turn] for pair in PAIRS for turn in (1, -1) for _ in range(2)][:count]  # (answer, the name that comes again)
orders = [names[::turn] for names, turn in zip(answers, itertools.cycle((1, -1)))]
three = [(OTHERS[i % 6], OTHERS[(i + 1) % 6], OTHERS[(i + 3) % 6]) for i in range(count)]
clean = model.to_tokens([SENTENCE.format(*order, again) for order, (_, again) in zip(orders, answers)])
swapped = model.to_tokens([SENTENCE.format(*order, answer) for order, (answer, _) in zip(orders, answers)])
unrelated = model.to_tokens([SENTENCE.format(*names) for names in three])
right, wrong = [answer for answer, _ in answers], [again for _, again in answers]
metric = metrics.logit_diff(right, wrong)

behaviour = np.asarray(model.measure(clean, metric))
base = float(behaviour.mean())
print(f"{(behaviour > 0).mean():.0%} of {count} prompts are solved; logit difference {base:.2f}, "
      f"answer swapped {np.mean(model.measure(swapped, metric)):.2f}, unrelated names {np.mean(model.measure(unrelated, metric)):.2f}")

direct = direct_logit_attribution(model, clean, right, wrong, unit="head")
print(f"Written towards the answer, {np.asarray(direct).sum(0).mean():.2f} in all:",
      ", ".join(f"{name} {value:.2f}" for name, value in direct.top(8)))

both = patching.contrast(model, clean, {"swapped": swapped}, "attn_head_out_all_pos", metric)
restored = both.select(direction="denoising", corruption="swapped").normalized
lost = 1 - both.select(direction="noising", corruption="swapped").normalized
ranking = np.dstack(np.unravel_index(np.argsort(-np.maximum(np.abs(restored), np.abs(lost)), axis=None), restored.shape))[0]
print("One head alone restores, and takes away:",
      ", ".join(f"{layer}.{head} {restored[layer, head]:.0%} {lost[layer, head]:.0%}" for layer, head in ranking[:8]))

into_logits = patching.path_patch(model, clean, unrelated, None, "logits", metric, freeze_mlps=False, receiver_pos=-1)
shares = (base - into_logits.values[:, 0]) / base
movers = [into_logits.labels["sender"][at] for at in np.argsort(-shares)[:3]]
print("By its direct path into the logits:", ", ".join(f"{name} {shares[at]:.0%}" for name, at in zip(movers, np.argsort(-shares))))

queries = [[f"{mover}<q>" for mover in movers]]
into_queries = patching.path_patch(model, clean, unrelated, None, queries, metric, freeze_mlps=False, receiver_pos=-1)
shares = (base - into_queries.values[:, 0]) / base
print("Into their queries:", ", ".join(f"{into_queries.labels['sender'][at]} {shares[at]:.0%}" for at in np.argsort(-shares)[:5]))

none = float(np.mean(model.measure(unrelated, metric)))
for size in (4, 8, 16, 32, 64):
    kept = {tuple(cell) for cell in ranking[:size]}
    ablated = [(layer, [head for head in range(model.cfg.n_heads) if (layer, head) not in kept]) for layer in range(model.cfg.n_layers)]
    with model.hooks(fwd_hooks=[(f"blocks.{layer}.attn.hook_z", ops.mean(unrelated, heads=heads)) for layer, heads in ablated if heads]):
        print(f"{size} heads, all others mean-ablated: {(np.mean(model.measure(clean, metric)) - none) / (base - none):.0%} of the difference")
