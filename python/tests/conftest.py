"""What the tests stand on: sites in folders of their own, built by the real program, and apps before them."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fingerpost import Fingerpost

REPOSITORY = Path(__file__).resolve().parents[2]

# The app that is served and proxied, too.
APP = REPOSITORY / "tests" / "flask"


def _binary() -> Path | None:
    named = os.environ.get("FINGERPOST_BINARY")
    candidates = [
        Path(named) if named else None,
        *(REPOSITORY / "target" / profile / "fingerpost" for profile in ("debug", "release")),
    ]
    return next((path for path in candidates if path is not None and path.is_file()), None)


@pytest.fixture(scope="session")
def binary() -> Path:
    """The program: that of `FINGERPOST_BINARY`, or what cargo has built."""
    path = _binary()
    if path is None:
        pytest.skip("needs the program: `cargo build`, or name it in `FINGERPOST_BINARY`")
    return path


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("FINGERPOST_"):
            monkeypatch.delenv(name)
    # All servers of these tests are here.
    monkeypatch.setenv("no_proxy", "*")


class Client(FlaskClient):
    """One that closes what it has read: files that are sent, too."""

    def open(self, *args, **kwargs):
        return super().open(*args, **{"buffered": True, **kwargs})


class Site:
    """A site in a folder of its own, written fluently: `site.file("assets/css/a.css", "…").build()`."""

    def __init__(self, root: Path, binary: Path) -> None:
        self.root = root
        self.binary = binary

    def file(self, path: str, text: str | bytes) -> "Site":
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        return self

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.binary, "--root", self.root, *arguments], capture_output=True, text=True, check=False
        )

    def build(self, *arguments: str) -> "Site":
        run = self.run("build", *arguments)
        assert run.returncode == 0, run.stderr
        return self

    @property
    def dist(self) -> Path:
        return self.root / "dist"

    def app(self, **config: object) -> Flask:
        """A Flask app in the site's root, whose static folder is the assets folder, with a `Fingerpost`."""
        app = Flask("site", root_path=str(self.root), static_folder="assets", static_url_path="/static")
        app.test_client_class = Client
        app.config.update(config)
        Fingerpost(app)
        return app


@pytest.fixture
def site(tmp_path: Path, binary: Path) -> Site:
    return Site(tmp_path, binary)


@pytest.fixture(scope="session")
def _built_app_site(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Path:
    root = tmp_path_factory.mktemp("app") / "site"
    shutil.copytree(APP, root, ignore=shutil.ignore_patterns("__pycache__", "dist", ".fingerpost-cache"))
    Site(root, binary).build()
    return root


@pytest.fixture
def app_site(_built_app_site: Path, tmp_path: Path, binary: Path) -> Site:
    """The app of `tests/flask`, built as its `fingerpost.toml` says."""
    root = tmp_path / "site"
    shutil.copytree(_built_app_site, root)
    return Site(root, binary)


@pytest.fixture
def load_app(app_site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Imports the app anew: `load_app(FINGERPOST_ENV="production")`, or `load_app(helper=False)`."""
    names = ("app", "admin", "journal", "with_helper")

    def forget() -> None:
        for name in names:
            sys.modules.pop(name, None)

    monkeypatch.syspath_prepend(str(app_site.root))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(helper: bool = True, **config: object) -> Flask:
        forget()
        app = importlib.import_module("app").app
        app.test_client_class = Client
        app.config.update(config)
        if helper:
            importlib.import_module("with_helper")
        return app

    yield load
    forget()


# Two modules that share a chunk, one with a stylesheet of its own, a lazy one, and what else a page may name.
@pytest.fixture(scope="session")
def _built_module_site(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Path:
    root = tmp_path_factory.mktemp("modules")
    shared = "export const label = (text) => document.title + text + " + repr("x" * 300) + ";\n"
    site = (
        Site(root, binary)
        .file("assets/js/shared.js", shared)
        .file(
            "assets/js/a.js",
            "import './a.css';\nimport { label } from './shared.js';\nconsole.log(label('a'));\n",
        )
        .file("assets/js/a.css", ".a { color: #123456 }\n")
        .file(
            "assets/js/b.js",
            "import { label } from './shared.js';\nconsole.log(label('b'));\n"
            "document.onclick = () => import('./lazy.js').then((lazy) => lazy.go());\n",
        )
        .file("assets/js/lazy.js", "export const go = () => console.log('lazy');\n")
        .file("assets/js/classic.js", "function greet(who) { console.log(who); }\n")
        .file("assets/css/site.css", "body { background: url('../img/a b.png') }\n")
        .file("assets/img/a b.png", b"\x89PNG\r\n\x1a\n")
        .file("assets/site.webmanifest", '{"name": "x"}\n')
        .file("assets/public/robots.txt", "User-agent: *\n")
        .file(
            "fingerpost.toml",
            '[build]\ntemplates = "none"\n[external]\nvue = "https://cdn.example.net/vue.js"\n'
            '[[bundle]]\nname = "js/a.js"\ninputs = ["js/a.js"]\n'
            '[[bundle]]\nname = "js/b.js"\ninputs = ["js/b.js"]\n'
            '[env.production]\nasset_base = "https://cdn.example.com/v1/"\n',
        )
    )
    site.build()
    return root


@pytest.fixture
def module_site(_built_module_site: Path, tmp_path: Path, binary: Path) -> Site:
    root = tmp_path / "modules"
    shutil.copytree(_built_module_site, root)
    return Site(root, binary)
