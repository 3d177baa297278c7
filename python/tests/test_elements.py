"""`asset_tags`: the elements that the program's own pages have, for modules that need others."""

import json
import re

import pytest
from flask import render_template_string

from fingerpost import AssetNotFound, FingerpostError, ManifestError

CDN = {"FINGERPOST_ENV": "production"}


def _tags(site, *names, config=None, **options):
    app = site.app(**(config or {}))
    with app.test_request_context():
        return app.extensions["fingerpost"].asset_tags(*names, **options)


def _map(html):
    return json.loads(re.search(r'<script type="importmap"[^>]*>(.*?)</script>', html)[1])


def test_a_stylesheet_and_a_classic_script(module_site):
    tags = _tags(module_site, "css/site.css", "js/classic.js")
    assert re.fullmatch(
        r'<link rel="stylesheet" href="/assets/css/site-[0-9a-f]{16}\.css">\n'
        r'<script src="/assets/js/classic-[0-9a-f]{16}\.js"></script>',
        tags,
    )


def test_a_module_comes_with_all_that_it_needs_in_order(module_site):
    tags = _tags(module_site, "js/a.js")
    kinds = re.findall(r'importmap|rel="stylesheet"|rel="modulepreload"|type="module"', tags)
    assert kinds == ["importmap", 'rel="stylesheet"', 'rel="modulepreload"', 'type="module"']
    table = _map(tags)
    assert table["imports"]["vue"] == "https://cdn.example.net/vue.js"
    preload = re.search(r'modulepreload" href="([^"]+)" integrity="([^"]+)"', tags)
    assert table["integrity"][preload[1]] == preload[2]
    # The program's own page has the same.
    module_site.file(
        "pages/index.html",
        "<!doctype html><title>x</title>{{ asset_tags('js/a.js') }}{{ asset_tags('js/b.js') }}",
    )
    config = (module_site.root / "fingerpost.toml").read_text().replace('"none"', '"pages"')
    module_site.file("fingerpost.toml", config).build()
    page = (module_site.dist / "index.html").read_text()
    own = json.loads(re.search(r"<script type=importmap>(.*?)</script>", page)[1])
    assert own == _map(_tags(module_site, "js/a.js", "js/b.js"))


def test_shared_chunks_and_the_map_stand_once(module_site):
    tags = _tags(module_site, "js/a.js", "js/b.js", "js/a.js")
    assert tags.count("importmap") == 1
    assert tags.count("modulepreload") == 1
    assert tags.count('type="module"') == 2


def test_another_origin_gets_integrity_and_cors(module_site):
    tags = _tags(module_site, "js/a.js", "css/site.css", config=CDN)
    for line in tags.splitlines()[1:]:
        assert "https://cdn.example.com/v1/assets/" in line
        assert re.search(r'integrity="sha256-[^"]+" crossorigin="anonymous"', line), line
    table = _map(tags)
    urls = [url for pair in table["imports"].items() for url in pair if "vue" not in url]
    assert urls
    assert all(url.startswith("https://cdn.example.com/v1/assets/") for url in [*urls, *table["integrity"]])


def test_a_development_build_has_neither_integrity_nor_fingerprints(module_site):
    module_site.build("--mode", "development")
    tags = _tags(module_site, "js/b.js", "css/site.css", config=CDN)
    assert "integrity" not in tags
    assert 'href="https://cdn.example.com/v1/assets/css/site.css"' in tags


def test_attributes_and_a_nonce(module_site):
    tags = _tags(module_site, "js/classic.js", defer=True, data_page='a"b', async_=False, class_="x")
    assert re.search(r'\.js" defer data-page="a&quot;b" class="x"></script>$', tags)
    tags = _tags(module_site, "js/b.js", nonce="r4nd0m")
    assert tags.count('nonce="r4nd0m"') == 2


def test_what_no_element_loads_is_an_error(module_site):
    with pytest.raises(FingerpostError, match=r"knows no element for `img/a b.png`.*use `asset_url`"):
        _tags(module_site, "img/a b.png")
    with pytest.raises(AssetNotFound, match=r"no asset `js/aa.js` in the build; did you mean `js/a.js`"):
        _tags(module_site, "js/aa.js", config={"DEBUG": True})


def test_what_is_missing_is_loaded_where_flask_has_it(module_site, site, caplog):
    with pytest.raises(AssetNotFound, match=r"`css/none\.css`"):
        _tags(module_site, "css/site.css", "css/none.css", config={"DEBUG": True})
    config = {"FINGERPOST_ENV": "production"}
    tags = _tags(
        module_site, "css/none.css", "js/none.js", "js/none.ts", "css/site.css", config=config, defer=True
    )
    assert tags.splitlines()[:3] == [
        '<link rel="stylesheet" href="/static/css/none.css" defer>',
        '<script src="/static/js/none.js" defer></script>',
        '<script type="module" src="/static/js/none.ts" defer></script>',
    ]
    assert "https://cdn.example.com/v1/assets/css/site-" in tags
    # And where there is no build at all.
    app = site.app()
    with app.test_request_context():
        assets = app.extensions["fingerpost"]
        assert assets.asset_tags("css/a.css") == '<link rel="stylesheet" href="/static/css/a.css">'
        assert assets.asset_integrity("css/a.css") == ""
        assert assets.asset_import_map() == ""
        template = "{% assets 'css/a.css' %}{{ ASSET_URL }}{% endassets %}"
        assert render_template_string(template) == "/static/css/a.css"
    app = site.app(DEBUG=True)
    with app.test_request_context(), pytest.raises(ManifestError, match="run `fingerpost build`"):
        app.extensions["fingerpost"].asset_tags("css/a.css")


def test_a_map_can_not_end_its_script(module_site):
    config = (module_site.root / "fingerpost.toml").read_text().replace("vue.js", "</script>ü.js")
    tags = _tags(module_site.file("fingerpost.toml", config), "js/b.js")
    assert tags.count("</script>") == 2
    assert _map(tags)["imports"]["vue"].endswith("</script>ü.js")
    assert tags.isascii()


def test_each_rendering_has_its_own_map(module_site):
    app = module_site.app()

    @app.get("/")
    def page():
        # As a page that fails half way through, and is followed by one that says so.
        render_template_string("{{ asset_tags('js/a.js') }}")
        return render_template_string(
            "{{ asset_tags('js/a.js') }}{{ asset_tags('js/b.js') }}{{ asset_import_map() }}"
        )

    for _ in range(2):
        assert app.test_client().get("/").text.count("importmap") == 1


def test_the_map_by_itself_comes_first_and_once(module_site):
    app = module_site.app()
    with app.test_request_context():
        html = render_template_string("{{ asset_import_map(nonce='n') }}|{{ asset_tags('js/b.js') }}")
    first, rest = html.split("|")
    assert 'type="importmap" nonce="n"' in first
    assert "importmap" not in rest
