"""What a call costs, through every door: printed, and held to what would be a blunder."""

import time

import numpy as np

from interopinterp import _pb as pb
from interopinterp import ops


def best(function, repeats=30):
    """The shortest of some runs, in microseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times) * 1e6


def test_overheads(engine, tiny, tokens, capsys):
    tokens = tokens[:1]
    empty = best(lambda: engine.transport.call(pb.GetModelRequest(name=tiny._name)), 200)
    forward = best(lambda: np.asarray(tiny(tokens)))
    cache = best(lambda: tiny.run_with_cache(tokens))
    names = [f"blocks.{layer}.{site}" for layer in range(2) for site in (
        "hook_resid_pre", "hook_resid_mid", "hook_resid_post", "attn.hook_q", "attn.hook_k", "attn.hook_z")]
    scaled = best(lambda: tiny.run_with_hooks(tokens, fwd_hooks=[(name, ops.scale(1.0)) for name in names]))
    told = f"empty call {empty:.0f} us, model(tokens) {forward:.0f} us, run_with_cache {cache:.0f} us, 12 ops {scaled - forward:+.0f} us"
    if engine.transport.has_callbacks:
        hooked = best(lambda: tiny.run_with_hooks(tokens, fwd_hooks=[(name, lambda x, hook: None) for name in names]))
        told += f", 12 hooks that do nothing {hooked - forward:+.0f} us ({(hooked - forward) / 12:.0f} us each)"
        assert hooked < 1e5
    with capsys.disabled():
        print(f"\n{engine.door}: {told}")
    assert empty < 5e4 and forward < 1e5
