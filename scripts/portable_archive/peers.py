#!/usr/bin/env python3
"""Times whatever peers this Python has on the benchmark's jobs, on any device: torch's own matrix product, Hugging Face transformers,
TransformerLens. Jobs are named PEER/JOB; a peer that is absent, or does not do a job, is left out and named.

usage: peers.py [--device cuda:0] [--dtype float32] [--tf32] [--only SUBSTRING] [--json FILE]
The model has GPT-2 small's shape and random weights: time does not depend on the numbers.
"""

import argparse
import gc
import json
import os
import pathlib
import statistics
import sys
import time
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
warnings.filterwarnings("ignore")
import torch  # noqa: E402: after what it reads

VOCABULARY = 50257


def token_ids(batch, length, seed=0):
    """The benchmark's rows, of a 64-bit linear congruential generator."""
    state, rows = 0x9E3779B97F4A7C15 + seed, []
    for _ in range(batch):
        row = []
        for _ in range(length):
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            row.append((state >> 33) % VOCABULARY)
        rows.append(row)
    return rows


class Bench:
    """A clock that waits for the device, and the report."""

    def __init__(self, args):
        self.args, self.device, self.dtype, self.jobs = args, torch.device(args.device), getattr(torch, args.dtype), {}

    def rows(self, batch, length, seed=0):
        return torch.tensor(token_ids(batch, length, seed), device=self.device)

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def measure(self, action, repeats=5, warmup=1):
        for _ in range(warmup):
            action()
        self.wait()
        seconds = []
        for _ in range(repeats):
            gc.collect()
            start = time.perf_counter()
            action()
            self.wait()
            seconds.append(time.perf_counter() - start)
        return {"median_s": statistics.median(seconds), "min_s": min(seconds), "n": repeats}

    def add(self, job, **figures):
        self.jobs[job] = figures
        print(f"{job:50} " + "  ".join(f"{k}={v:.6g}" for k, v in figures.items()), flush=True)
        if self.args.json:
            pathlib.Path(self.args.json).write_text(json.dumps({"engine": "peers", "jobs": self.jobs}, indent=1))

    def job(self, peer, name, action, repeats=5, warmup=1, **figures):
        """Times a job that is wanted; one that a peer refuses is named."""
        if self.args.only not in name:
            return
        try:
            self.add(f"{peer}/{name}", **figures, **self.measure(action, repeats, warmup))
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            print(f"{peer}/{name} is left out: {type(error).__name__}: {error}", file=sys.stderr)

    def gemm(self, name, n=2048):
        a, b = (torch.randn(n, n, device=self.device, dtype=self.dtype) for _ in "ab")
        self.add(name, gflops=2 * n**3 / self.measure(lambda: a @ b, 7)["min_s"] / 1e9)


def hugging_face(bench):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config()).to(bench.device, bench.dtype).eval()
    for batch, length in ((1, 128), (8, 128), (1, 1024), (1, 1)):
        ids = bench.rows(batch, length)
        bench.job("huggingface", f"forward_b{batch}_t{length}", lambda ids=ids: model(ids))
    for batch in (1, 8):
        ids = bench.rows(batch, 32)
        bench.job("huggingface", f"generate_b{batch}_32+64", lambda ids=ids: model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=64, min_new_tokens=64, do_sample=False, pad_token_id=0), 3)


def transformer_lens(bench):
    from transformer_lens import HookedTransformer, HookedTransformerConfig, patching

    model = HookedTransformer(HookedTransformerConfig(
        n_layers=12, d_model=768, n_ctx=1024, d_head=64, n_heads=12, d_mlp=3072, d_vocab=VOCABULARY, act_fn="gelu_new",
        normalization_type="LNPre", device=str(bench.device), dtype=bench.dtype, seed=0))
    for batch, length in ((1, 128), (8, 128), (1, 1024)):
        ids = bench.rows(batch, length)
        bench.job("transformerlens", f"forward_b{batch}_t{length}", lambda ids=ids: model(ids))
        bench.job("transformerlens", f"cache_all_b{batch}_t{length}", lambda ids=ids: model.run_with_cache(ids), 3)
    clean, corrupt, answers = bench.rows(8, 15), bench.rows(8, 15, 1), bench.rows(8, 2, 2)

    def difference(logits):
        last = logits[:, -1]
        return (last.gather(1, answers[:, :1]) - last.gather(1, answers[:, 1:])).mean()

    _, cache = model.run_with_cache(clean)
    for name, sweep, cells in (
            ("sweep_resid_pre", patching.get_act_patch_resid_pre, 180), ("sweep_attn_out", patching.get_act_patch_attn_out, 180),
            ("sweep_head_out_all_pos", patching.get_act_patch_attn_head_out_all_pos, 144),
            ("sweep_head_pattern_all_pos", patching.get_act_patch_attn_head_pattern_all_pos, 144)):
        bench.job("transformerlens", name, lambda sweep=sweep: sweep(model, corrupt, cache, difference), 1, 0, cells=cells)
    for batch in (1, 8):
        ids = bench.rows(batch, 32)
        bench.job("transformerlens", f"generate_b{batch}_32+64", lambda ids=ids: model.generate(
            ids, max_new_tokens=64, do_sample=False, stop_at_eos=False, verbose=False, prepend_bos=False), 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.tf32
    torch.set_grad_enabled(False)
    bench = Bench(args)
    bench.gemm("torch/gemm")
    for peer in (hugging_face, transformer_lens):
        try:
            peer(bench)
        except ImportError as error:
            print(f"{peer.__name__} is left out: {error}", file=sys.stderr)
    bench.gemm("torch/gemm_end")


if __name__ == "__main__":
    main()
