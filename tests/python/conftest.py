"""What the Python tests share: the package from the source tree, child processes, the peers' torch, pythonnet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "python"
SHARED = Path(os.environ.get("INTEROPINTERP_SHARED") or REPOSITORY.parent / "shared")
sys.path.insert(0, str(PACKAGE))


def environment(door: str = "", *site: str, **more: str) -> dict[str, str]:
    """A child's environment: the package importable, one loader chosen, nothing else of ours."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("INTEROPINTERP_") or name == "INTEROPINTERP_HOME"}
    env["PYTHONPATH"] = os.pathsep.join((str(PACKAGE), *site, env.get("PYTHONPATH", "")))
    if door:
        env["INTEROPINTERP_DOOR"] = door
    return env | more


def run(code: str, env: dict[str, str], *arguments: str, python: str = sys.executable, timeout: float = 120) -> str:
    """Runs a script in a fresh process; its output, or a failure that shows all it said."""
    child = subprocess.run([python, "-c", textwrap.dedent(code), *arguments], env=env, capture_output=True, text=True, timeout=timeout)
    assert child.returncode == 0, f"exit code {child.returncode}\n{child.stdout}\n{child.stderr}"
    return child.stdout


def shared(*parts: str) -> Path:
    """A place in the shared folder; skips where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


def golden(section: str) -> tuple[dict, dict]:
    """(arrays, values) of a section of the analysis goldens."""
    from interopinterp import _safetensors

    folder = shared("fixtures", "analysis")
    told = json.loads((folder / f"{section}.json").read_text())
    return _safetensors.load(folder / f"{section}.safetensors")[0], {name: entry["value"] for name, entry in told["values"].items()}


@pytest.fixture(scope="session")
def client():
    from interopinterp import _inproc

    return _inproc.client()


@pytest.fixture(scope="session")
def pythonnet_site(tmp_path_factory) -> str:
    """A folder to put on the path that has pythonnet."""
    wheels = SHARED / "wheels"
    if not wheels.is_dir():
        pytest.skip("pythonnet's wheels are absent")
    target = tmp_path_factory.mktemp("pythonnet")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--find-links", str(wheels), "--target", str(target), "pythonnet"],
        check=True, capture_output=True)
    return str(target)


@pytest.fixture(params=["hostfxr", "pythonnet"])
def door(request) -> dict[str, str]:
    """The environment of a child that comes in through one loader or the other."""
    site = [request.getfixturevalue("pythonnet_site")] if request.param == "pythonnet" else []
    return environment(request.param, *site)


@pytest.fixture(scope="session")
def peers() -> str:
    """A Python that can import torch 2.13."""
    named = os.environ.get("INTEROPINTERP_PEERS")
    folder = Path(named) if named else Path.home() / ".cache" / "interop-peers"
    if not (folder / "ready").exists():
        install = SHARED / "peers" / "install.sh"
        if not install.is_file():
            pytest.skip("torch 2.13 is absent: neither INTEROPINTERP_PEERS nor the shared folder has it")
        subprocess.run(["bash", str(install), str(folder)], check=True, capture_output=True)
    return str(folder / "python")
