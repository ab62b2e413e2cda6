"""The same client through pythonnet, and .NET itself from Python."""

import subprocess
import sys
from pathlib import Path

from conftest import environment, run

HERE = Path(__file__).parent


def test_calls_and_tensors_behave_the_same_through_pythonnet(pythonnet_site, capsys):
    files = [str(HERE / name) for name in ("test_inproc_calls.py", "test_inproc_tensors.py")]
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        env=environment("pythonnet", pythonnet_site), capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, child.stdout + child.stderr
    with capsys.disabled():
        print("\n" + next(line for line in child.stdout.splitlines() if line.startswith("pythonnet: ")))


def test_the_doors_plain_methods_answer_pythonnet(pythonnet_site):
    out = run("""
        from interopinterp import _inproc
        client = _inproc.client()
        from InteropInterp.Python import PythonNet
        good, bad = PythonNet.Call("door.Ping", b"hello"), PythonNet.Call("door.Pong", b"")
        print(good.Code, bytes(good.Reply), bad.Code, b"UNKNOWN_METHOD" in bytes(bad.Reply))
        seen = []
        number = client.callback(lambda request: seen.append(request) or b"back")
        print(bytes(PythonNet.Call("door.CallBack", number.to_bytes(8, "little") + b"there").Reply), seen)
        print(PythonNet.Call("door.CallBack", client.callback(lambda request: 1 // 0).to_bytes(8, "little")).Code)
        """, environment("pythonnet", pythonnet_site))
    assert out == "0 b'hello' 5 True\nb'back' [b'there']\n-1\n"


def test_the_whole_dotnet_api_is_open_to_python(pythonnet_site):
    """The example of the documentation: any public type of the engine's assemblies, from Python."""
    out = run("""
        from interopinterp import _inproc
        client = _inproc.client()
        import clr
        clr.AddReference("InteropInterp.Native")
        from InteropInterp import NearestNames
        from InteropInterp.Native import LibTorch
        from System import Array, String
        print(LibTorch.Info.Version, list(NearestNames.Find("hook_resid", Array[String](["hook_resid_pre", "other"]))))
        """, environment("pythonnet", pythonnet_site))
    assert out == "2.10.0 ['hook_resid_pre']\n"
