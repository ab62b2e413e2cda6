"""The conformance tests once more through pythonnet, in a process of their own: a process has one loader."""

import subprocess
import sys
from pathlib import Path

from conftest import environment

HERE = Path(__file__).parent


def test_everything_holds_through_pythonnet(pythonnet_site):
    # What starts processes of its own has been through both loaders already.
    apart = (Path(__file__).name, "test_conformance_interrupt.py", "test_conformance_speed.py")
    files = sorted(str(file) for file in HERE.glob("test_conformance_*.py") if file.name not in apart)
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files],
        env=environment("pythonnet", pythonnet_site, INTEROPINTERP_TEST_DOORS="in-process"), capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, child.stdout[-5000:] + child.stderr[-2000:]
    assert " passed" in child.stdout


def test_the_door_says_its_name(engine):
    assert engine.door in ("hostfxr", "pythonnet") or engine.door.startswith(("grpc://", "unix://"))
    assert engine.HookedTransformer.from_pretrained.__self__._client is engine and repr(engine) == f"Client({engine.door})"
    told = engine.info()
    assert told.protocol_revision == 1 and "cpu" in told.devices and ("callbacks" in told.capabilities) == engine.transport.has_callbacks
