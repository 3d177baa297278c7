"""The app under gunicorn: as it is, and with the helper."""

import concurrent.futures
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fingerpost.reload import Dist

SOURCE = Path(__file__).resolve().parents[1] / "src"


@pytest.fixture
def serve(app_site):
    """`serve("app:app")` runs it with two workers of four threads; gives its URL."""
    children = []

    def start(target, **variables):
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                "--bind",
                "127.0.0.1:0",
                "--workers",
                "2",
                "--threads",
                "4",
                target,
            ],
            cwd=app_site.root,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = (re.search(r"Listening at: (http://\S+)", line) for line in child.stderr)
        url = next(found[1] for found in lines if found)
        reader = threading.Thread(target=child.stderr.read)
        reader.start()
        children.append((child, reader))
        return url

    yield start
    for child, reader in children:
        child.terminate()
        child.wait()
        reader.join()
        child.stderr.close()


def _get(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_the_app_runs_unchanged(serve):
    url = serve("app:app")
    for path, status in {
        "/": 200,
        "/login": 200,
        "/members": 200,
        "/admin/": 200,
        "/journal/1": 200,
        "/latin-1": 200,
        "/packed": 200,
        "/report.csv": 200,
        "/events?pause=0": 200,
        "/stream?pause=0": 200,
        "/nothing": 204,
        "/nowhere": 404,
        "/broken": 500,
        "/static/css/site.css": 200,
        "/admin/static/css/site.css": 200,
        "/journal/files/journal.css": 200,
    }.items():
        assert _get(url + path)[0] == status, path
    assert b'href="/static/css/site.css"' in _get(url)[2]
    assert (
        "fingerpost" not in (Path(__file__).resolve().parents[2] / "tests" / "flask" / "app.py").read_text()
    )


def test_with_the_helper_pages_name_what_is_there(serve):
    url = serve("with_helper:app")
    for path in ["/", "/admin/", "/journal/", "/stream?pause=0"]:
        page = _get(url + path)[2].decode()
        assets = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)
        assert assets
        for asset in assets:
            status, headers, _ = _get(url + asset)
            assert (status, "immutable" in headers["Cache-Control"]) == (200, True), asset


def test_all_workers_follow_a_build_under_load(serve, app_site):
    url = serve("with_helper:app", FINGERPOST_ENV="production", FINGERPOST_INTERVAL="0")
    stop = threading.Event()

    def shown():
        status, _, body = _get(url)
        assert status == 200
        return re.search(rb"https://cdn\.example\.com/(assets/css/site-[0-9a-f]{16}\.css)", body)[1].decode()

    def ask():
        seen = set()
        while not stop.is_set():
            seen.add(shown())
        return seen

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        askers = [pool.submit(ask) for _ in range(6)]
        built = {shown()}
        try:
            for number in range(4):
                app_site.file("static/css/site.css", f"a {{ top: {number}px }}").build()
                last = Dist(app_site.dist).current().entries["css/site.css"].file
                built.add(last)
                # Of two workers, twenty answers come from both; one may have looked just before.
                end = time.monotonic() + 20
                while {shown() for _ in range(20)} != {last}:
                    assert time.monotonic() < end
        finally:
            stop.set()
        seen = set().union(*(asker.result() for asker in askers))
    assert seen == built
