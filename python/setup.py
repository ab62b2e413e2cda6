"""Only what pyproject.toml cannot say: a package installed from a repository remembers where that is, and so finds its build."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


class BuildWithNote(build_py):
    def run(self):
        super().run()
        if not self.editable_mode and not (HERE / "interopinterp" / "_dotnet").is_dir():
            (Path(self.build_lib) / "interopinterp" / "_repository.txt").write_text(f"{HERE.parent}\n")


setup(cmdclass={"build_py": BuildWithNote})
