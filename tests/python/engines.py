"""A server for the conformance tests, reached over TCP and over a Unix socket."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
from pathlib import Path

from conftest import REPOSITORY, SHARED

# A small random model, the same in every engine.
TINY = dict(n_layers=2, d_model=16, n_ctx=20, d_head=8, d_vocab=50, act_fn="gelu_new", seed=1)


class Server:
    """A server in a child process, which ends with this one.

    addresses  by door: "grpc-tcp", "grpc-unix"
    root       a model root of its own, for what is saved; the shared folder is another
    """

    def __init__(self, folder: Path):
        built = (REPOSITORY / "artifacts" / "bin" / "InteropInterp.Cli").glob("*/interp.dll")
        assembly = max(built, default=None, key=lambda file: file.stat().st_mtime)
        assert assembly is not None, "the server is not built: dotnet build src/InteropInterp.Cli"
        self.root = folder / "models"
        self.root.mkdir()
        shared = ["--model-root", str(SHARED)] if SHARED.is_dir() else []
        self._log = folder / "server.log"
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                ["dotnet", str(assembly), "serve", "--json", "--port", "0", "--socket", str(folder / "socket" / "interp"),
                 "--writable-root", str(self.root), *shared],
                stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=_end_with_parent)
        # One line, once it listens; nothing where it could not.
        told = self._process.stdout.readline()
        assert told, f"the server did not start:\n{self.log()}"
        addresses = json.loads(told)["addresses"]
        self.addresses = {"grpc-tcp": next(a for a in addresses if a.startswith("grpc")),
                          "grpc-unix": next(a for a in addresses if a.startswith("unix"))}

    def close(self) -> None:
        """Stops it; what it logged must not tell of failures of its own."""
        self._process.terminate()
        assert self._process.wait(20) == 0, self.log()
        self._process.stdout.close()
        assert " fail: " not in self.log() and "Unhandled" not in self.log(), self.log()

    def log(self) -> str:
        """What it logged."""
        return self._log.read_text()


def _end_with_parent() -> None:
    """In the child: should this process be killed, the kernel ends the server too (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
