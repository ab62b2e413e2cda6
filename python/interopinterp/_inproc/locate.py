"""Where the engine's .NET part is, and the .NET that runs it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from interopinterp.errors import FailedPreconditionError, NotFoundError

ASSEMBLY = "InteropInterp.Python.dll"
RUNTIME_CONFIG = "InteropInterp.Python.runtimeconfig.json"
_PACKAGE = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The folder of the engine's assemblies: $INTEROPINTERP_HOME, else inside this package, else what the repository has built."""
    named = os.environ.get("INTEROPINTERP_HOME")
    if named:
        if (Path(named) / ASSEMBLY).is_file():
            return Path(named).resolve()
        raise NotFoundError("ENGINE_NOT_FOUND", f"INTEROPINTERP_HOME={named} has no {ASSEMBLY}.")
    if (_PACKAGE / "_dotnet" / ASSEMBLY).is_file():
        return _PACKAGE / "_dotnet"
    repository = _repository()
    built = [folder for kind in ("publish", "bin") for folder in (repository / "artifacts" / kind / "InteropInterp.Python").glob("*")
             if (folder / ASSEMBLY).is_file()] if repository else []
    if not built:
        place = f" in {repository}" if repository else " in the repository, and set INTEROPINTERP_HOME to the folder it names"
        raise NotFoundError("ENGINE_NOT_FOUND", f"The engine's .NET part is not here. Run: dotnet build src/InteropInterp.Python{place}.")
    return max(built, key=lambda folder: max(file.stat().st_mtime for file in folder.glob("InteropInterp*.dll")))


def dotnet(engine: Path) -> Path:
    """The root folder of a .NET installation with the runtimes that the engine's runtimeconfig asks for."""
    wanted = _frameworks(engine)
    tried = []
    for root in _roots():
        if not any((root / "host" / "fxr").glob("*/libhostfxr.so")):
            continue
        have = {name: _versions(root / "shared" / name) for name in wanted}
        if all(any(found[0] == version[0] and found >= version for found in have[name]) for name, version in wanted.items()):
            return root
        tried.append(f"{root} has " + ", ".join(f"{name} {_text(have[name])}" for name in wanted))
    needs = " and ".join(f"{name} {version[0]}" for name, version in wanted.items())
    if tried:
        raise FailedPreconditionError("DOTNET_WRONG_VERSION", f"The engine needs the .NET runtime {needs}; {'; '.join(tried)}. Install it "
                                      "(https://dot.net), or set DOTNET_ROOT to an installation that has it.")
    raise NotFoundError("DOTNET_NOT_FOUND", f"The engine needs the .NET runtime {needs}, and there is no .NET in DOTNET_ROOT, on the PATH, "
                        "in /usr/share/dotnet, /usr/lib/dotnet or ~/.dotnet. Install it (https://dot.net), or set DOTNET_ROOT.")


def _repository() -> Path | None:
    note = _PACKAGE / "_repository.txt"  # written when the package is installed from a repository
    root = Path(note.read_text().strip()) if note.is_file() else _PACKAGE.parent.parent
    return root if (root / "InteropInterp.sln").is_file() else None


def _frameworks(engine: Path) -> dict[str, tuple[int, ...]]:
    options = json.loads((engine / RUNTIME_CONFIG).read_text())["runtimeOptions"]
    return {item["name"]: _version(item["version"]) for item in options.get("frameworks") or [options["framework"]]}


def _roots() -> list[Path]:
    command = shutil.which("dotnet")
    named = [os.environ.get("DOTNET_ROOT"), os.path.dirname(os.path.realpath(command)) if command else None]
    return [Path(root) for root in (*named, "/usr/share/dotnet", "/usr/lib/dotnet", os.path.expanduser("~/.dotnet")) if root]


def _versions(folder: Path) -> list[tuple[int, ...]]:
    return sorted(_version(child.name) for child in folder.glob("[0-9]*")) if folder.is_dir() else []


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-")[0].split(".") if part.isdigit())


def _text(versions: list[tuple[int, ...]]) -> str:
    return " and ".join(".".join(map(str, version)) for version in versions) or "in no version"
