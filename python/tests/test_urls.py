"""Bases and paths: as the program reads and writes them (`src/environment.rs`, `src/asset.rs`)."""

import pytest

from fingerpost.urls import AssetBase, url_path


@pytest.mark.parametrize(
    ("text", "url", "other"),
    [
        ("/", "/assets/a%20b.css", False),
        ("/v1", "/v1/assets/a%20b.css", False),
        ("https://cdn.example.com", "https://cdn.example.com/assets/a%20b.css", True),
        ("//cdn.example.com/x/", "//cdn.example.com/x/assets/a%20b.css", True),
    ],
)
def test_bases_end_with_a_slash_and_say_whose_origin_they_are(text, url, other):
    base = AssetBase.parse(text)
    assert (base.url("assets/a b.css"), base.is_other_origin) == (url, other)


@pytest.mark.parametrize(
    "bad", ["", "cdn.example.com", "https://", "/a//b", "https://x/?a", "ftp://x/", "/a b/", "https://x//y"]
)
def test_what_is_no_base_is_refused(bad):
    with pytest.raises(ValueError, match="is no base for URLs"):
        AssetBase.parse(bad)


def test_paths_are_encoded_as_the_program_does_it(site):
    # All of ASCII that a file's name can hold, and what is not ASCII.
    names = [f"a{chr(code)}b.bin" for code in range(32, 127) if chr(code) not in "/\\"] + ["ä☃.bin"]
    for name in names:
        site.file(f"assets/x/{name}", name)
    links = "".join(f'<a href="{{{{ asset_url({"x/" + name!r}) }}}}"></a>\n' for name in names)
    site.file("templates/index.html", f"<!doctype html><title>x</title>{links}").build(
        "--mode", "development"
    )
    page = (site.dist / "index.html").read_text()
    for name in names:
        assert f'"/assets/x/{url_path(name)}"' in page, name
