"""Manifests that are read again when they have changed: of an output folder, or of a running `fingerpost
dev`.
"""

import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .errors import ManifestError
from .manifest import PATH, Manifest

log = logging.getLogger("fingerpost")


class Reloading:
    """A manifest that is looked after at most once in `interval` seconds.

    One thread looks, while the others go on with what there is; only where there is nothing yet they wait for
    it.
    """

    def __init__(self, interval: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval = interval
        self._clock = clock
        self._due = float("-inf")
        # Seconds until the next look, unless this one says otherwise.
        self._rest = interval
        self._lock = threading.Lock()
        self._manifest: Manifest | None = None
        # Why there is no other manifest than the last good one.
        self._trouble: str | None = None
        self._has_looked = False

    def current(self) -> Manifest:
        """The manifest as it is now; raises `ManifestError` if there never was a good one."""
        if self._clock() >= self._due and self._lock.acquire(blocking=not self._has_looked):
            try:
                # Another thread may have looked while this one waited.
                if self._clock() >= self._due:
                    self._rest = self.interval
                    self._look()
                    self._has_looked = True
                    self._due = self._clock() + self._rest
            finally:
                self._lock.release()
        manifest = self._manifest
        if manifest is None:
            raise ManifestError(self._trouble or "there is no build")
        return manifest

    def _look(self) -> None:
        raise NotImplementedError

    def _took(self, manifest: Manifest) -> None:
        if self._manifest is not None and self._manifest.release != manifest.release:
            log.info("release %s takes the place of %s", manifest.release, self._manifest.release)
        self._manifest, self._trouble = manifest, None

    def _failed(self, trouble: str) -> None:
        """Says why, once, and keeps what there is."""
        if trouble != self._trouble:
            kept = " (the last good one is kept)" if self._manifest is not None else ""
            log.warning("%s%s", trouble, kept)
        self._trouble = trouble


class Dist(Reloading):
    """The manifest of an output folder, which a build replaces whole, by renaming."""

    def __init__(
        self, folder: Path, interval: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(interval, clock)
        self.folder = folder
        self._signature: tuple[int, ...] | None = None

    def _look(self) -> None:
        path = self.folder / PATH
        try:
            if self._signature == _signature(os.stat(path)):
                self._trouble = None
                return
            # What is open is one file, whatever is put in its place meanwhile.
            with open(path, "rb") as file:
                before = _signature(os.fstat(file.fileno()))
                text = file.read()
                after = _signature(os.fstat(file.fileno()))
        except FileNotFoundError:
            self._failed(f"there is no build in `{self.folder}`: run `fingerpost build`")
            return
        except OSError as error:
            self._failed(f"could not read `{path}`: {error.strerror}")
            return
        # Somebody who copies a build here writes it in place; then it is looked at again when they are done.
        if before != after:
            self._failed(f"`{path}` is being written")
            return
        try:
            self._took(Manifest.parse(text, str(path)))
            self._signature = after
        except ManifestError as error:
            self._failed(str(error))


def _signature(stat: os.stat_result) -> tuple[int, ...]:
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


class DevServer(Reloading):
    """The manifest of a running `fingerpost dev`, which builds in memory, asked for over HTTP.

    A server that has none to give, since nothing could be built yet, still answers logical names.
    """

    PATH = "/@fingerpost/manifest.json"

    # Seconds that one which is not there is left alone for.
    AWAY = 1.0

    def __init__(self, url: str, interval: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(interval, clock)
        self.url = url
        # Whether it has a script for pages of other servers, as far as is known.
        self.has_client = False
        self._tag: str | None = None

    def _look(self) -> None:
        request = urllib.request.Request(self.url.rstrip("/") + self.PATH)
        if self._tag and self._manifest is not None:
            request.add_header("If-None-Match", self._tag)
        # The machine's proxies have no way to its own servers.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=2) as answer:
                tag, text = answer.headers.get("ETag"), answer.read()
            build = tag.removeprefix("W/").strip('"') if tag else None
            self._took(replace(Manifest.parse(text, request.full_url), build=build))
            self._tag = tag
            self.has_client = True
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 304:
                self._trouble = None
            elif error.code == 404:
                # One of a version that has none: a stale one is worse than none.
                self._manifest = None
                self.has_client = False
                self._failed(f"`{self.url}` has no manifest: files are named as their sources are")
            elif error.code == 503:
                # The script shows why, above the page.
                self._manifest, self.has_client = None, True
                self._failed(
                    f"`{self.url}` could not build anything yet: files are named as their sources are"
                )
            else:
                self._failed(f"`{request.full_url}` answers {error.code}")
        except ManifestError as error:
            self._failed(str(error))
        except OSError as error:
            reason = getattr(error, "reason", error)
            self._rest = self.AWAY
            self._failed(f"`{self.url}` does not answer ({reason}): is `fingerpost dev` running?")
