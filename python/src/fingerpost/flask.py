"""The Flask extension: `url_for('static', …)` leads to the built file, wherever the environment keeps it."""

import logging
import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import (
    Flask,
    g,
    has_app_context,
    has_request_context,
    request,
)
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from .elements import Attribute, Elements
from .errors import AssetNotFound, FingerpostError, ManifestError
from .jinja import AssetsExtension
from .location import ENDPOINT, Location
from .manifest import Entry, Manifest
from .pages import CLIENT, Completer, name_module
from .reload import DevServer, Dist
from .sending import Sender
from .settings import Settings
from .unbuilt import Unbuilt

log = logging.getLogger("fingerpost")

# Where a template's context keeps whether it has its import map.
_RENDERING = "_fingerpost"

# Where a request keeps the build that its pages are of.
_MANIFEST = "_fingerpost_manifest"

# As Flask has it.
_ANCHOR = "%!#$&'()*+,/:;=?@"


class Fingerpost:
    """Connects apps to their builds: `Fingerpost(app)`, or `Fingerpost().init_app(app)`.

    Raises `ConfigError` if `app.config`, or `fingerpost.toml`, has something that can't be used. The build
    itself may come later.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        if "fingerpost" in app.extensions:
            raise RuntimeError("this app has a `Fingerpost` already")
        settings = Settings.of(app.config, app.root_path)
        assets = AppAssets(app, settings)
        app.extensions["fingerpost"] = assets
        # `flask.url_for` asks the app, so this is the one place; templates have got hold of the method
        # before.
        app.url_for = assets.url_for  # type: ignore[method-assign]
        jinja = app.jinja_env
        jinja.globals["url_for"] = assets.url_for
        for name in ("asset_url", "asset_url_for", "cdn_url_for", "cloud_url_for"):
            jinja.globals[name] = assets.asset_url
        jinja.globals["asset_integrity"] = assets.asset_integrity
        jinja.globals["asset_tags"] = _in_template(assets.asset_tags)
        jinja.globals["asset_import_map"] = _in_template(assets.asset_import_map)
        jinja.add_extension(AssetsExtension)
        jinja.fingerpost_bundles = assets.bundles  # type: ignore[attr-defined]
        # A mark of its own for each template that is rendered, since an error page may follow half of
        # another.
        app.context_processor(lambda: {_RENDERING: {}})
        if settings.serve and not settings.dev_server:
            # A CDN asks for what it doesn't have by the path that it was asked for.
            below = "/" if settings.base.is_other_origin else settings.base.text
            sender = Sender(settings.out, assets, shares=settings.base.is_other_origin)
            app.add_url_rule(f"{below}{settings.site.prefix}/<path:filename>", ENDPOINT, sender.send)
        app.after_request(Completer(assets).complete)


class AppAssets:
    """The assets of one app: `app.extensions["fingerpost"]`."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        # To ask a server on this machine takes a millisecond, and an edit is to be seen by the next request.
        dist, dev = (1.0, 0.0) if settings.interval is None else (settings.interval, settings.interval)
        self._dist = Dist(settings.out, dist)
        self._dev = DevServer(settings.dev_server, dev) if settings.dev_server else None
        self._unbuilt = Unbuilt.of(settings.site) if settings.dev_server else None
        self._flask_url_for = app.url_for
        self._location = Location(app, settings, app.url_for)
        self._told: set[str] = set()

    @property
    def manifest(self) -> Manifest:
        """The build as it is now, the same for all of a request; raises `ManifestError` if there is none."""
        if not has_request_context():
            return self._current()
        manifest: Manifest | None = g.get(_MANIFEST)
        if manifest is None:
            manifest = self._current()
            setattr(g, _MANIFEST, manifest)
        return manifest

    def _built(self) -> Manifest:
        """As `manifest`; where there is none and may be none, one that has nothing in it."""
        try:
            return self.manifest
        except ManifestError as error:
            self._missing(error)
            return Manifest("", "production", self.settings.site.prefix, {}, {}, {}, {}, {})

    def _current(self) -> Manifest:
        if self._dev is None or self._unbuilt is None:
            return self._dist.current()
        try:
            return self._dev.current()
        except ManifestError:
            return self._unbuilt

    # URLs

    def url_for(
        self,
        /,
        endpoint: str,
        *,
        _anchor: str | None = None,
        _method: str | None = None,
        _scheme: str | None = None,
        _external: bool | None = None,
        **values: Any,
    ) -> str:
        """As Flask's, but that endpoints of static files, the app's and blueprints', lead to built files.

        What the build doesn't have leads where Flask has it, or raises `AssetNotFound`, as
        `FINGERPOST_MISSING` says.
        """
        filename = values.get("filename")
        path = self._static(endpoint, filename) if isinstance(filename, str) else None
        if path is None:
            return self._flask_url_for(
                endpoint, _anchor=_anchor, _method=_method, _scheme=_scheme, _external=_external, **values
            )
        if _scheme is not None and _external is False:
            raise ValueError("When specifying '_scheme', '_external' must be True.")
        if _external is None:
            _external = _scheme is not None or not has_request_context()
        # Arguments of the static route (a subdomain, a language in the prefix) are no part of the built
        # file's URL.
        taken = {
            name for rule in self.app.url_map.iter_rules(self._absolute(endpoint)) for name in rule.arguments
        }
        query = {name: value for name, value in values.items() if name not in taken and value is not None}
        url = self._location.url(path, external=_external, scheme=_scheme)
        if query:
            url += f"?{urlencode(query, doseq=True)}"
        if _anchor is not None:
            url += f"#{quote(_anchor, safe=_ANCHOR)}"
        return url

    def asset_url(self, name: str, /, **values: Any) -> str:
        """The URL of an asset by its logical path, or a bundle by its name; `_external=True` makes it
        absolute.

        With `filename`, as Flask-CDN has it, the name is an endpoint, and this is `url_for`.
        """
        if "filename" in values:
            return self.url_for(name, **values)
        name = name.lstrip("/")
        try:
            path = self._file(name)
        except (AssetNotFound, ManifestError) as error:
            self._missing(error)
            path = None
        if path is None:
            return self._own_url(name, **values)
        external = bool(values.pop("_external", False))
        if values:
            raise TypeError(
                f"`asset_url` takes `_external`, and not {', '.join(f'`{key}`' for key in sorted(values))}"
            )
        return self._location.url(path, external=external)

    def asset_integrity(self, name: str) -> str:
        """The `integrity` of an asset; empty while it may change under its name, or if it may be missing."""
        manifest = self._built()
        entry = manifest.entry(name.lstrip("/"))
        if entry is None:
            self._missing(manifest.missing(name))
            return ""
        return manifest.integrity(entry.file) or ""

    def asset_tags(
        self, *names: str, import_map: bool = True, nonce: str | None = None, **attributes: Attribute
    ) -> Markup:
        """The elements that load scripts and stylesheets, with all that they need: see `Elements.load`.

        Further arguments are attributes: `asset_tags('js/site.js', defer=True)`; `data_page='x'` is
        `data-page="x"`. What is missing is loaded where Flask has it, or is an error, as for `url_for`.
        """
        written = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        elements = self._elements(nonce)
        wanted = [name.lstrip("/") for name in names]
        return Markup(elements.load(wanted, import_map=import_map, attributes=written))

    def asset_import_map(self, *, import_map: bool = True, nonce: str | None = None) -> Markup:
        """The import map by itself, for pages whose inline modules come first."""
        return Markup(self._elements(nonce).import_map() if import_map else "")

    def bundles(self, names: Iterable[str], output: str | None) -> list[tuple[str, str, dict[str, Any]]]:
        """What `{% assets %}` puts out: for each file its URL, its integrity and the bundle's `extra`.

        A name is one of `FINGERPOST_BUNDLES`, a bundle registered with Flask-Assets, or an asset. Files that
        are given with an `output` are that bundle, if the build has it.
        """
        manifest = self._built()
        wanted = list(names)
        if output is not None and manifest.entry(_output(output)) is not None:
            wanted = [_output(output)]
        found = []
        for name in wanted:
            asset, extra = self._bundle(name)
            entry = manifest.entry(asset)
            integrity = manifest.integrity(entry.file) if entry is not None else None
            found.append((self.asset_url(asset), integrity or "", extra))
        return found

    def _bundle(self, name: str) -> tuple[str, dict[str, Any]]:
        known = self.settings.bundles.get(name)
        if known is not None:
            return known, {}
        registered = getattr(self.app.jinja_env, "assets_environment", None)
        if registered is not None and name in registered:
            bundle = registered[name]
            return _output(bundle.output or name), dict(bundle.extra or {})
        return name, {}

    def _file(self, name: str) -> str | None:
        """The path of an asset's file below the asset base; none for a document, which has no place there."""
        manifest = self.manifest
        entry = manifest.entry(name)
        if entry is None:
            raise manifest.missing(name)
        return self._named(manifest, name, entry)

    def _named(self, manifest: Manifest, name: str, entry: Entry) -> str | None:
        if entry.module:
            name_module(name)
        return entry.file if manifest.kind(entry.file) == "asset" else None

    def _static(self, endpoint: str, filename: str) -> str | None:
        """The built file that a static endpoint's file became, if Flask's own URL is not to be used."""
        endpoint = self._absolute(endpoint)
        if endpoint == "static":
            folder, blueprint = self.app.static_folder, None
        elif endpoint.endswith(".static"):
            blueprint = endpoint.removesuffix(".static")
            known = self.app.blueprints.get(blueprint)
            folder = known.static_folder if known is not None else None
        else:
            return None
        # A folder is named by who puts the rest of a path together in a script.
        if folder is None or not filename or filename.endswith("/"):
            return None
        name = posixpath.normpath(filename.lstrip("/"))
        if name.startswith(".."):
            return None
        source = Path(folder, name)
        logical = self.settings.site.below_assets(source)
        below = self.settings.site.below_root(source)
        try:
            manifest = self.manifest
            names = [logical, f"{blueprint.replace('.', '/')}/{name}" if blueprint else None]
            for candidate in filter(None, names):
                entry = manifest.entry(candidate)
                if entry is not None:
                    return self._named(manifest, candidate, entry)
            path = manifest.by_source.get(below) if below is not None else None
            if path is not None:
                entry = manifest.entry(manifest.by_file.get(path, ""))
                return self._named(manifest, manifest.by_file.get(path, ""), entry or Entry(path))
            if logical is None:
                # A blueprint that is installed, and none of the site's.
                return None
            raise manifest.missing(logical)
        except (AssetNotFound, ManifestError) as error:
            self._missing(error)
            return None

    def _missing(self, error: FingerpostError) -> None:
        policy = self.settings.missing or ("raise" if self.app.debug else "fallback")
        if policy == "raise":
            raise error
        told = error.name if isinstance(error, AssetNotFound) else str(error)
        # Once each; names may come from requests, so there may be ever more of them.
        if told not in self._told and len(self._told) < 1000:
            self._told.add(told)
            log.warning("%s; Flask's own URL is used", error)

    def _own_url(self, name: str, **values: Any) -> str:
        """Flask's own URL of an asset, or where a server in front has it."""
        folder = self.app.static_folder
        file = self.settings.site.assets / name
        if folder is not None:
            relative = posixpath.relpath(file.as_posix(), Path(folder).as_posix())
            if not relative.startswith("../"):
                name = relative
            if has_request_context() or values.get("_external") or self.app.config["SERVER_NAME"]:
                return self._flask_url_for("static", filename=name, **values)
            return f"{self.app.static_url_path}/{quote(name)}"
        return f"/{quote(name)}"

    def _absolute(self, endpoint: str) -> str:
        """An endpoint as it is after Flask has looked whose page it is named in."""
        if not endpoint.startswith("."):
            return endpoint
        blueprint = request.blueprint if has_request_context() else None
        return f"{blueprint}{endpoint}" if blueprint else endpoint[1:]

    def _elements(self, nonce: str | None) -> Elements:
        def stand_in(error: AssetNotFound) -> str:
            self._missing(error)
            return self._own_url(error.name)

        return Elements(
            self._built(),
            self._location.url,
            other_origin=self._location.is_other_origin,
            external=self.settings.site.external,
            nonce=nonce,
            stand_in=stand_in,
        )

    def needs(self, modules: list[str], body: bytes) -> tuple[str, str]:
        """What belongs first and last into the head of a page that names these modules, as far as it isn't
        there.
        """
        return self._elements(None).needs(modules, lambda text: text.encode() in body)

    # The development server

    def client_url(self) -> str | None:
        """What hears of changes in a page, with the build that it is of, if the server has such a thing.

        An older one takes each page that it hasn't built for one that is gone, and has it reload without end.
        """
        if self._dev is None:
            return None
        build = self.manifest.build
        if not self._dev.has_client:
            return None
        return f"{self._location.dev_server()}{CLIENT}" + (f"?build={build}" if build else "")


def _output(output: str) -> str:
    """A bundle's output as the name of one: what webassets puts its version into has none here."""
    return re.sub(r"[.-]?%\(version\)s", "", output)


def _in_template(function: Callable[..., Markup]) -> Callable[..., Markup]:
    """Lets a function write the import map once in what is rendered together."""

    @pass_context
    def call(context: Context, *names: str, **values: Any) -> Markup:
        # In a macro that was imported without the context, there is only the request's.
        rendering = context.get(_RENDERING)
        if rendering is None:
            rendering = g.setdefault(_RENDERING, {}) if has_app_context() else {}
        markup = function(*names, import_map=not rendering.get("import_map"), **values)
        if 'type="importmap"' in markup:
            rendering["import_map"] = True
        return markup

    return call
