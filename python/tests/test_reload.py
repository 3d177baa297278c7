"""A build is followed while it is replaced: nobody ever sees half of one."""

import logging
import os
import shutil
import threading
import time

import pytest

from fingerpost.errors import ManifestError
from fingerpost.manifest import PATH
from fingerpost.reload import Dist


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def _two_builds(site):
    """Two builds of a site that differ, in `one` and `two`."""
    site.file("assets/css/a.css", "a { color: red }").build("--out", "one", "--no-compress")
    site.file("assets/css/a.css", "a { color: blue }").build("--out", "two", "--no-compress")
    return [Dist(site.root / name).current() for name in ("one", "two")]


def _replace(dist, source):
    """As a build does it: staged beside, then renamed."""
    staged = dist.with_name("staged")
    shutil.copytree(source, staged)
    if dist.exists():
        dist.rename(dist.with_name("old"))
    staged.rename(dist)
    shutil.rmtree(dist.with_name("old"), ignore_errors=True)


def test_a_missing_build_says_what_to_do_and_is_found_when_it_comes(tmp_path, site):
    clock = Clock()
    dist = Dist(site.dist, clock=clock)
    with pytest.raises(ManifestError, match=r"there is no build in `.*dist`: run `fingerpost build`"):
        dist.current()
    site.file("assets/css/a.css", "a { color: red }").build()
    with pytest.raises(ManifestError, match="no build"):
        dist.current()
    clock.now = 1.0
    assert dist.current().entry("css/a.css") is not None


def test_it_looks_once_a_second_at_most(site):
    one, two = _two_builds(site)
    _replace(site.dist, site.root / "one")
    clock = Clock()
    dist = Dist(site.dist, clock=clock)
    looks, look = [], dist._look
    dist._look = lambda: looks.append(clock.now) or look()
    assert dist.current() == one
    _replace(site.dist, site.root / "two")
    clock.now = 0.99
    for _ in range(100):
        assert dist.current() == one
    clock.now = 1.0
    assert dist.current() == two
    assert looks == [0.0, 1.0]
    first = dist.current()
    clock.now = 2.0
    assert dist.current() is first, "what has not changed is not read again"


def test_a_new_file_of_the_same_size_and_time_is_seen(site):
    one, two = _two_builds(site)
    _replace(site.dist, site.root / "one")
    clock = Clock()
    dist = Dist(site.dist, clock=clock)
    assert dist.current() == one
    before = os.stat(site.dist / PATH)
    _replace(site.dist, site.root / "two")
    os.utime(site.dist / PATH, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now = 1.0
    assert dist.current() == two


@pytest.mark.parametrize("spoil", ["half", "empty", "gone", "folder"])
def test_a_build_that_is_spoilt_leaves_the_last_good_one(site, spoil, caplog):
    one, two = _two_builds(site)
    _replace(site.dist, site.root / "one")
    clock = Clock()
    dist = Dist(site.dist, clock=clock)
    assert dist.current() == one
    path = site.dist / PATH
    text = (site.root / "two" / PATH).read_bytes()
    path.unlink()
    match spoil:
        case "half":
            path.write_bytes(text[: len(text) // 2])
        case "empty":
            path.write_bytes(b"")
        case "folder":
            path.mkdir()
    with caplog.at_level(logging.WARNING, "fingerpost"):
        for second in range(1, 4):
            clock.now = float(second)
            assert dist.current() == one
    assert len(caplog.records) == 1, "it is said once"
    assert "the last good one is kept" in caplog.text
    if spoil == "folder":
        path.rmdir()
    path.write_bytes(text)
    clock.now = 5.0
    assert dist.current() == two


def test_threads_never_see_half_of_a_build(site):
    builds = _two_builds(site)
    _replace(site.dist, site.root / "one")
    dist = Dist(site.dist, interval=0.0)
    known = {manifest.release: manifest for manifest in builds}
    seen, wrong, stop = set(), [], threading.Event()

    def look():
        while not stop.is_set():
            try:
                manifest = dist.current()
                if manifest != known[manifest.release]:
                    wrong.append(manifest)
                seen.add(manifest.release)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 2
    replaced = 0
    while time.monotonic() < end:
        _replace(site.dist, site.root / ("two" if replaced % 2 == 0 else "one"))
        replaced += 1
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert seen == set(known), f"after {replaced} builds both were seen"


def test_builds_by_the_program_are_followed_under_load(site):
    site.file("assets/css/a.css", "a { top: 0 }").build()
    dist = Dist(site.dist, interval=0.0)
    wrong, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            try:
                manifest = dist.current()
                manifest.files[manifest.entries["css/a.css"].file]
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 6):
        site.file("assets/css/a.css", f"a {{ top: {number}px }}").build()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert dist.current() == Dist(site.dist).current()


def test_one_thread_looks_while_the_others_go_on(site):
    one, _ = _two_builds(site)
    _replace(site.dist, site.root / "one")
    clock = Clock()
    dist = Dist(site.dist, clock=clock)
    assert dist.current() == one
    clock.now = 1.0
    begun, go_on = threading.Event(), threading.Event()

    def slow_look():
        begun.set()
        assert go_on.wait(10)

    dist._look = slow_look
    looker = threading.Thread(target=dist.current)
    looker.start()
    assert begun.wait(10)
    assert dist.current() == one, "it does not wait for the other"
    go_on.set()
    looker.join()
