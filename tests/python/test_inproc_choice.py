"""Which .NET part, which .NET, which loader, which libtorch: what is chosen, and what is said when it is not there."""

import json
import os
import shutil
from pathlib import Path

import pytest

from conftest import REPOSITORY, environment, run
from interopinterp import errors
from interopinterp._inproc import locate, torches

CONFIG = {"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "10.0.0"}}}


@pytest.fixture
def engine(tmp_path) -> Path:
    """A folder that looks like the engine's .NET part."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / locate.ASSEMBLY).touch()
    (folder / locate.RUNTIME_CONFIG).write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture
def dotnets(tmp_path, monkeypatch):
    """Lays out .NET installations, and hides those of this machine."""
    monkeypatch.setattr(locate, "_roots", lambda: [Path(os.environ["DOTNET_ROOT"])] if os.environ.get("DOTNET_ROOT") else [])

    def make(name: str, *versions: str) -> Path:
        root = tmp_path / name
        (root / "host" / "fxr" / versions[0]).mkdir(parents=True)
        (root / "host" / "fxr" / versions[0] / "libhostfxr.so").touch()
        for version in versions:
            (root / "shared" / "Microsoft.NETCore.App" / version).mkdir(parents=True)
        monkeypatch.setenv("DOTNET_ROOT", str(root))
        return root

    monkeypatch.delenv("DOTNET_ROOT", raising=False)
    return make


def reason(function, *arguments) -> errors.InterpError:
    with pytest.raises(errors.InterpError) as caught:
        function(*arguments)
    return caught.value


def test_the_home_that_is_named_is_taken_or_refused(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("INTEROPINTERP_HOME", str(engine))
    assert locate.home() == engine
    monkeypatch.setenv("INTEROPINTERP_HOME", str(tmp_path))
    assert reason(locate.home).reason == "ENGINE_NOT_FOUND"


def test_the_newest_build_of_the_repository_is_taken(monkeypatch, tmp_path):
    monkeypatch.delenv("INTEROPINTERP_HOME", raising=False)
    monkeypatch.setattr(locate, "_PACKAGE", tmp_path / "python" / "interopinterp")
    assert "dotnet build src/InteropInterp.Python" in str(reason(locate.home))
    (tmp_path / "InteropInterp.sln").touch()
    assert str(tmp_path) in str(reason(locate.home))
    for age, kind in enumerate(["publish/InteropInterp.Python/release", "bin/InteropInterp.Python/debug"]):
        folder = tmp_path / "artifacts" / kind
        folder.mkdir(parents=True)
        (folder / locate.ASSEMBLY).touch()
        os.utime(folder / locate.ASSEMBLY, (1000 + age, 1000 + age))
    assert locate.home() == tmp_path / "artifacts/bin/InteropInterp.Python/debug"
    os.utime(tmp_path / "artifacts/publish/InteropInterp.Python/release" / locate.ASSEMBLY, (2000, 2000))
    assert locate.home() == tmp_path / "artifacts/publish/InteropInterp.Python/release"


def test_an_installed_package_knows_its_own_part_first_and_its_repository_next(monkeypatch, tmp_path):
    monkeypatch.delenv("INTEROPINTERP_HOME", raising=False)
    package = tmp_path / "site" / "interopinterp"
    (package / "_dotnet").mkdir(parents=True)
    monkeypatch.setattr(locate, "_PACKAGE", package)
    built = tmp_path / "repository/artifacts/bin/InteropInterp.Python/release"
    built.mkdir(parents=True)
    (built / locate.ASSEMBLY).touch()
    (tmp_path / "repository/InteropInterp.sln").touch()
    (package / "_repository.txt").write_text(str(tmp_path / "repository"))
    assert locate.home() == built
    (package / "_dotnet" / locate.ASSEMBLY).touch()
    assert locate.home() == package / "_dotnet"


def test_dotnet_is_found_with_the_runtime_that_is_asked_for(engine, dotnets):
    root = dotnets("good", "8.0.1", "10.0.3")
    assert locate.dotnet(engine) == root


@pytest.mark.parametrize("versions", [("8.0.1",), ("11.0.0",), ("9.0.0-preview.1",)])
def test_a_dotnet_of_another_version_is_named(engine, dotnets, versions):
    root = dotnets("other", *versions)
    error = reason(locate.dotnet, engine)
    assert error.reason == "DOTNET_WRONG_VERSION"
    assert str(root) in error.message and versions[0].split("-")[0] in error.message and "Microsoft.NETCore.App 10" in error.message


def test_every_framework_that_the_engine_needs_is_looked_for(engine, dotnets):
    dotnets("good", "10.0.3")
    frameworks = [{"name": name, "version": "10.0.0"} for name in ("Microsoft.NETCore.App", "Microsoft.AspNetCore.App")]
    (engine / locate.RUNTIME_CONFIG).write_text(json.dumps({"runtimeOptions": {"frameworks": frameworks}}))
    assert "Microsoft.AspNetCore.App in no version" in str(reason(locate.dotnet, engine))


def test_no_dotnet_at_all_is_said(engine, dotnets):
    error = reason(locate.dotnet, engine)
    assert error.reason == "DOTNET_NOT_FOUND" and "DOTNET_ROOT" in error.message


@pytest.fixture
def torch_at(tmp_path, monkeypatch):
    """Puts a package called torch on the path."""
    lib = tmp_path / "site" / "torch" / "lib"
    lib.mkdir(parents=True)
    (tmp_path / "site" / "torch" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name in ("INTEROPINTERP_LIBTORCH", "INTEROPINTERP_PRIVATE_LIBTORCH"):
        monkeypatch.delenv(name, raising=False)
    return lib


def test_where_torch_can_be_imported_the_copies_are_private_and_nothing_is_imported(torch_at, monkeypatch):
    assert torches.choose() == ("", True)
    monkeypatch.setenv("INTEROPINTERP_PRIVATE_LIBTORCH", "0")
    assert torches.choose() == ("", False)


def test_the_torch_that_can_be_imported_may_serve_and_no_other(torch_at, monkeypatch, tmp_path):
    for named in (torch_at, torch_at.parent):
        monkeypatch.setenv("INTEROPINTERP_LIBTORCH", str(named))
        assert torches.choose() == (str(named), False)
    monkeypatch.setenv("INTEROPINTERP_LIBTORCH", str(tmp_path))
    assert reason(torches.choose).reason == "LIBTORCH_CONFLICT"


def test_without_torch_the_plain_libraries_serve(monkeypatch):
    monkeypatch.delenv("INTEROPINTERP_PRIVATE_LIBTORCH", raising=False)
    monkeypatch.setattr(torches.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("INTEROPINTERP_LIBTORCH", raising=False)
    assert torches.choose() == ("", False)
    monkeypatch.setenv("INTEROPINTERP_LIBTORCH", "/somewhere")
    assert torches.choose() == ("/somewhere", False)


OPEN = """
from interopinterp import _inproc, errors
try:
    print(_inproc.client().door)
except errors.InterpError as error:
    print(error.reason)
"""


def test_pythonnet_is_taken_where_it_is_installed_and_either_can_be_forced(pythonnet_site):
    assert run(OPEN, environment("", pythonnet_site)) == "pythonnet\n"
    assert run(OPEN, environment("")) == "hostfxr\n"
    assert run(OPEN, environment("hostfxr", pythonnet_site)) == "hostfxr\n"
    assert run(OPEN, environment("telepathy", pythonnet_site)) == "UNKNOWN_DOOR\n"


def test_the_threads_of_an_operator_can_be_set():
    ask = "from interopinterp import _inproc\nprint(_inproc.client().info()['libtorch']['Threads'])"
    assert run(ask, environment("hostfxr", INTEROPINTERP_THREADS="1")) == "1\n"
    assert run(OPEN, environment("hostfxr", INTEROPINTERP_THREADS="many")) == "BAD_THREADS\n"


def test_a_pythonnet_that_does_not_load_is_reported_and_hostfxr_serves(tmp_path):
    (tmp_path / "pythonnet.py").write_text("raise ImportError('broken')")
    out = run("""
        import warnings
        with warnings.catch_warnings(record=True) as said:
            from interopinterp import _inproc
            print(_inproc.client().door, [str(warning.message) for warning in said])
        """, environment("", str(tmp_path)))
    assert out.startswith("hostfxr ") and "broken" in out


def test_one_door_in_a_process(door):
    other = "hostfxr" if door["INTEROPINTERP_DOOR"] == "pythonnet" else "pythonnet"
    out = run(f"""
        from interopinterp import _inproc, errors
        from interopinterp._inproc import chooser, locate
        _inproc.client()
        home = locate.home()
        try:
            from interopinterp._inproc.client import Client
            Client("again", chooser._LOADERS["{door["INTEROPINTERP_DOOR"]}"](home, locate.dotnet(home)), "", False)
        except errors.InterpError as error:
            print(error)
        """, door)
    assert "ALREADY_LOADED" in out and f"through {door['INTEROPINTERP_DOOR']}" in out and other not in out


def test_a_damaged_runtime_says_what_hostfxr_says(engine):
    (engine / locate.ASSEMBLY).write_bytes(b"not an assembly")
    env = environment("hostfxr", INTEROPINTERP_HOME=str(engine))
    assert run(OPEN, env) == "DOTNET_DOES_NOT_START\n"


def test_an_installed_torch_of_another_version_is_refused_by_name(tmp_path):
    lib = tmp_path / "torch" / "lib"
    lib.mkdir(parents=True)
    for name in ("libc10.so", "libtorch_cpu.so", "libtorch.so"):
        (lib / name).touch()
    (tmp_path / "torch" / "version.py").write_text("__version__ = '2.13.0+cpu'\n")
    env = environment("hostfxr", INTEROPINTERP_LIBTORCH=str(lib))
    assert run(OPEN, env) == "LIBTORCH_VERSION_UNSUPPORTED\n"


def test_the_package_installs_offline_and_finds_the_repositorys_build(tmp_path):
    source = tmp_path / "python"
    shutil.copytree(REPOSITORY / "python", source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    (tmp_path / "InteropInterp.sln").touch()
    (tmp_path / "artifacts").symlink_to(REPOSITORY / "artifacts")
    target = tmp_path / "site"
    run("""
        import subprocess, sys
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--target",
                        sys.argv[1], sys.argv[2]], check=True, stderr=subprocess.DEVNULL)
        """, environment(), str(target), str(source))
    shutil.rmtree(source)
    env = environment("hostfxr")
    env["PYTHONPATH"] = str(target)
    out = run("from interopinterp import _inproc\nprint(_inproc.__file__, _inproc.client().call('door.Ping', b'hello'))", env)
    assert out == f"{target}/interopinterp/_inproc/__init__.py b'hello'\n"
