"""Bundles that are defined in Python, as `[[bundle]]` tables: `python -m fingerpost.webassets MODULE[:NAME]`.

Loads the module, takes what it finds there (a webassets or Flask-Assets environment, a Flask app that has
one, a function that makes an app, a bundle), or a YAML file of bundles, and writes TOML, or JSON with
`--json`, to stdout. What could not be taken over is in it as a warning. Nothing is built, and nothing is
written to disk.
"""

import argparse
import contextlib
import importlib
import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigError, FingerpostError
from .names import is_script, is_style
from .site import NAME, Site

# What a build does by itself: minifying, prefixing, lowering, compiling Sass and TypeScript, pointing URLs at
# files, compressing. By the names that webassets has for its filters.
# fmt: off
OWN_FILTERS = frozenset((
    "autoprefixer", "autoprefixer6", "babel", "cleancss", "closure_js", "closure_stylesheets_minifier",
    "css_slimmer", "cssmin", "cssprefixer", "cssrewrite", "cssutils", "gzip", "jsmin", "jspacker",
    "libsass", "node-sass", "node-scss", "pyscss", "rcssmin", "rjsmin", "sass", "sass_ruby", "scss",
    "scss_ruby", "slimit", "terser", "typescript", "uglifyjs", "yui_css", "yui_js",
))
# fmt: on

# What a filter that a build does not have can be replaced by.
_ADVICE = {
    "datauri": "files stay files, which fingerprints let browsers keep",
    "less": "let `[[tool]]` run `lessc`",
    "less_ruby": "let `[[tool]]` run `lessc`",
    "stylus": "let `[[tool]]` run `stylus`",
    "postcss": "let `[[tool]]` run `postcss`",
    "coffeescript": "let `[[tool]]` run `coffee`",
    "requirejs": "write modules that import each other",
    "jinja2": "what is built is the same for every request: use `[define]`, or let `[[tool]]` render it",
    "template": "what is built is the same for every request: use `[define]`, or let `[[tool]]` render it",
}

_HINT = "let `[[tool]]` run the program, and name its output as an input"


class LoadError(FingerpostError):
    """What was named can't be loaded, or holds no bundles."""


@dataclass
class Bundle:
    """A `[[bundle]]`."""

    # The path of its output below the assets folder.
    name: str
    # Its sources in order: paths below the assets folder, or below the root.
    inputs: list[str]
    # What templates call it: `{% assets "css_all" %}`.
    alias: str | None = None
    # Filters that a build does not have.
    filters: list[str] = field(default_factory=list)
    # Filters that are needed no more: a build does by itself what they do.
    replaced: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Import:
    """All bundles of an environment. Paths are below the root."""

    bundles: list[Bundle]
    # The assets folder: the configured one, or else the environment's.
    assets: str | None

    @property
    def warnings(self) -> list[str]:
        return [
            f"`{bundle.alias or bundle.name}`: {text}" for bundle in self.bundles for text in bundle.warnings
        ]

    def to_json(self) -> str:
        """`{"version": 1, "assets", "bundles": […]}`, with a `Bundle`'s fields for each."""
        bundles = [vars(bundle) for bundle in self.bundles]
        return json.dumps(
            {"version": 1, "assets": self.assets, "bundles": bundles}, indent=2, ensure_ascii=False
        )

    def to_toml(self) -> str:
        lines = []
        for bundle in self.bundles:
            if bundle.alias is not None:
                lines.append(f"# `{{% assets {json.dumps(bundle.alias)} %}}`")
            if bundle.replaced:
                lines.append(f"# no longer needed: {', '.join(bundle.replaced)}")
            lines += [f"# warning: {text}" for text in bundle.warnings]
            body = [f"name = {_string(bundle.name)}", f"inputs = [{', '.join(map(_string, bundle.inputs))}]"]
            if not bundle.inputs:
                # A bundle without inputs would be an error of the configuration.
                lines += ["# [[bundle]]", *(f"# {line}" for line in body), ""]
            else:
                lines += ["[[bundle]]", *body, ""]
        return "\n".join(lines)


@dataclass
class Found:
    """An environment, and the app that it belongs to."""

    environment: Any
    app: Any = None


def load(target: str, root: Path, assets: Path | None = None) -> Found:
    """The environment that `target` names: `module`, `module:name`, or a YAML file; raises `LoadError`.

    A name may lead through attributes, and to a function without arguments that makes an app or an
    environment; what `FLASK_APP` may be (`shop.py`, `shop:create_app()`) is understood as well. The sources
    of bundles that belong to no environment are looked for in `assets`.
    """
    if target.endswith((".yml", ".yaml")):
        from webassets.loaders import YAMLLoader

        path = root / target
        if not path.is_file():
            raise LoadError(f"there is no file `{target}`")
        environment = YAMLLoader(str(path)).load_environment()
        if "directory" not in environment.config:
            environment.directory = str(assets or path.parent)
        return Found(environment)
    target = target.removesuffix("()")
    module_name, _, attribute = target.partition(":")
    if module_name.endswith(".py"):
        module_name = module_name.removesuffix(".py").replace("/", ".")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a module does when it is imported
        raise LoadError(f"could not import `{module_name}`: {type(error).__name__}: {error}") from error
    folder = assets or root
    if not attribute:
        # An app is preferred: an environment may not know whose it is.
        values = sorted(vars(module).values(), key=lambda value: not _is_app(value))
        found = next(filter(None, (_found(value, folder) for value in values)), None)
        if found is None:
            raise LoadError(
                f"`{module_name}` has neither an environment of webassets nor an app with one; "
                f"name what has: `{module_name}:NAME`",
            )
        return found
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise LoadError(f"`{module_name}` has no `{attribute}`")
        value = getattr(value, part)
    found = _found(value, folder)
    if found is None and callable(value):
        try:
            found = _found(value(), folder)
        except Exception as error:  # whatever the function does
            raise LoadError(f"`{target}()` failed: {type(error).__name__}: {error}") from error
    if found is None:
        raise LoadError(
            f"`{target}` is neither an environment of webassets, nor an app with one, "
            "nor a bundle with an output",
        )
    if found.app is None:
        # That of Flask-Assets may not know whose it is.
        apps = (_found(value, folder) for value in vars(module).values() if _is_app(value))
        found = next((app for app in apps if app and app.environment is found.environment), found)
    return found


def _is_app(value: Any) -> bool:
    # Of the type, since what stands for the current request or app can't be asked without one.
    return hasattr(type(value), "jinja_env") and hasattr(type(value), "app_context")


def _found(value: Any, folder: Path) -> Found | None:
    """The environment that a value is, or has; a bundle, or a dictionary of them, becomes one."""
    from webassets import Bundle as Source
    from webassets import Environment
    from webassets.env import BaseEnvironment

    if issubclass(type(value), BaseEnvironment):
        return Found(value, getattr(value, "app", None))
    if issubclass(type(value), Source) and value.output:
        value = {value.output: value}
    if type(value) is dict and value and all(isinstance(bundle, Source) for bundle in value.values()):
        made = Environment(directory=str(folder), url="/")
        for name, bundle in value.items():
            made.register(name, bundle)
        return Found(made)
    if _is_app(value):
        own = getattr(value.jinja_env, "assets_environment", None)
        return Found(own, value) if own is not None else None
    return None


def take(found: Found, root: Path, assets: Path | None = None) -> Import:
    """The bundles of an environment; raises `LoadError`.

    `assets` is the folder that their names start from, by default where the environment has its own.
    """
    environment = found.environment
    with found.app.app_context() if found.app is not None else contextlib.nullcontext():
        try:
            assets = assets or _directory(environment)
            taker = Taker(environment, root, assets)
            bundles = [taker.bundle(alias, bundle) for alias, bundle in environment._named_bundles.items()]
        except RuntimeError as error:
            raise LoadError("this environment knows no app: name the app, as `MODULE:app`") from error
    if not bundles:
        raise LoadError("this environment has no bundles")
    return Import(bundles, _below(assets, root) if assets is not None else None)


class Taker:
    """Takes bundles over, one after the other."""

    def __init__(self, environment: Any, root: Path, assets: Path | None) -> None:
        self.environment = environment
        self.root = root
        self.assets = assets

    def bundle(self, alias: str, source: Any) -> Bundle:
        bundle = Bundle(name="", inputs=[], alias=alias)
        self._inputs(source, bundle)
        bundle.inputs = _once(bundle.inputs)
        bundle.name = self._name(alias, source, bundle)
        if bundle.alias == bundle.name:
            bundle.alias = None
        for name in bundle.filters:
            bundle.warnings.append(f"the filter `{name}` is left out: {_ADVICE.get(name, _HINT)}")
        if not bundle.inputs:
            bundle.warnings.append("it has no inputs that could be taken over")
        return bundle

    def _inputs(self, source: Any, bundle: Bundle) -> None:
        """Adds what a bundle is made of, nested ones in their places, and the filters of all of them."""
        for filter_ in source.filters or ():
            name = filter_.name or type(filter_).__name__
            names = bundle.replaced if name in OWN_FILTERS else bundle.filters
            if name not in names:
                names.append(name)
        for item in source.contents:
            if not isinstance(item, str):
                self._inputs(item, bundle)
            elif item.startswith(("http://", "https://", "//")):
                bundle.warnings.append(f"`{item}` is on another site: keep a copy of it below the root")
            else:
                for path in self._files(item, bundle):
                    self._add(path, bundle)

    def _files(self, item: str, bundle: Bundle) -> Iterable[Path]:
        """The files that an input means: globs, load paths and blueprints are the environment's to know."""
        try:
            found = self.environment.resolver.resolve_source(self.environment, item)
        except (OSError, ValueError) as error:
            bundle.warnings.append(f"`{item}` could not be found: {error}")
            return []
        return [Path(path) for path in ([found] if isinstance(found, str) else found)]

    def _add(self, path: Path, bundle: Bundle) -> None:
        name = _below(path, self.assets) if self.assets is not None else None
        name = name or _below(path, self.root)
        if not path.is_file():
            bundle.warnings.append(f"`{name or path}` isn't there")
        elif name is None:
            bundle.warnings.append(f"`{path}` is outside of the root: copy it below")
        elif not (is_style(path.name) or is_script(path.name)):
            bundle.warnings.append(f"`{name}` is neither CSS nor JavaScript: {_HINT}")
        else:
            bundle.inputs.append(name)

    def _name(self, alias: str, source: Any, bundle: Bundle) -> str:
        # A version in a name is what a fingerprint is there for.
        output = re.sub(r"[._-]?%\(version\)s", "", source.output or "").lstrip("/")
        if not output:
            extension = ".css" if any(is_style(name) for name in bundle.inputs) else ".js"
            output = alias if alias.endswith(extension) else f"{alias}{extension}"
        if not output.endswith((".css", ".js", ".mjs")):
            bundle.warnings.append(
                f"its output `{output}` ends in neither `.css` nor `.js`: give it another name"
            )
        if self.assets is not None and (self.assets / output).is_file() and output not in bundle.inputs:
            bundle.warnings.append(
                f"`{output}` lies there from an earlier build: delete it, or the names collide"
            )
        return output


def _once(inputs: list[str]) -> list[str]:
    """Each input once, where it counts: webassets writes it as often as it is named, and of rules the last
    ones apply, while what scripts declare is needed from the first time on.
    """
    if any(is_style(name) for name in inputs):
        return list(reversed(dict.fromkeys(reversed(inputs))))
    return list(dict.fromkeys(inputs))


def _directory(environment: Any) -> Path | None:
    try:
        directory = environment.directory
    except KeyError:
        return None
    return Path(os.path.abspath(directory)) if directory else None


def _below(path: Path, folder: Path) -> str | None:
    relative = os.path.relpath(path, folder).replace(os.sep, "/")
    return None if relative.split("/", 1)[0] == ".." else relative


def _string(text: str) -> str:
    # What JSON escapes in a string, TOML does in the same way, but for this one.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; the exit code is 0, or 2 if nothing could be loaded."""
    parser = argparse.ArgumentParser(
        prog="python -m fingerpost.webassets",
        description="Writes the bundles of a webassets environment as tables of fingerpost.toml.",
    )
    parser.add_argument("target", metavar="MODULE[:NAME]", help="an environment, or an app; or a YAML file")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="the site's root [default: .]"
    )
    parser.add_argument(
        "--assets",
        type=Path,
        metavar="DIR",
        help="the assets folder below it [default: as configured, or the app's]",
    )
    parser.add_argument("--json", action="store_true", help="write JSON")
    options = parser.parse_args(arguments)
    root = options.root.absolute()
    try:
        assets = root / options.assets if options.assets is not None else None
        if assets is None and (root / NAME).is_file():
            assets = Site.load(root).assets
        # What an app prints while it is loaded is not the answer.
        with contextlib.redirect_stdout(sys.stderr):
            taken = take(load(options.target, root, assets), root, assets)
    except (LoadError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        # Webassets itself, that is: what the app lacks is told above.
        print(f"error: {error}: `pip install webassets`", file=sys.stderr)
        return 2
    for warning in taken.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(taken.to_json() if options.json else taken.to_toml(), end="\n" if options.json else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
