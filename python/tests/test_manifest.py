"""Manifests that the program has written, and those that nobody should have."""

import json

import pytest

from fingerpost.errors import AssetNotFound, ManifestError
from fingerpost.manifest import PATH, Manifest


def _read(site):
    return Manifest.parse((site.dist / PATH).read_bytes())


def test_what_the_program_writes_is_read(module_site):
    manifest = _read(module_site)
    assert (manifest.mode, manifest.prefix, manifest.is_fingerprinted) == ("production", "assets", True)
    entry = manifest.entry("js/a.js")
    assert entry.module
    assert len(entry.css) == 1
    assert len(entry.imports) == 1
    file = manifest.files[entry.file]
    assert file.kind == "asset"
    assert file.media_type == "text/javascript; charset=utf-8"
    assert file.integrity.startswith("sha256-")
    assert file.source == "assets/js/a.js"
    assert manifest.by_source["assets/img/a b.png"] == manifest.entry("img/a b.png").file
    assert manifest.kind("robots.txt") == "public"
    assert manifest.kind("site.webmanifest") == "page"
    assert all(path in manifest.files for path in manifest.chunks.values())


def test_a_development_build_has_no_integrity(module_site):
    module_site.build("--mode", "development")
    manifest = _read(module_site)
    assert not manifest.is_fingerprinted
    assert manifest.integrity(manifest.entry("js/a.js").file) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is no manifest"),
        (b"[1]", "it is no JSON object"),
        (b'{"version": 1', "is no manifest"),
        (b'{"version": 2}', "is of version 2, and this package reads version 1"),
        (b"{}", "is of version None"),
        (b'{"version": 1}', "it has no 'files'"),
        (b'{"version": 1, "files": [], "entries": {}}', "is no manifest"),
        (b"\xff\xfe", "is no manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(text, reason):
    with pytest.raises(ManifestError, match="`here`") as caught:
        Manifest.parse(text, "here")
    assert reason in str(caught.value)


def test_an_entry_without_its_file_is_refused(module_site):
    data = json.loads((module_site.dist / PATH).read_text())
    del data["files"][data["entries"]["css/site.css"]["file"]]
    with pytest.raises(ManifestError, match=r"`css/site.css` is `assets/css/site-.*`, which is not among"):
        Manifest.parse(json.dumps(data))


def test_what_is_missing_names_what_is_like_it(module_site):
    manifest = _read(module_site)
    error = manifest.missing("css/sight.css")
    assert isinstance(error, AssetNotFound)
    assert str(error) == "there is no asset `css/sight.css` in the build; did you mean `css/site.css`?"
    assert manifest.missing("styles/site.css").near[0] == "css/site.css"
    far = manifest.missing("0123456789")
    assert far.near == []
    assert str(far).endswith("name a file below the assets folder, or a bundle")
