#!/usr/bin/env python3
"""Runs the engine on this machine's Python torch: its self-test, golden numbers, the benchmark's jobs, and the peers' beside them.

usage: python3 run.py [--json FILE] [--device cuda:0] [--dtypes float32,bfloat16,float16] [--tf32] [--only SUBSTRING] [--smollm2 FILE.gguf]
                      [--torch DIR] [--steps doctor,goldens,smollm2,jobs,peers]
Needs Python's standard library, and a torch 2.10 to 2.12 that this Python finds (or --torch DIR, a site-packages/torch). Everything is
written to the JSON as it comes, so that a run that is cut short leaves what it has. The exit status is 1 where a step failed or a number
is off its golden one.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
STEPS = ("doctor", "goldens", "smollm2", "jobs", "peers")


def find_torch(named):
    """The folder of a torch package and its version, without importing it."""
    if named is None:
        spec = importlib.util.find_spec("torch")
        if spec is None or not spec.submodule_search_locations:
            sys.exit(f"{sys.executable} finds no torch. Run this with the Python that has it, or say --torch .../site-packages/torch")
        named = next(iter(spec.submodule_search_locations))
    folder = pathlib.Path(named).resolve()
    told = {}
    if (folder / "version.py").is_file():
        exec((folder / "version.py").read_text(), told)  # noqa: S102: what "import torch.version" does
    return folder, str(told.get("__version__", "unknown")), told.get("cuda")


def output(*command):
    """What a command prints, or None where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def machine(version, cuda):
    """What the figures were taken on."""
    names = (line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    cards = output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return {"cards": cards.splitlines() if cards else [], "processor": next(names, "").partition(":")[2].strip(), "cores": os.cpu_count(),
            "system": platform.platform(), "python": platform.python_version(), "torch": version, "torch_cuda": cuda,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


class Runner:
    """Runs programs of this folder, one after the other, and keeps what they say."""

    def __init__(self, args, torch, report):
        self.args, self.report, self.failed = args, report, []
        self.environment = {
            **os.environ, "DOTNET_ROOT": str(HERE / "dotnet"), "DOTNET_ROOT_X64": str(HERE / "dotnet"),
            "INTEROPINTERP_LIBTORCH": str(torch / "lib"),
            "INTEROPINTERP_PRIVATE_LIBTORCH": "0"}

    def keep(self, name, value):
        self.report[name] = value
        if self.args.json:
            self.args.json.write_text(json.dumps(self.report, indent=1))

    def fail(self, what, why):
        self.failed.append(what)
        self.keep("failed", {**self.report.get("failed", {}), what: why})
        print(f"FAILED {what}: {why}", file=sys.stderr, flush=True)

    def run(self, what, *command):
        """A program's standard output, or None where it failed."""
        done = subprocess.run([*map(str, command)], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.fail(what, (done.stderr.strip() or done.stdout.strip())[-2000:] or f"ended with status {done.returncode}")
        return done.stdout if done.returncode == 0 else None

    def interp(self, what, *arguments):
        out = subprocess.run([HERE / "engine" / "interp", *arguments], env=self.environment, capture_output=True, text=True, check=False)
        try:
            told = json.loads(out.stdout)
        except ValueError:
            self.fail(what, (out.stderr.strip() or out.stdout.strip())[-2000:] or f"ended with status {out.returncode}")
            return None
        if out.returncode != 0:
            self.fail(what, f"interp ended with status {out.returncode}")
        return told

    def jobs(self, what, program, *arguments):
        """The jobs of a program that writes a report: their figures, or None."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "report.json"
            done = self.run(what, *program, "--json", path, *arguments)
            if done is None and not path.is_file():
                return None
            told = json.loads(path.read_text())
        for job, figures in told["jobs"].items():
            print(f"{what:28} {job:34} " + "  ".join(f"{k}={v:.6g}" for k, v in figures.items()), flush=True)
        return told["jobs"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--device")
    parser.add_argument("--dtypes")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--smollm2", type=pathlib.Path)
    parser.add_argument("--torch", type=pathlib.Path)
    parser.add_argument("--steps", default=",".join(STEPS))
    args = parser.parse_args()
    steps = args.steps.split(",")
    if unknown := set(steps) - set(STEPS):
        parser.error(f"--steps knows {', '.join(STEPS)}, not {', '.join(sorted(unknown))}")

    torch, version, cuda = find_torch(args.torch)
    report = {"machine": machine(version, cuda)}
    runner = Runner(args, torch, report)
    device = args.device or ("cuda:0" if cuda and report["machine"]["cards"] else "cpu")
    dtypes = (args.dtypes or ("float32" if device == "cpu" else "float32,bfloat16,float16")).split(",")
    tf32 = ["--tf32"] if args.tf32 else []
    report["device"] = device
    print(json.dumps(report, indent=1), flush=True)

    if "doctor" in steps and (told := runner.interp("doctor", "doctor", "--device", device, *tf32, "--json")):
        runner.keep("doctor", told["engine"])
        print(json.dumps(told["engine"], indent=1), flush=True)
    for dtype in dtypes:
        where = ["--device", device, "--dtype", dtype, *tf32]
        if "goldens" in steps and any((HERE / "goldens").iterdir()):
            if told := runner.interp(f"goldens {dtype}", "doctor", "--models", HERE / "goldens", *where, "--json"):
                runner.keep(f"goldens {dtype}", told["families"])
                print(*(f"{dtype:10} {f['family']:12} error {f['error']}  {f['status']}" for f in told["families"]), sep="\n", flush=True)
        benchmarks = [HERE / "engine" / "InteropInterp.Benchmarks", *where]
        if "smollm2" in steps and args.smollm2:
            runner.keep(f"smollm2 {dtype}", runner.jobs(f"ours smollm2 {dtype}", [*benchmarks, "--smollm2", args.smollm2]))
        if "jobs" in steps:
            runner.keep(f"jobs {dtype}", runner.jobs(f"ours {dtype}", benchmarks, "--only", args.only))
        if "peers" in steps:
            peers = [sys.executable, HERE / "peers.py", *where]
            runner.keep(f"peers {dtype}", runner.jobs(f"peers {dtype}", peers, "--only", args.only))
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
