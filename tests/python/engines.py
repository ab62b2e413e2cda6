"""A server for the conformance tests, reached over TCP and over a Unix socket."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from conftest import REPOSITORY, SHARED

# A small random model, the same in every engine.
TINY = dict(n_layers=2, d_model=16, n_ctx=20, d_head=8, d_vocab=50, act_fn="gelu_new", seed=1)


class Server:
    """A server in a child process, which ends with this one.

    addresses  by door: "grpc-tcp", "grpc-unix"
    root       a model root of its own, for what is saved; the shared folder is another
    """

    def __init__(self, folder: Path):
        built = (REPOSITORY / "artifacts" / "bin" / "InteropInterp.TestServer").glob("*/InteropInterp.TestServer.dll")
        assembly = max(built, default=None, key=lambda file: file.stat().st_mtime)
        if assembly is None:
            pytest.skip("the server is not built: dotnet build tests/InteropInterp.TestServer")
        self.root = folder / "models"
        self.root.mkdir()
        roots = [str(self.root)] + ([str(SHARED)] if SHARED.is_dir() else [])
        self._log = folder / "server.log"
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                ["dotnet", str(assembly), str(folder / "socket" / "interp"), *roots], stdin=subprocess.PIPE, stdout=log,
                stderr=subprocess.STDOUT)
        told = self._told().split()
        self.addresses = {"grpc-tcp": next(a for a in told if a.startswith("grpc")),
                          "grpc-unix": next(a for a in told if a.startswith("unix"))}

    def close(self) -> None:
        """Stops it; what it logged must not tell of failures of its own."""
        self._process.stdin.close()
        assert self._process.wait(20) == 0, self.log()
        # A client that gives up a stream is none.
        failures = [line for line in self.log().splitlines() if " fail: " in line and "The client reset the request stream" not in line]
        assert not failures and "Unhandled" not in self.log(), self.log()

    def log(self) -> str:
        """What it logged."""
        return self._log.read_text()

    def _told(self) -> str:
        for _ in range(600):
            for line in self.log().splitlines():
                if line.startswith("addresses: "):
                    return line.removeprefix("addresses: ")
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log()}")
