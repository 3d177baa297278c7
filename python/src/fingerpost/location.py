"""Where built files are for a page: below the environment's base, with the app itself, or with `dev`."""

from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, has_request_context, request

from .settings import Settings
from .urls import url_path

# The endpoint of built files that the app sends itself.
ENDPOINT = "fingerpost_asset"

# Names of this machine for itself: a page's browser takes them for different sites, so what belongs together
# has to use one.
_LOOPBACK = ("localhost", "127.0.0.1")


class Location:
    """Gives the URLs of files by their paths below the output folder; `url_for` is Flask's own."""

    def __init__(self, app: Flask, settings: Settings, url_for: Callable[..., str]) -> None:
        self.app = app
        self.settings = settings
        self.url_for = url_for

    @property
    def is_other_origin(self) -> bool:
        """Whether files come from another origin that is known to have them as they were built."""
        return self.settings.base.is_other_origin and not self.settings.dev_server

    def url(self, path: str, *, external: bool = False, scheme: str | None = None) -> str:
        """The URL of a file; with `external`, an absolute one, with `scheme` where the base has none."""
        if self.settings.dev_server:
            return f"{self.dev_server()}/{url_path(path)}"
        base = self.settings.base
        if base.is_other_origin:
            url = base.url(path)
            return f"{scheme or self._scheme()}:{url}" if external and url.startswith("//") else url
        prefix = f"{self.settings.site.prefix}/"
        if self.settings.serve and path.startswith(prefix) and (has_request_context() or external):
            # The app may be mounted somewhere, which Flask knows.
            return self.url_for(
                ENDPOINT,
                filename=path.removeprefix(prefix),
                _external=external,
                _scheme=scheme if external else None,
            )
        if external:
            own = urlsplit(self.url_for("static", filename="x", _external=True, _scheme=scheme))
            return f"{own.scheme}://{own.netloc}{base.url(path)}"
        return base.url(path)

    def dev_server(self) -> str:
        """Where a browser finds `fingerpost dev`: by the name that it has for this app, if both are here."""
        url = self.settings.dev_server or ""
        if has_request_context():
            parts = urlsplit(url)
            own = urlsplit(f"//{request.host}").hostname
            if own in _LOOPBACK and parts.hostname in _LOOPBACK and own != parts.hostname:
                port = f":{parts.port}" if parts.port else ""
                return f"{parts.scheme}://{own}{port}"
        return url

    def _scheme(self) -> str:
        return request.scheme if has_request_context() else str(self.app.config["PREFERRED_URL_SCHEME"])
