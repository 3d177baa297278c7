"""Bundles that are defined in Python, taken over into the configuration, and built from there."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fingerpost.manifest import PATH, Manifest

SOURCE = Path(__file__).resolve().parents[1] / "src"

BUNDLES = """
from flask import Flask, current_app, request, session
from flask_assets import Bundle, Environment

app = Flask(__name__)
assets = Environment()
assets.init_app(app)
base = Bundle("css/reset.css", "css/base.css", filters="cssmin")
more = Bundle("css/*.scss", "css/base.css", filters="libsass")
assets.register("css_all", base, more, output="gen/all.%(version)s.css")
assets.register("js_all", "js/one.js", "js/two.js", filters="jsmin", output="gen/all.js")
print("imported")


def create_app():
    return app


def broken():
    raise ValueError("on purpose")


unbound = Environment()
unbound.register("x", "css/base.css", output="x.css")
loose = {"site": Bundle("css/base.css", output="loose.css")}
single = Bundle("css/base.css", output="single.css")
nothing = 1
"""


def _run(site, *arguments):
    # As the program calls it: with the app's interpreter, in any folder.
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    return subprocess.run(
        [sys.executable, "-m", "fingerpost.webassets", "--root", site.root, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=site.root.parent,
        check=False,
    )


@pytest.fixture
def shop(site):
    return (
        site.file("shop.py", BUNDLES)
        .file("static/css/reset.css", "* { margin: 0 }\n")
        .file("static/css/base.css", "a { color: red }\n")
        .file("static/css/colours.scss", "$c: blue; b { color: $c }\n")
        .file("static/js/one.js", "var one = 1;\n")
        .file("static/js/two.js", "var two = 2;\n")
    )


def test_what_it_prints_is_built(shop):
    run = _run(shop, "shop")
    assert (run.returncode, run.stderr) == (0, "imported\n")
    assert run.stdout == (
        '# `{% assets "css_all" %}`\n'
        "# no longer needed: cssmin, libsass\n"
        "[[bundle]]\n"
        'name = "gen/all.css"\n'
        # Of rules the last ones apply, so a stylesheet that is named twice is where it was named last.
        'inputs = ["css/reset.css", "css/colours.scss", "css/base.css"]\n'
        "\n"
        '# `{% assets "js_all" %}`\n'
        "# no longer needed: jsmin\n"
        "[[bundle]]\n"
        'name = "gen/all.js"\n'
        'inputs = ["js/one.js", "js/two.js"]\n'
    )
    shop.file("fingerpost.toml", '[build]\nassets = "static"\ntemplates = "none"\n\n' + run.stdout).build()
    manifest = Manifest.parse((shop.dist / PATH).read_bytes())
    css = (shop.dist / manifest.entry("gen/all.css").file).read_text()
    assert css.index("margin") < css.index("b{color") < css.index("red")
    assert manifest.entry("gen/all.js") is not None


@pytest.mark.parametrize(
    "target", ["shop", "shop.py", "shop:app", "shop:assets", "shop:create_app", "shop:create_app()"]
)
def test_json_says_the_same(shop, target):
    run = _run(shop, "--json", target)
    assert run.returncode == 0, run.stderr
    data = json.loads(run.stdout)
    assert (data["version"], data["assets"]) == (1, "static")
    assert data["bundles"][0] == {
        "name": "gen/all.css",
        "inputs": ["css/reset.css", "css/colours.scss", "css/base.css"],
        "alias": "css_all",
        "filters": [],
        "replaced": ["cssmin", "libsass"],
        "warnings": [],
    }
    toml = tomllib.loads(_run(shop, target).stdout)["bundle"]
    assert toml == [{key: bundle[key] for key in ("name", "inputs")} for bundle in data["bundles"]]


def test_bundles_without_an_environment(shop):
    bundles = json.loads(_run(shop, "--assets", "static", "--json", "shop:loose").stdout)["bundles"]
    assert [(bundle["alias"], bundle["name"], bundle["inputs"]) for bundle in bundles] == [
        ("site", "loose.css", ["css/base.css"]),
    ]
    bundles = json.loads(_run(shop, "--assets", "static", "--json", "shop:single").stdout)["bundles"]
    assert [(bundle["alias"], bundle["name"]) for bundle in bundles] == [(None, "single.css")]


def test_bundles_in_yaml(shop):
    shop.file(
        "assets.yml",
        "directory: static\nbundles:\n  css_all:\n    output: gen/all.css\n    filters: less\n"
        "    contents:\n      - css/reset.css\n      - css/base.css\n",
    )
    run = _run(shop, "--json", "assets.yml")
    assert json.loads(run.stdout)["bundles"][0]["inputs"] == ["css/reset.css", "css/base.css"]
    assert "the filter `less` is left out: let `[[tool]]` run `lessc`" in run.stderr


def test_blueprints_and_what_can_not_be_taken_over(shop):
    shop.file("admin/static/a.css", "a { top: 0 }\n").file("static/gen/old.css", "").file(
        "static/img/a.png", b""
    )
    shop.file(
        "shop.py",
        "from flask import Blueprint, Flask\n"
        "from flask_assets import Bundle, Environment\n"
        "from webassets.filter import Filter\n"
        "class Own(Filter):\n    name = 'own'\n"
        "app = Flask(__name__)\n"
        "root = app.root_path + '/admin'\n"
        "app.register_blueprint(Blueprint('admin', 'admin', root_path=root, static_folder='static'))\n"
        "assets = Environment(app)\n"
        "assets.register('old', 'admin/a.css', 'https://example.com/a.css', 'img/a.png', 'css/none.css',\n"
        "    filters=[Own(), lambda i, o: None, 'datauri'], output='gen/old.css')\n"
        "assets.register('empty', 'https://example.com/a.css', output='empty.less')\n",
    )
    run = _run(shop, "shop")
    assert run.returncode == 0, run.stderr
    parsed = tomllib.loads(run.stdout)
    assert parsed == {"bundle": [{"name": "gen/old.css", "inputs": ["admin/static/a.css"]}]}
    for text in [
        "`https://example.com/a.css` is on another site",
        "`img/a.png` is neither CSS nor JavaScript",
        "`css/none.css` isn't there",
        "the filter `own` is left out",
        "the filter `CallableFilter` is left out",
        "the filter `datauri` is left out: files stay files",
        "`gen/old.css` lies there from an earlier build",
        "its output `empty.less` ends in neither",
        "it has no inputs that could be taken over",
    ]:
        assert text in run.stderr, text
        assert f"# warning: {text}" in run.stdout, text


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("none", "could not import `none`: ModuleNotFoundError: No module named 'none'"),
        ("shop:none", "`shop` has no `none`"),
        ("shop:nothing", "`shop:nothing` is neither an environment"),
        ("shop:request", "`shop:request"),
        ("shop:broken", "`shop:broken()` failed: ValueError: on purpose"),
        ("shop:unbound", "this environment knows no app: name the app, as `MODULE:app`"),
        ("none.yml", "there is no file `none.yml`"),
        ("json", "`json` has neither an environment of webassets nor an app with one"),
    ],
)
def test_what_can_not_be_loaded_is_said(shop, target, reason):
    run = _run(shop, target)
    assert (run.returncode, run.stdout) == (2, "")
    assert f"error: {reason}" in run.stderr
    assert "Traceback" not in run.stderr
