#!/usr/bin/python3
"""What a call from Python costs: the smallest call, a forward pass of 40 tokens, a cache, hooks that do nothing.

usage: call_latency.py [--model NAME] [--repeats N] [--json FILE] [--address grpc://... | unix://...]
--model: the shipped one if none is named. Without an address: in this process.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))
import numpy as np

import interopinterp as ii
from interopinterp import _pb as pb

args = argparse.ArgumentParser()
args.add_argument("--model", default="induction")
args.add_argument("--repeats", type=int, default=200)
args.add_argument("--json")
args.add_argument("--address")
args = args.parse_args()
jobs = {}


def measure(job, function, repeats=args.repeats):
    """Median and least time of a call."""
    times = []
    for i in range(repeats + 5):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    times = times[5:]
    jobs[job] = {"median_s": statistics.median(times), "min_s": min(times), "n": repeats}
    print(f"{job:40} median {statistics.median(times) * 1e6:8.0f} us   least {min(times) * 1e6:8.0f} us", flush=True)


root = ii.connect(args.address) if args.address else ii
model = root.HookedTransformer.from_pretrained(args.model)
door = model.door.split(":")[0]
tokens = np.arange(1, 41)[None]
points = [f"blocks.{layer}.{site}" for layer in range(model.cfg.n_layers) for site in (
    "hook_resid_pre", "hook_resid_post", "hook_attn_out", "attn.hook_q", "attn.hook_k", "attn.hook_z")]
transport = model.transport
measure(f"call_{door}_empty", lambda: transport.call(pb.GetModelRequest(name=model._name)), 1000)
measure(f"call_{door}_forward_t40", lambda: np.asarray(model(tokens)))
measure(f"call_{door}_cache_all_t40", lambda: model.run_with_cache(tokens))
measure(f"call_{door}_ops12_t40", lambda: model.run_with_hooks(tokens, fwd_hooks=[(p, ii.ops.scale(1.0)) for p in points]))
if not args.address:
    measure(f"call_{door}_hooks12_t40", lambda: model.run_with_hooks(tokens, fwd_hooks=[(p, lambda x, hook: None) for p in points]))
if args.json:
    pathlib.Path(args.json).write_text(json.dumps({"engine": "interopinterp-python", "jobs": jobs}, indent=1))
