#!/usr/bin/python3
"""Tokens per second of a stream with several statistics at many hook points, beside the bare forward passes over the same batches.

    scripts/stream_speed.py MODEL [--tokens 8192] [--text FILE]

MODEL is a path as from_pretrained takes it. Without a text the tokens are random. Bare passes are streams too, with one mean at the last
layer's output: what is compared is the price of gathering."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from interopinterp import HookedTransformer, streams  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--text")
    arguments = parser.parse_args()
    model = HookedTransformer.from_pretrained(arguments.model)
    length = min(128, model.cfg.n_ctx)
    source = streams.text(arguments.text, row_length=length) if arguments.text else np.random.default_rng(0).integers(
        0, model.cfg.d_vocab, (arguments.tokens // length, length))
    last = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
    point = "blocks.*.attn.hook_z" if model.cfg.attn_only else "blocks.*.mlp.hook_post"
    sets = {
        "bare forward": {last: streams.mean()},
        "mean": {point: streams.mean()},
        "variance": {point: streams.variance()},
        "top 10 with context": {point: streams.top(10)},
        "firing": {point: streams.firing()},
        "sample of 1000": {point: streams.sample(1000)},
        "histogram, 50 bins": {point: streams.histogram(-2, 2, 50)},
        "covariance of the stream": {"blocks.*.hook_resid_post": streams.covariance()},
        "variance, firing, top 10, sample": {
            point: [streams.variance(), streams.firing(), streams.top(10), streams.sample(1000)], last: streams.mean()},
    }
    bare = None
    streams.run(model, source, sets["bare forward"], max_tokens=arguments.tokens, progress=False)  # warms up
    for name, probes in sets.items():
        best = 0.0
        for _ in range(3):
            start = time.perf_counter()
            result = streams.run(model, source, probes, max_tokens=arguments.tokens, progress=False, every=60)
            best = max(best, result.tokens / (time.perf_counter() - start))
        bare = bare or best
        print(f"{name:36s} {best:9.0f} tokens/s  {best / bare:5.0%} of the bare forward", flush=True)


if __name__ == "__main__":
    main()
