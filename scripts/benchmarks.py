#!/usr/bin/python3
"""Times the engine beside the peers, in turn on one machine in one run, and prints the README's table.

usage: benchmarks.py [--peers FOLDER] [--rounds N] [--only SUBSTRING,...] [--smollm2 FILE.gguf] [--json FILE]
--peers: where install.sh and bench/ of the peers are (default: shared/peers beside the repository). Each round runs every peer, then
the engine; a figure is the median over the rounds, and a ratio is of medians. Without the peers the engine's figures stand alone.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = "tests/InteropInterp.Benchmarks"
PROGRAM = ROOT / "artifacts" / "bin" / "InteropInterp.Benchmarks" / "release" / "InteropInterp.Benchmarks"

# GFLOP that no exact method can avoid (multiply-adds x 2), by job.
NEEDED = {
    "forward_b1_t128": 32, "forward_b8_t128": 255, "forward_b1_t1024": 272, "cache_all_b8_t128": 255, "cache_all_b1_t1024": 272,
    "cache_resid_l6_stop_b8_t128": 103, "logit_lens_b8_t128": 184, "sweep_resid_pre": 906, "sweep_attn_out": 769,
    "sweep_head_out_all_pos": 1320, "sweep_head_pattern_all_pos": 1320, "sweep_head_out_by_pos": 9230, "attribution_patching_b8_t15": 61,
    "smollm2_sweep_resid_pre": 376,
}
# What Hugging Face's script measures too; it has no --only.
HUGGING_FACE = ("load", "forward_b1_t128", "forward_b8_t128", "forward_b1_t1024", "generate_b1_32+64", "generate_b8_32+64")


def commands(args, only, peers):
    """(name, command) of every engine that has such jobs."""
    ours = [PROGRAM]
    if args.smollm2:
        ours += ["--smollm2", args.smollm2]
    elif only:
        ours += ["--only", only]
    found = []
    if peers:
        python = subprocess.run([peers / "install.sh"], check=True, capture_output=True, text=True).stdout.split()[-1]
        choice = ["--smollm2", args.smollm2] if args.smollm2 else ["--only", only]
        found.append(("TransformerLens", [python, peers / "bench" / "transformerlens.py", *choice]))
        if not args.smollm2 and any(only in job for job in HUGGING_FACE):
            found.append(("Hugging Face", [python, peers / "bench" / "huggingface.py"]))
    return [*found, ("ours", ours)]


def gather(args, peers):
    """Seconds by job and engine, and GFLOP/s of the machine by engine: medians over the rounds."""
    seconds, rates = {}, {}
    for engine, command in (c for only in args.only.split(",") for _ in range(args.rounds) for c in commands(args, only, peers)):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            subprocess.run([*map(str, command), "--json", file.name], check=True, cwd=ROOT)
            jobs = json.loads(pathlib.Path(file.name).read_text())["jobs"]
        # Before and after: the better of the two saw less of whoever else uses the machine.
        rates.setdefault(engine, []).append(max(figures["gflops"] for figures in jobs.values() if "gflops" in figures))
        for job, figures in jobs.items():
            if "median_s" in figures:
                seconds.setdefault(job, {}).setdefault(engine, []).append(figures["median_s"])
    median = statistics.median
    return {job: {engine: median(times) for engine, times in by.items()} for job, by in seconds.items()}, {e: median(r) for e, r in rates.items()}


def table(seconds, rates):
    """The README's rows of the engine's jobs."""
    yield "| job | ours | TransformerLens 3.9 | Hugging Face | TL / ours | HF / ours | needed GFLOP | of the GEMM rate |"
    yield "|---|---|---|---|---|---|---|---|"
    for job, by in seconds.items():
        if "ours" not in by:
            continue
        ours, others = by["ours"], [by.get("TransformerLens"), by.get("Hugging Face")]
        needed = NEEDED.get(job)
        share = f"{needed / ours / rates['ours']:.0%}" if needed else ""
        yield " | ".join(("| " + job, f"{ours:.3g} s", *(f"{t:.3g} s" if t else "" for t in others),
                          *(f"{t / ours:.2f}x" if t else "" for t in others), f"{needed or ''}", share)) + " |"
    yield ""
    yield "GEMM (2048 x 2048, float32): " + ", ".join(f"{rate:.0f} GFLOP/s with {engine}" for engine, rate in rates.items()) + "."


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--peers", type=pathlib.Path, default=ROOT.parent / "shared" / "peers")
    args.add_argument("--rounds", type=int, default=2)
    args.add_argument("--only", default="")
    args.add_argument("--smollm2")
    args.add_argument("--json", type=pathlib.Path)
    args = args.parse_args()
    peers = args.peers.resolve() if args.peers.is_dir() else None
    if not peers:
        print(f"{args.peers} is absent: the engine alone", file=sys.stderr)
    subprocess.run(["dotnet", "build", "-c", "Release", "-v", "q", "--nologo", PROJECT], check=True, cwd=ROOT)
    seconds, rates = gather(args, peers)
    if args.json:
        args.json.write_text(json.dumps({"seconds": seconds, "gflops": rates}, indent=1))
    print("\n".join(table(seconds, rates)))


if __name__ == "__main__":
    main()
