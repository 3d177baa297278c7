"""The package as it is installed: what it brings, what it needs, and how the program is found."""

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fingerpost import binary as program

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = ROOT.parent


def test_the_wheel_is_of_the_crate():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    cargo = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())
    maturin = project["tool"]["maturin"]
    assert (ROOT / maturin["manifest-path"]).resolve() == REPOSITORY / "Cargo.toml"
    assert maturin["bindings"] == "bin"
    assert (ROOT / maturin["python-source"] / maturin["module-name"] / "__init__.py").is_file()
    assert project["build-system"]["build-backend"] == "maturin"
    assert project["project"]["name"] == cargo["package"]["name"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["project"]["license"] == cargo["package"]["license"]


def test_nothing_is_needed_to_run_the_program():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "dependencies" not in project
    # With neither Flask nor webassets to be had.
    code = (
        "import sys\n"
        "for name in ('flask', 'jinja2', 'markupsafe', 'webassets', 'werkzeug'): sys.modules[name] = None\n"
        "import fingerpost, fingerpost.__main__, fingerpost.webassets, fingerpost.reload\n"
        "try:\n    fingerpost.Fingerpost\nexcept ImportError as error:\n    print(error.name)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == ("flask\n", "")


def test_what_tests_install_is_pinned():
    lines = (REPOSITORY / "tests" / "flask" / "requirements.txt").read_text().splitlines()
    written = [line.rstrip(" \\") for line in lines if line and not line.startswith("#")]
    pins = [line for line in written if not line.startswith(" ")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert pins == sorted(pins, key=lambda pin: pin.split("==")[0].lower())
    digests = [line.strip() for line in written if line.startswith(" ")]
    assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", digest) for digest in digests)
    assert all(written[written.index(pin) + 1].startswith(" ") for pin in pins), "each has one at least"


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A folder of scripts that this interpreter has, and no other."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    monkeypatch.setattr(program, "_folders", lambda: iter([folder]))
    monkeypatch.setenv("PATH", str(tmp_path))
    return folder


def _program(path, text="#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 3\n"):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_program_is_found_beside_the_interpreters_scripts(scripts, tmp_path):
    with pytest.raises(FileNotFoundError, match="`pip install fingerpost` brings it"):
        program.find_binary()
    on_path = _program(tmp_path / "fingerpost")
    assert program.find_binary() == on_path
    (scripts / "fingerpost").write_text("not to be run")
    assert program.find_binary() == on_path
    assert program.find_binary() != _program(scripts / "fingerpost")
    assert program.find_binary() == scripts / "fingerpost"


def test_a_missing_program_is_said(scripts, capsys):
    assert program.run(["build"]) == 2
    assert "error: there is no `fingerpost` program" in capsys.readouterr().err


def test_the_module_is_the_program(tmp_path):
    # As in an environment that has it: beside `site-packages`, where `pip install --target` puts it.
    target = tmp_path / "installed"
    (target / "bin").mkdir(parents=True)
    _program(target / "bin" / "fingerpost")
    copied = target / "fingerpost"
    copied.mkdir()
    for file in (ROOT / "src" / "fingerpost").glob("*.py"):
        (copied / file.name).write_bytes(file.read_bytes())
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "fingerpost", "build", "--out", "a b"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (3, "build\n--out\na b\n")


def test_the_real_program(binary):
    run = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    version = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["package"]["version"]
    assert run.stdout == f"fingerpost {version}\n"
