"""Built files, sent by the app itself: for development, and for sites that need nothing faster."""

from pathlib import Path
from typing import Protocol

from flask import Response, abort, request, send_file

from .errors import ManifestError
from .manifest import File, Manifest

_YEAR = 31536000

_SIDECARS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}


class HasManifest(Protocol):
    @property
    def manifest(self) -> Manifest: ...


class Sender:
    """A view of the files in an output folder: those that its manifest has, and nothing else.

    `shares` lets pages of any origin read them, as they have to where a CDN passes them on.
    """

    def __init__(self, out: Path, build: HasManifest, *, shares: bool = False) -> None:
        self.out = out
        self.build = build
        self.shares = shares

    def send(self, filename: str) -> Response:
        """A built file, in a content coding that the client takes."""
        try:
            manifest = self.build.manifest
        except ManifestError:
            abort(404)
        path = f"{manifest.prefix}/{filename}"
        file = manifest.files.get(path)
        if file is None or file.kind != "asset":
            abort(404)
        coding = negotiate(file)
        try:
            response = send_file(
                self.out / (path + _SIDECARS.get(coding or "", "")),
                mimetype=file.media_type,
                conditional=True,
                etag=(file.variants[coding].digest if coding else file.digest)[:32],
                max_age=_YEAR if manifest.is_fingerprinted else None,
            )
        except FileNotFoundError:
            # Another build has just taken its place.
            abort(404)
        response.headers["Content-Type"] = file.media_type
        if coding:
            response.headers["Content-Encoding"] = coding
        if file.variants:
            response.vary.add("Accept-Encoding")
        if manifest.is_fingerprinted:
            response.cache_control.public = True
            response.cache_control.immutable = True
        else:
            response.cache_control.no_cache = True
        if self.shares:
            response.access_control_allow_origin = "*"
        for name, value in file.headers.items():
            # An empty value leaves a header out.
            response.headers.pop(name, None)
            if value:
                response.headers[name] = value
        return response


def negotiate(file: File) -> str | None:
    """The smallest form of the file that the client takes best, `None` for the plain one: RFC 9110 section
    12.5.3.
    """
    accepted = request.accept_encodings
    plain = next((quality for coding, quality in accepted if coding == "identity"), 0.0)
    wanted = [
        (accepted.quality(coding), -variant.length, coding)
        for coding, variant in file.variants.items()
        if coding in _SIDECARS and accepted.quality(coding) > 0
    ]
    if not wanted:
        return None
    quality, _, coding = max(wanted)
    return coding if quality >= plain else None
