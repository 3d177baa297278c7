"""An app whose assets come from a running `fingerpost dev`."""

import logging
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from flask import render_template_string, url_for

from fingerpost import AssetNotFound
from fingerpost.manifest import PATH
from fingerpost.pages import CLIENT
from fingerpost.reload import DevServer

# Where the app's pages are.
PAGES = "http://127.0.0.1:5000"

TEMPLATE = (
    "<!doctype html><html><head lang='en'>\n<meta charset=utf-8><title>é</title>"
    "{{ asset_tags('css/site.css', 'js/a.js') }}</head><body></body></html>"
)


@pytest.fixture
def dev(module_site):
    """`fingerpost dev` on the site; gives its URL."""
    child = subprocess.Popen(
        [module_site.binary, "--root", module_site.root, "dev", "--listen", "127.0.0.1:0", "--origin", PAGES],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = next(
            found[1]
            for found in (re.search(r"listening on (http://\S+)", line) for line in child.stderr)
            if found
        )
        # What is said is read, so that it never has to wait.
        reader = threading.Thread(target=child.stderr.read)
        reader.start()
        yield url
        child.terminate()
        reader.join()
    finally:
        child.terminate()
        child.wait()
        child.stderr.close()


class Stub:
    """A server that has a manifest, and says so as `dev` would."""

    def __init__(self):
        self.text, self.tag, self.status = b"", '"1"', 200
        self.asked = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                stub.asked.append((self.path, self.headers["If-None-Match"]))
                status = (
                    304 if self.headers["If-None-Match"] == stub.tag and stub.status == 200 else stub.status
                )
                self.send_response(status)
                self.send_header("ETag", stub.tag)
                body = stub.text if status == 200 else b""
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def stub(module_site):
    """One that has the manifest of a development build of the site."""
    module_site.build("--mode", "development")
    stub = Stub()
    stub.text = (module_site.dist / PATH).read_bytes()
    yield stub
    stub.close()


def _app(site, url, **config):
    app = site.app(**{"FINGERPOST_DEV_SERVER": url, "FINGERPOST_INTERVAL": 0, "DEBUG": True, **config})
    app.add_url_rule("/", "page", lambda: render_template_string(TEMPLATE))
    return app


def _port(url):
    return url.rsplit(":", 1)[1]


def test_every_url_leads_to_the_server_and_is_answered(module_site, dev):
    # The environment's base is for what is built: no CDN has these files.
    app = _app(module_site, dev, FINGERPOST_ENV="production")
    page = app.test_client().get("/", base_url="http://127.0.0.1:5000").text
    urls = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert {re.sub(r"~\w+", "", url.removeprefix(dev)) for url in urls} >= {
        "/assets/css/site.css",
        "/assets/js/a.js",
    }
    for url in urls:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Origin": PAGES})) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == PAGES
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(urllib.request.Request(url, headers={"Origin": "http://127.0.0.1:5001"}))
        refused.value.close()
    assert "integrity" not in page
    assert re.search(r'<script type="module" src="[^"]+/assets/js/a~\w+\.js"', page)


def test_the_next_request_sees_an_edit(module_site, dev):
    app = _app(module_site, dev, FINGERPOST_INTERVAL=None)
    client = app.test_client()
    page = client.get("/", base_url=PAGES).text
    with urllib.request.urlopen(dev + DevServer.PATH) as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
        build = answer.headers["ETag"].strip('"')
    assert f'<script src="{dev}{CLIENT}?build={build}"></script>' in page
    # The chunk and the stylesheet that the module needs are known, and lead to what is there.
    needed = re.findall(r'<link rel="(?:stylesheet|modulepreload)" href="([^"]+)"', page)
    assert any(url.endswith(".css") and "/a" in url for url in needed), needed
    for url in needed:
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200
    module_site.file("assets/css/new.css", "a { top: 0 }")
    for _ in range(200):
        with urllib.request.urlopen(dev + DevServer.PATH) as answer:
            if answer.headers["ETag"].strip('"') != build:
                break
        time.sleep(0.05)
    with app.test_request_context(base_url=PAGES):
        assert url_for("static", filename="css/new.css") == f"{dev}/assets/css/new.css"
    assert f"{CLIENT}?build={build}" not in client.get("/", base_url=PAGES).text


def test_pages_get_the_client_first(module_site, stub):
    page = _app(module_site, stub.url).test_client().get("/", base_url="http://127.0.0.1:5000").text
    client = f'<script src="{stub.url}/@fingerpost/client.js?build=1"></script>'
    assert page.count(client) == 1
    assert page.index("<meta charset=utf-8>") < page.index(client) < page.index("<title>é</title>")


def test_what_a_module_needs_is_known_from_the_manifest(module_site, stub):
    page = _app(module_site, stub.url).test_client().get("/", base_url="http://127.0.0.1:5000").text
    assert re.search(rf'<link rel="stylesheet" href="{stub.url}/assets/[^"]*a[^"]*\.css">', page)
    # Chunks have the names that modules import them by, so the map has none of them.
    assert '{"imports":{"vue":"https://cdn.example.net/vue.js"}}' in page
    assert "integrity" not in page


def test_a_new_build_is_noticed(module_site, stub):
    app = _app(module_site, stub.url)
    with app.test_request_context(), pytest.raises(AssetNotFound):
        url_for("static", filename="css/new.css")
    with app.test_request_context():
        assert url_for("static", filename="css/site.css")
    module_site.file("assets/css/new.css", "a { top: 0 }").build("--mode", "development")
    stub.text, stub.tag = (module_site.dist / PATH).read_bytes(), '"2"'
    with app.test_request_context():
        assert url_for("static", filename="css/new.css").endswith("/assets/css/new.css")
    assert ("/@fingerpost/manifest.json", '"1"') in stub.asked, "it asks whether there is another one"


@pytest.mark.parametrize(
    ("page", "want"),
    [
        ("http://localhost:5000", "http://localhost:{}"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:{}"),
        ("http://shop.test:5000", "http://127.0.0.1:{}"),
    ],
)
def test_one_name_for_this_machine(module_site, stub, page, want):
    # A browser takes `localhost` and `127.0.0.1` for different sites, and `dev` answers no other site's page.
    app = _app(module_site, stub.url)
    with app.test_request_context(base_url=page):
        assert (
            url_for("static", filename="css/site.css")
            == want.format(_port(stub.url)) + "/assets/css/site.css"
        )


def test_responses_that_are_no_plain_pages_pass(module_site, stub):
    app = _app(module_site, stub.url)
    page = b"<html><head></head></html>"

    @app.get("/<kind>")
    def other(kind):
        match kind:
            case "stream":
                return app.response_class(iter([page]), mimetype="text/html")
            case "packed":
                return app.response_class(page, mimetype="text/html", headers={"Content-Encoding": "br"})
            case "json":
                return app.response_class(page, mimetype="application/json")
            case "utf-16":
                return app.response_class(page, content_type="text/html; charset=utf-16")
            case "fragment":
                return app.response_class(b"<li>", mimetype="text/html")
        return app.response_class(page, mimetype="text/html")

    client = app.test_client()
    for kind in ["stream", "packed", "json", "utf-16"]:
        assert client.get(f"/{kind}").data == page, kind
    assert client.get("/fragment").data == b"<li>"
    answer = client.get("/plain")
    assert CLIENT.encode() in answer.data
    assert int(answer.headers["Content-Length"]) == len(answer.data)


def test_a_server_that_could_not_build_yet_shows_why(module_site, stub):
    stub.status = 503
    page = _app(module_site, stub.url).test_client().get("/", base_url="http://127.0.0.1:5000").text
    assert f'<script src="{stub.url}/@fingerpost/client.js"></script>' in page
    assert f'href="{stub.url}/assets/css/site.css"' in page


def test_one_that_is_away_is_not_asked_by_every_request(stub):
    times = [0.0]
    server = DevServer(stub.url, clock=lambda: times[-1])
    server.current()
    server.current()
    assert len(stub.asked) == 2, "one that is there is asked each time"
    stub.close()
    looks, look = [], server._look
    server._look = lambda: looks.append(times[-1]) or look()
    for now in (0.1, 0.5, 1.0, 1.2, 2.3):
        times.append(now)
        assert server.current() is not None, "the last one is kept"
    assert looks == [0.1, 1.2, 2.3]


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_without_a_manifest_is_asked_by_logical_names(module_site, stub, status, caplog):
    stub.status = status
    app = _app(module_site, stub.url)
    with (
        app.test_request_context(base_url="http://127.0.0.1"),
        caplog.at_level(logging.WARNING, "fingerpost"),
    ):
        for _ in range(3):
            assert url_for("static", filename="css/site.css") == f"{stub.url}/assets/css/site.css"
        tags = app.extensions["fingerpost"].asset_tags("js/a.js", "js/classic.js")
        assert f'<script type="module" src="{stub.url}/assets/js/a.js">' in tags
        assert f'<script src="{stub.url}/assets/js/classic.js">' in tags
        with pytest.raises(AssetNotFound):
            url_for("static", filename="css/none.css")
    assert len(caplog.records) == 1, "it is said once"
    assert CLIENT not in app.test_client().get("/").text


def test_a_server_that_is_not_there(module_site, stub, caplog):
    app = _app(module_site, stub.url)
    stub.close()
    with (
        app.test_request_context(base_url="http://127.0.0.1"),
        caplog.at_level(logging.WARNING, "fingerpost"),
    ):
        assert url_for("static", filename="css/site.css") == f"{stub.url}/assets/css/site.css"
    assert "does not answer" in caplog.text
    assert "is `fingerpost dev` running?" in caplog.text


def test_files_of_blueprints(app_site, load_app, stub):
    stub.status = 404
    app = load_app(FINGERPOST_DEV_SERVER=stub.url, FINGERPOST_MISSING="raise")
    page = app.test_client().get("/journal/", base_url="http://127.0.0.1").text
    assert f'href="{stub.url}/assets/journal/journal.css"' in page
