"""Statistics of activations over long streams of tokens, gathered in the engine (Garcon's way): only what is gathered crosses over.

    result = streams.run(model, streams.text("corpus.txt"), {
        "blocks.*.mlp.hook_post": [streams.variance(), streams.top(10)],
        "blocks.*.attn.hook_z": [streams.mean(), streams.sample(1000)]}, max_tokens=1_000_000, checkpoint="run.safetensors")
    result["blocks.3.mlp.hook_post"].examples(1234)
    patching.sweep(model, tokens, "attn_head_out_all_pos", patching.means(result), metric)

What it gathered is a source of ablations: patching.means(result) and patching.samples(result) in sweeps, ops.set(result[point]["mean"])
and ops.resample(result[point]["samples"]) anywhere else.
"""

from interopinterp._streams.result import Example, Probe, StreamInterrupted, StreamResult  # noqa: F401
from interopinterp._streams.run import Stream, at, run  # noqa: F401
from interopinterp._streams.sources import parquet, shards, text  # noqa: F401
from interopinterp._streams.statistics import (  # noqa: F401
    bottom, by_position, covariance, firing, histogram, mean, sample, top, variance)
