"""Built files that the app sends itself: types, codings, validators, ranges, and nothing else."""

import pytest


@pytest.fixture
def big(site):
    rules = "".join(f".c{number} {{ margin: {number}px }}\n" for number in range(300))
    site.file("assets/css/a.css", rules).file("assets/img/a.bin", bytes(range(256)))
    site.file("fingerpost.toml", '[[headers]]\nmatch = "*.css"\nset = { "timing-allow-origin" = "*" }\n')
    return site.build()


def _url(app, name):
    with app.test_request_context():
        return app.extensions["fingerpost"].asset_url(name)


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (None, None),
        ("br, gzip", "br"),
        ("gzip", "gzip"),
        ("gzip, br;q=0", "gzip"),
        ("zstd;q=0.5, gzip;q=0.4", "zstd"),
        ("*", "br"),
        ("identity, br;q=0.5", None),
        ("deflate", None),
    ],
)
def test_codings_are_negotiated(big, accept, coding):
    app = big.app()
    url = _url(app, "css/a.css")
    plain = (big.dist / url.lstrip("/")).read_bytes()
    answer = app.test_client().get(url, headers={"Accept-Encoding": accept} if accept else {})
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.content_type == "text/css; charset=utf-8"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Timing-Allow-Origin"] == "*"
    suffix = {None: "", "br": ".br", "zstd": ".zst", "gzip": ".gz"}[coding]
    assert answer.data == (big.dist / (url.lstrip("/") + suffix)).read_bytes()
    assert (answer.data == plain) == (coding is None)


def test_each_coding_has_its_validator(big):
    app = big.app()
    client, url = app.test_client(), _url(app, "css/a.css")
    tags = {
        coding: client.get(url, headers={"Accept-Encoding": coding}).headers["ETag"]
        for coding in ("br", "gzip", "identity")
    }
    assert len(set(tags.values())) == 3
    for coding, tag in tags.items():
        headers = {"Accept-Encoding": coding, "If-None-Match": tag}
        answer = client.get(url, headers=headers)
        assert (answer.status_code, answer.data) == (304, b"")
        assert "immutable" in answer.headers["Cache-Control"]
    other = {"Accept-Encoding": "br", "If-None-Match": tags["gzip"]}
    assert client.get(url, headers=other).status_code == 200


def test_ranges(big):
    app = big.app()
    answer = app.test_client().get(_url(app, "img/a.bin"), headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.data) == (206, bytes([2, 3, 4]))


@pytest.mark.parametrize(
    "path",
    [
        "/assets/css/a.css",
        "/assets/css/a-0000000000000000.css",
        "/assets/../.fingerpost/manifest.json",
        "/assets/%2e%2e/.fingerpost/manifest.json",
        "/assets/..%2f..%2ffingerpost.toml",
        "/assets/",
        "/assets/css",
    ],
)
def test_nothing_else_is_sent(big, path):
    answer = big.app().test_client().get(path)
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_what_keeps_its_name_is_not_kept_for_ever(big):
    app = big.file("assets/public/assets/kept.txt", "x").build().app()
    assert (big.dist / "assets" / "kept.txt").is_file()
    assert app.test_client().get("/assets/kept.txt").status_code == 404


def test_a_development_build_is_not_kept_by_browsers(big):
    app = big.build("--mode", "development").app()
    answer = app.test_client().get("/assets/css/a.css")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


def test_it_may_be_left_to_others(big):
    app = big.app(FINGERPOST_SERVE=False)
    assert app.test_client().get(_url(app, "css/a.css")).status_code == 404


def test_a_cdn_may_ask_for_them(big):
    app = big.app(FINGERPOST_ASSET_BASE="https://cdn.example.com/")
    url = _url(app, "css/a.css")
    assert url.startswith("https://cdn.example.com/assets/")
    answer = app.test_client().get(url.removeprefix("https://cdn.example.com"))
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
    app = big.app(FINGERPOST_ASSET_BASE="/below/")
    url = _url(app, "css/a.css")
    assert url.startswith("/below/assets/")
    answer = app.test_client().get(url)
    assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (200, None)
