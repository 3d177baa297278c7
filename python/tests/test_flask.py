"""`url_for` of an app that knows nothing of fingerprints, in views and in templates."""

import logging
import re

import pytest
from flask import Blueprint, Flask, render_template_string, request, url_for

from conftest import Client
from fingerpost import AssetNotFound, ConfigError, Fingerpost, ManifestError

HEX = "[0-9a-f]{16}"


def _static(app, filename, **values):
    with app.test_request_context():
        return url_for("static", filename=filename, **values)


# The app of tests/flask


@pytest.mark.parametrize(
    "path", ["/", "/about", "/login", "/guests", "/admin/", "/journal/", "/journal/1", "/nowhere"]
)
@pytest.mark.parametrize(
    ("environment", "base"), [("development", "/"), ("production", "https://cdn.example.com/")]
)
def test_every_page_names_built_files(load_app, path, environment, base):
    page = load_app(FINGERPOST_ENV=environment).test_client().get(path).text
    urls = re.findall(r'(?:href|src)="([^"]*(?:static|assets|files)/[^"]*)"', page)
    assert len(urls) >= 4
    for url in urls:
        if not url.endswith("site.webmanifest"):
            assert re.fullmatch(rf"{re.escape(base)}assets/.+-{HEX}\.\w+", url), url


def test_the_app_alone_is_as_it_was(load_app):
    client = load_app(helper=False).test_client()
    assert 'href="/static/css/site.css"' in client.get("/").text
    assert 'href="/admin/static/css/site.css"' in client.get("/admin/").text


def test_blueprints_have_their_own_files(load_app):
    app = load_app()
    admin = app.test_client().get("/admin/").text
    names = re.findall(rf"/assets/([\w/]+)-{HEX}", admin)
    # `url_for('.static', filename='css/site.css')` is the blueprint's, whatever the app has by that name; a
    # picture is in the build because the stylesheet refers to it.
    assert {"css/site", "admin/css/site", "admin/static/img/chart"} <= set(names)
    assert re.search(rf"/assets/journal/journal-{HEX}\.css", app.test_client().get("/journal/1").text)


def test_every_url_that_a_page_has_is_answered(load_app):
    client = load_app().test_client()
    for path in ["/", "/admin/", "/journal/"]:
        for url in re.findall(r'(?:href|src)="(/[^"]*)"', client.get(path).text):
            answer = client.get(url)
            assert answer.status_code in (200, 302), url


def test_views_see_the_same_as_templates(load_app):
    app = load_app(FINGERPOST_ENV="production")
    assert (
        app.test_client()
        .get("/api/status")
        .json["logo"]
        .startswith("https://cdn.example.com/assets/img/logo-")
    )


def test_pages_in_another_charset_and_coding(load_app):
    client = load_app(FINGERPOST_ENV="production").test_client()
    latin = client.get("/latin-1")
    assert latin.content_type == "text/html; charset=iso-8859-1"
    assert "À l'été".encode("iso-8859-1") in latin.data
    assert b'href="https://cdn.example.com/assets/css/site-' in latin.data


def test_what_a_module_needs_is_put_into_the_page_that_names_it(load_app):
    client = load_app().test_client()
    page = client.get("/").text
    chunk = re.search(rf'"/assets/js/lazy~\w+\.js":"(/assets/js/lazy-{HEX}\.js)"', page)
    assert page.index('<script type="importmap">') < page.index('type="module"')
    assert client.get(chunk[1]).status_code == 200
    assert "importmap" not in client.get("/about").text


def test_so_is_what_a_blueprints_module_needs(module_site):
    config = (module_site.root / "fingerpost.toml").read_text()
    module_site.file(
        "fingerpost.toml", config + '[[bundle]]\nname = "x/y.js"\ninputs = ["chat/static/main.js"]\n'
    )
    module_site.file(
        "chat/static/main.js", "import '../../assets/js/a.css';\nimport('../../assets/js/lazy.js');\n"
    )
    app = module_site.build().app()
    chat = Blueprint(
        "chat", "chat", root_path=str(module_site.root / "chat"), static_folder="static", url_prefix="/c"
    )

    @chat.get("/")
    def page():
        return f"<head></head><script type=module src={url_for('.static', filename='main.js')}></script>"

    app.register_blueprint(chat)
    html = app.test_client().get("/c/").text
    assert re.search(rf"src=/assets/x/y-{HEX}\.js", html)
    assert (
        html.index("importmap") < html.index('<link rel="stylesheet" href="/assets/') < html.index("</head>")
    )


def test_a_page_that_is_completed_has_no_validator_of_what_it_was(module_site):
    app = module_site.app()

    @app.get("/<name>")
    def page(name):
        html = f"<head></head><script type=module src={url_for('static', filename=f'js/{name}.js')}></script>"
        response = app.make_response(html)
        response.add_etag()
        return response.make_conditional(request)

    answer = app.test_client().get("/b")
    assert b'type="importmap"' in answer.data
    assert "ETag" not in answer.headers
    assert "ETag" in app.test_client().get("/classic").headers


# `_external`, `_scheme`, `_anchor`, queries


@pytest.mark.parametrize(
    ("base", "want"),
    [
        ("/", "https?://localhost/assets/css/site-"),
        ("/v2/", "https?://localhost/v2/assets/css/site-"),
        ("https://cdn.example.com/", "https://cdn.example.com/assets/css/site-"),
        ("//cdn.example.com/", "https?://cdn.example.com/assets/css/site-"),
    ],
)
@pytest.mark.parametrize("serve", [True, False])
def test_external_urls_are_absolute(module_site, base, want, serve):
    app = module_site.app(FINGERPOST_ASSET_BASE=base, FINGERPOST_SERVE=serve)
    url = _static(app, "css/site.css", _external=True)
    assert re.match(want.replace("https?", "http"), url)
    url = _static(app, "css/site.css", _external=True, _scheme="https")
    assert re.match(want.replace("https?", "https"), url)
    assert not _static(app, "css/site.css").startswith("http:")


def test_scheme_without_external_is_refused_as_by_flask(module_site):
    with pytest.raises(ValueError, match="_external"):
        _static(module_site.app(), "css/site.css", _scheme="https", _external=False)


@pytest.mark.parametrize("base", ["/", "https://cdn.example.com/"])
def test_anchors_and_queries(module_site, base):
    app = module_site.app(FINGERPOST_ASSET_BASE=base)
    url = _static(app, "img/a b.png", _anchor="a b", size=[1, 2], x=None)
    assert re.fullmatch(rf"{base}assets/img/a%20b-{HEX}\.png\?size=1&size=2#a%20b", url)


def test_a_mounted_app_keeps_its_mount(module_site):
    app = module_site.app()
    with app.test_request_context("/", base_url="http://example.org/shop/"):
        assert url_for("static", filename="css/site.css").startswith("/shop/assets/css/site-")
        assert url_for("static", filename="css/site.css", _external=True).startswith(
            "http://example.org/shop/assets/"
        )


def test_outside_of_a_request(module_site):
    app = module_site.app(FINGERPOST_ENV="production")
    with app.app_context():
        assert url_for("static", filename="css/site.css").startswith("https://cdn.example.com/v1/assets/")
    app = module_site.app()
    with app.app_context(), pytest.raises(RuntimeError, match="SERVER_NAME"):
        url_for("static", filename="css/site.css")
    with app.app_context():
        assert app.extensions["fingerpost"].asset_url("css/site.css").startswith("/assets/css/site-")
    app = module_site.app(SERVER_NAME="example.org", PREFERRED_URL_SCHEME="https")
    with app.app_context():
        assert url_for("static", filename="css/site.css").startswith("https://example.org/assets/css/site-")


def test_other_endpoints_are_flasks(load_app):
    app = load_app(FINGERPOST_ENV="production")
    with app.test_request_context():
        assert url_for("about", _anchor="team") == "/about#team"
        assert url_for("journal.entry", number=1, _external=True) == "http://localhost/journal/1"


# What is not there


def test_an_unknown_file_is_an_error_while_debugging(module_site):
    app = module_site.app(DEBUG=True)
    with pytest.raises(AssetNotFound) as caught:
        _static(app, "css/sit.css")
    assert str(caught.value) == "there is no asset `css/sit.css` in the build; did you mean `css/site.css`?"
    with app.test_request_context(), pytest.raises(AssetNotFound):
        render_template_string("{{ url_for('static', filename='css/sit.css') }}")


def test_an_unknown_file_is_flasks_and_logged_once_in_production(module_site, caplog):
    app = module_site.app(FINGERPOST_ENV="production")
    with caplog.at_level(logging.WARNING, "fingerpost"):
        for _ in range(3):
            assert _static(app, "css/sit.css", v="1") == "/static/css/sit.css?v=1"
    assert [record.message for record in caplog.records] == [
        "there is no asset `css/sit.css` in the build; did you mean `css/site.css`?; Flask's own URL is used",
    ]


@pytest.mark.parametrize("debug", [True, False])
def test_what_is_done_about_it_can_be_set(module_site, debug):
    assert _static(module_site.app(DEBUG=debug, FINGERPOST_MISSING="fallback"), "x.css") == "/static/x.css"
    with pytest.raises(AssetNotFound):
        _static(module_site.app(DEBUG=debug, FINGERPOST_MISSING="raise"), "x.css")


def test_without_a_build(site, caplog):
    site.file("assets/css/a.css", "a { color: red }")
    with pytest.raises(ManifestError, match="run `fingerpost build`"):
        _static(site.app(DEBUG=True), "css/a.css")
    app = site.app(FINGERPOST_INTERVAL=0)
    assert _static(app, "css/a.css") == "/static/css/a.css"
    assert app.test_client().get("/assets/css/a.css").status_code == 404
    site.build()
    assert re.fullmatch(rf"/assets/css/a-{HEX}\.css", _static(app, "css/a.css"))


def test_a_broken_manifest(site):
    site.file("assets/css/a.css", "a { color: red }").build()
    (site.dist / ".fingerpost" / "manifest.json").write_text("{")
    with pytest.raises(ManifestError, match="is no manifest"):
        _static(site.app(DEBUG=True), "css/a.css")
    assert _static(site.app(), "css/a.css") == "/static/css/a.css"


def test_documents_and_folders_stay_flasks(module_site):
    app = module_site.app(DEBUG=True, FINGERPOST_ENV="production")
    for name in ["site.webmanifest", "public/robots.txt", "js/", "../fingerpost.toml"]:
        assert _static(app, name) == f"/static/{name}"
    with app.test_request_context():
        assert url_for("static", filename="") == "/static/"
        assert render_template_string("{{ asset_url('site.webmanifest') }}") == "/static/site.webmanifest"


def test_blueprints_of_others_stay_theirs(module_site, tmp_path_factory):
    installed = tmp_path_factory.mktemp("installed")
    app = module_site.app(DEBUG=True)
    # Registered afterwards, and its file is called as one of the site's.
    toolbar = Blueprint(
        "toolbar", "toolbar", root_path=str(installed), static_folder="static", url_prefix="/_t"
    )
    app.register_blueprint(toolbar)
    with app.test_request_context():
        assert url_for("toolbar.static", filename="css/site.css") == "/_t/static/css/site.css"


def test_arguments_of_a_static_route_are_no_query(load_app, app_site):
    app = load_app()
    folder = str(app_site.root / "admin" / "static")
    app.register_blueprint(
        Blueprint("ad", "ad", static_folder=folder, static_url_path="/s", url_prefix="/<lang>/ad")
    )
    with app.test_request_context():
        url = url_for("ad.static", lang="de", filename="css/site.css", v=1)
        assert re.fullmatch(rf"/assets/admin/css/site-{HEX}\.css\?v=1", url)
        assert url_for("ad.static", lang="de", filename="none.css") == "/de/ad/s/none.css"


def test_names_are_normalised(module_site):
    app = module_site.app(DEBUG=True)
    assert (
        _static(app, "./css/../css/site.css") == _static(app, "css/site.css") == _static(app, "/css/site.css")
    )


# Reload


def test_a_new_build_is_taken_without_a_restart(site):
    app = site.file("assets/css/a.css", "a { color: red }").build().app(FINGERPOST_INTERVAL=0)
    first = _static(app, "css/a.css")
    site.file("assets/css/a.css", "a { color: blue }").build()
    assert _static(app, "css/a.css") != first
    client = app.test_client()
    assert client.get(_static(app, "css/a.css")).status_code == 200
    assert client.get(first).status_code == 404


def test_a_page_is_of_one_build(site):
    site.file("assets/css/a.css", "a { color: red }").file("assets/css/b.css", "b { color: red }").build()
    app = site.app(FINGERPOST_INTERVAL=0)

    @app.get("/")
    def page():
        first = url_for("static", filename="css/a.css")
        site.file("assets/css/b.css", f"b {{ content: '{first}{len(seen)}' }}").build()
        return [first, url_for("static", filename="css/b.css")]

    seen = []
    for _ in range(2):
        known = app.extensions["fingerpost"].manifest.entries
        seen.append(app.test_client().get("/").json)
        assert seen[-1] == [f"/{known['css/a.css'].file}", f"/{known['css/b.css'].file}"]
    assert seen[0][1] != seen[1][1]


# Template globals


def test_template_globals(module_site):
    app = module_site.app(FINGERPOST_ENV="production")
    template = "{{ %s }}"
    with app.test_request_context():
        url = render_template_string(template % "asset_url('css/site.css')")
        assert re.fullmatch(rf"https://cdn\.example\.com/v1/assets/css/site-{HEX}\.css", url)
        for call in [
            "asset_url_for('css/site.css')",
            "cdn_url_for('css/site.css')",
            "cloud_url_for('/css/site.css')",
            "cdn_url_for('static', filename='css/site.css')",
            "url_for('static', filename='css/site.css')",
        ]:
            assert render_template_string(template % call) == url, call
        assert render_template_string(template % "asset_integrity('css/site.css')").startswith("sha256-")
        assert render_template_string(template % "asset_integrity('nothing.css')") == ""
        assert "<link" in render_template_string(template % "asset_tags('css/site.css')"), "it is not escaped"
        with pytest.raises(TypeError, match="takes `_external`, and not `size`"):
            render_template_string(template % "asset_url('css/site.css', size=1)")


# Configuration


def test_settings_come_from_the_app_then_the_environment_then_the_file(module_site, monkeypatch):
    assert _static(module_site.app(), "css/site.css").startswith("/assets/")
    monkeypatch.setenv("FINGERPOST_ENV", "production")
    assert _static(module_site.app(), "css/site.css").startswith("https://cdn.example.com/v1/")
    assert _static(module_site.app(FINGERPOST_ENV="development"), "css/site.css").startswith("/assets/")
    app = module_site.app(FINGERPOST_ASSET_BASE="https://other.example/")
    assert _static(app, "css/site.css").startswith("https://other.example/assets/")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            {"FINGERPOST_ENV": "produktion"},
            "no environment `produktion` in `.*fingerpost.toml`; did you mean `production`?",
        ),
        ({"FINGERPOST_ENV": "x"}, "there are `development`, `production`"),
        (
            {"FINGERPOST_ASSET_BASE": "cdn.example.com"},
            "`FINGERPOST_ASSET_BASE`: `cdn.example.com` is no base",
        ),
        ({"FINGERPOST_MISSING": "ignore"}, "there are `raise` and `fallback`"),
        ({"FINGERPOST_DEV_SERVER": "localhost:8080"}, "write the URL"),
        ({"FINGERPOST_SERVE": "perhaps"}, "write `true` or `false`"),
        ({"FINGERPOST_ASETS": "x"}, "there is no setting `FINGERPOST_ASETS`"),
        ({"FINGERPOST_CONFIG": "other.toml"}, "there is no configuration `.*other.toml`"),
    ],
)
def test_what_can_not_be_used_is_said_at_once(module_site, config, reason):
    with pytest.raises(ConfigError, match=reason):
        module_site.app(**config)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[build", "could not read"),
        ("build = 1", "`build` in .* is no table"),
        ("[env.staging]\nasset_base = 'x'", "`env.staging` in .*: `x` is no base"),
        ("[env]\nstaging = 1", "`env.staging`"),
        ("[[bundle]]\nname = 'x'", "needs a `name` and `inputs`"),
    ],
)
def test_a_file_that_can_not_be_used_is_said_at_once(site, text, reason):
    with pytest.raises(ConfigError, match=reason):
        site.file("fingerpost.toml", text).app()


def test_the_configuration_may_lie_above_the_app(site):
    site.file(
        "fingerpost.toml",
        '[build]\nassets = "shop/static"\ntemplates = "none"\nout = "built"\nprefix = "x"\n',
    )
    site.file("shop/static/css/a.css", "a { color: red }").build()
    app = Flask("shop", root_path=str(site.root / "shop"))
    app.test_client_class = Client
    Fingerpost().init_app(app)
    url = _static(app, "css/a.css")
    assert re.fullmatch(rf"/x/css/a-{HEX}\.css", url)
    assert app.test_client().get(url).status_code == 200


def test_the_root_may_be_named(module_site, tmp_path_factory, monkeypatch):
    app = Flask(
        "elsewhere", root_path=str(module_site.root / "assets"), static_folder=".", static_url_path="/static"
    )
    app.config["FINGERPOST_ROOT"] = ".."
    Fingerpost(app)
    assert _static(app, "css/site.css").startswith("/assets/css/site-")
    # A variable as it is for the program: from the folder that the process runs in.
    elsewhere = str(tmp_path_factory.mktemp("elsewhere"))
    app = Flask("elsewhere", root_path=elsewhere, static_folder=str(module_site.root / "assets"))
    monkeypatch.chdir(module_site.root.parent)
    monkeypatch.setenv("FINGERPOST_ROOT", module_site.root.name)
    Fingerpost(app)
    assert _static(app, "css/site.css").startswith("/assets/css/site-")


def test_only_one_for_each_app(module_site):
    app = module_site.app()
    with pytest.raises(RuntimeError, match="has a `Fingerpost` already"):
        Fingerpost(app)
