"""What the Python tests share: the package from the source tree, child processes, the peers' torch, pythonnet."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "python"
SHARED = Path(os.environ.get("INTEROPINTERP_SHARED") or REPOSITORY.parent / "shared")
sys.path.insert(0, str(PACKAGE))
# On a machine that others use too, libgomp's threads would spin for milliseconds at the end of every small product.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def environment(door: str = "", *site: str, **more: str) -> dict[str, str]:
    """A child's environment: the package importable, one loader chosen, nothing else of ours."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("INTEROPINTERP_") or name == "INTEROPINTERP_HOME"}
    env["PYTHONPATH"] = os.pathsep.join((str(PACKAGE), *site, env.get("PYTHONPATH", "")))
    if door:
        env["INTEROPINTERP_DOOR"] = door
    return env | more


def run(code: str, env: dict[str, str], *arguments: str, python: str = sys.executable, timeout: float = 120) -> str:
    """Runs a script in a fresh process; its output, or a failure that shows all it said and, should it hang, where its threads are."""
    child = subprocess.Popen([python, "-c", textwrap.dedent(code), *arguments], env=env | {"PYTHONFAULTHANDLER": "1"},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGABRT)
        out, err = child.communicate(timeout=20)
        raise AssertionError(f"no end after {timeout} s\n{out}\n{err}") from None
    assert child.returncode == 0, f"exit code {child.returncode}\n{out}\n{err}"
    return out


def shared(*parts: str) -> Path:
    """A place in the shared folder; skips where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


def close(found, expected, most: float = 1e-4) -> bool:
    """Whether two arrays have one shape and differ by at most so much."""
    import numpy as np

    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return found.shape == expected.shape and (found.size == 0 or float(np.abs(found - expected).max()) <= most)


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


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    from engines import Server

    found = Server(tmp_path_factory.mktemp("server"))
    yield found
    found.close()


@pytest.fixture(scope="session", params=os.environ.get("INTEROPINTERP_TEST_DOORS", "in-process grpc-tcp grpc-unix").split())
def engine(request):
    """A client of the engine: in this process, or on a server."""
    import interopinterp

    if request.param == "in-process":
        client = interopinterp.local()
        assert client.door == os.environ.get("INTEROPINTERP_DOOR", client.door)
        yield client
    else:
        client = interopinterp.connect(request.getfixturevalue("server").addresses[request.param])
        yield client
        client.close()


@pytest.fixture
def in_process(engine):
    """Skips where Python functions cannot run in the middle of a run."""
    if not engine.transport.has_callbacks:
        pytest.skip("in process only")


@pytest.fixture
def over_grpc(engine):
    """Skips where there is no server."""
    if engine.transport.has_callbacks:
        pytest.skip("over gRPC only")


@pytest.fixture
def dictionaries(engine):
    """Every engine has them, and says so."""
    assert "dictionaries" in engine.info().capabilities


@pytest.fixture(scope="session")
def model_folder(engine):
    """The four-layer GPT-2 of the goldens, as the engine's from_pretrained takes it."""
    path = shared("fixtures", "models", "gpt2_shakespeare")
    return str(path) if engine.transport.has_callbacks else "fixtures/models/gpt2_shakespeare"


@pytest.fixture(scope="session")
def shakespeare(engine, model_folder):
    return engine.HookedTransformer.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def induction(engine):
    """The trained model that comes with the engine."""
    return engine.HookedTransformer.from_pretrained("induction")


@pytest.fixture(scope="session")
def clean_tokens():
    return golden("forward")[0]["tokens"]


@pytest.fixture(scope="session")
def tiny(engine):
    """A small random model, the same in every engine."""
    from engines import TINY

    return engine.HookedTransformer(TINY)


@pytest.fixture(scope="session")
def tokens():
    import numpy as np

    return np.array([[1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14]])


@pytest.fixture(scope="session")
def other_tokens():
    import numpy as np

    return np.array([[3, 1, 4, 1, 5, 9, 2], [6, 5, 3, 5, 8, 9, 7]])


@pytest.fixture(scope="session")
def in_process_logits(tokens):
    import interopinterp
    from engines import TINY

    return interopinterp.HookedTransformer(TINY)(tokens)


@pytest.fixture(scope="session")
def writable_root(request, tmp_path_factory):
    """A path that an engine may write a model to."""
    folder = tmp_path_factory.mktemp("saved")

    def path(engine, name):
        return str(folder / name) if engine.transport.has_callbacks else str(request.getfixturevalue("server").root / name)

    return path
