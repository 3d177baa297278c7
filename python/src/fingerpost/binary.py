"""Where the program is that was installed with this package."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path


def find_binary() -> Path:
    """The `fingerpost` program: beside this interpreter's scripts, or else on the path; raises
    `FileNotFoundError`.
    """
    name = "fingerpost" + (sysconfig.get_config_var("EXE") or "")
    for folder in _folders():
        path = folder / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
    found = shutil.which(name)
    if found:
        return Path(found)
    raise FileNotFoundError(
        "there is no `fingerpost` program: `pip install fingerpost` brings it, and so does `cargo install`",
    )


def _folders() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts"))
    # `pip install --user`
    yield Path(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")))
    # `pip install --target FOLDER` and `--prefix FOLDER`
    package = Path(__file__).resolve().parent
    yield package.parent / "bin"
    if len(package.parents) > 3:
        yield package.parents[3] / "bin"


def run(arguments: list[str]) -> int:
    """Runs the program in this process's place; on Windows, beside it, and gives its exit code."""
    try:
        binary = find_binary()
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if os.name != "nt":
        os.execv(binary, [str(binary), *arguments])
    return subprocess.run([binary, *arguments], check=False).returncode
