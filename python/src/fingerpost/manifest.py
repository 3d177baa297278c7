"""`.fingerpost/manifest.json`: which file each asset became, and all that a page has to say of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import AssetNotFound, ManifestError

# Where it lies, below the output folder.
PATH = ".fingerpost/manifest.json"

# The one version of the format that this package reads.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Variant:
    """A file in a content coding, in a sidecar beside it. `length` is in bytes, `digest` the SHA-256 in hex;
    both of what is encoded.
    """

    length: int
    digest: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of the build. `path` is below the output folder, and that of its URL."""

    path: str
    # `asset`: fingerprinted, below the asset base; `page` and `public`: under its own name, on the pages'
    # origin.
    kind: str
    # The whole `Content-Type`.
    media_type: str
    # SHA-256 of the bytes, in hex.
    digest: str
    # The same as a value of the `integrity` attribute.
    integrity: str
    # The file that it was made from, below the site's root; `None` for what was put together from several.
    source: str | None = None
    # By content coding: `br`, `zstd`, `gzip`.
    variants: Mapping[str, Variant] = field(default_factory=dict)
    # Headers that the configuration sets, by lower-case name.
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that pages can name."""

    # The path of its file.
    file: str
    # The chunks that a module needs before it can run, and the stylesheets, each by its path.
    imports: tuple[str, ...] = ()
    css: tuple[str, ...] = ()
    # Whether a `<script>` that loads it has to say `type="module"`.
    module: bool = False


@dataclass(frozen=True)
class Manifest:
    """A build."""

    release: str
    # `production`, or `development`: then names are no fingerprints, and files change under them.
    mode: str
    # The URL folder of assets, without slashes at its ends.
    prefix: str
    # By path.
    files: Mapping[str, File]
    # By logical path, or the name of a bundle.
    entries: Mapping[str, Entry]
    # The import map: from the stable path of a chunk to its file.
    chunks: Mapping[str, str]
    # The path of the one file that was made from a source, and the name of a file's entry.
    by_source: Mapping[str, str]
    by_file: Mapping[str, str]
    # What a development server counts its builds by.
    build: str | None = None

    @classmethod
    def parse(cls, text: bytes | str, where: str = PATH) -> "Manifest":
        """Reads a manifest's text; raises `ManifestError`, which names it as `where`."""
        try:
            data = json.loads(text)
            if not isinstance(data, dict):
                raise TypeError("it is no JSON object")
            version = data.get("version")
            if version != VERSION:
                raise ManifestError(
                    f"`{where}` is of version {version}, and this package reads version {VERSION}: "
                    "build with the `fingerpost` that belongs to it",
                )
            manifest = cls._of(data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ManifestError(f"`{where}` is no manifest: {reason}") from error
        for name, entry in manifest.entries.items():
            if entry.file not in manifest.files:
                raise ManifestError(
                    f"`{where}` is no manifest: `{name}` is `{entry.file}`, which is not among the files",
                )
        return manifest

    @classmethod
    def _of(cls, data: dict[str, Any]) -> "Manifest":
        files = {
            path: File(
                path=path,
                kind=file["kind"],
                media_type=file["type"],
                digest=file["digest"],
                integrity=file["integrity"],
                source=file.get("source"),
                variants={
                    coding: Variant(variant["length"], variant["digest"])
                    for coding, variant in file.get("variants", {}).items()
                },
                headers=file.get("headers", {}),
            )
            for path, file in data["files"].items()
        }
        entries = {
            name: Entry(
                file=entry["file"],
                imports=tuple(entry.get("imports", ())),
                css=tuple(entry.get("css", ())),
                module=entry.get("module", False),
            )
            for name, entry in data["entries"].items()
        }
        return cls(
            release=data["release"],
            mode=data["mode"],
            prefix=data["prefix"],
            files=files,
            entries=entries,
            chunks=dict(data["chunks"]),
            by_source={file.source: path for path, file in files.items() if file.source is not None},
            by_file={entry.file: name for name, entry in entries.items()},
        )

    @property
    def is_fingerprinted(self) -> bool:
        """Whether a file's name covers its bytes."""
        return self.mode == "production"

    def entry(self, name: str) -> Entry | None:
        """What the build made of a logical path, or a bundle's name."""
        return self.entries.get(name)

    def kind(self, path: str) -> str | None:
        file = self.files.get(path)
        return None if file is None else file.kind

    def integrity(self, path: str) -> str | None:
        """The `integrity` of a file; none in a development build, whose files change under their names."""
        file = self.files.get(path)
        return file.integrity if file is not None and self.is_fingerprinted else None

    def missing(self, name: str) -> AssetNotFound:
        """The error for a name that is not there."""
        return AssetNotFound(name, self.entries)
