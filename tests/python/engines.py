"""Engines for the conformance tests: one in this process, and a server reached over TCP and over a Unix socket."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import REPOSITORY, SHARED

DOORS = ("in-process", "grpc-tcp", "grpc-unix")
TINY = dict(n_layers=2, d_model=16, n_ctx=20, d_head=8, d_vocab=50, act_fn="gelu_new", seed=1)


class Server:
    """A server in a child process.

    addresses  of the doors "grpc-tcp" and "grpc-unix"
    root       a model root of its own, for what is saved
    """

    def __init__(self, folder: Path):
        assembly = max((REPOSITORY / "artifacts" / "bin" / "InteropInterp.Server").glob("*/InteropInterp.Server.dll"), default=None,
                       key=lambda file: file.stat().st_mtime)
        if assembly is None:
            pytest.skip("the server is not built: dotnet build src/InteropInterp.Server")
        self.root = folder / "models"
        self.root.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        path = folder / "server.sock"
        self.addresses = {"grpc-tcp": f"grpc://127.0.0.1:{port}", "grpc-unix": f"unix://{path}"}
        arguments = [str(assembly), "--listen", f"127.0.0.1:{port}", "--unix", str(path), "--root", str(SHARED), "--root", str(self.root)]
        self._log = open(folder / "server.log", "w+")
        self._process = subprocess.Popen(["dotnet", *arguments], stdout=self._log, stderr=subprocess.STDOUT)
        self._wait(port)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def _wait(self, port: int) -> None:
        for _ in range(300):
            if self._process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    return
            time.sleep(0.1)
        self._log.seek(0)
        raise AssertionError(f"the server did not start:\n{self._log.read()}")


def folder_for(door: str, *parts: str) -> str:
    """A path in the shared folder, as a door takes it: a server's are below its roots."""
    return str(SHARED.joinpath(*parts)) if door == "in-process" else os.path.join(*parts)
