import interopinterp as ii

model = ii.HookedTransformer.from_pretrained("induction")  # two layers of attention, trained on repeats; comes with the engine
clean, corrupt = "m7xq2kzb, m7xq", "m7xq9kzb, m7xq"
logits, cache = model.run_with_cache(clean)
print(f"{clean!r} goes on with {model.to_single_str_token(logits[0, -1].argmax())!r}")
looked_at = cache["pattern", 1][0, :, -1].argmax(-1)  # by each head of layer 1, from the last position
print("Layer 1's heads look at", [model.to_str_tokens(clean)[position] for position in looked_at])
table = ii.patching.get_act_patch_attn_head_out_all_pos(model, corrupt, cache, ii.metrics.logit_diff("2", "9"))
print(f"logit('2') - logit('9') of {corrupt!r} with the clean output of one head [layer, head]:", table.round(1), sep="\n")
