"""The tag of webassets, with and without webassets."""

import re

import pytest
from flask import Flask, render_template_string
from flask_assets import Bundle, Environment
from jinja2 import Environment as Jinja
from jinja2 import TemplateSyntaxError

from fingerpost import AssetNotFound, Fingerpost
from fingerpost.jinja import AssetsExtension

HEX = "[0-9a-f]{16}"
LINK = '<link rel="stylesheet" href="{{ ASSET_URL }}" integrity="{{ ASSET_SRI }}">'


def _render(app, template):
    with app.test_request_context():
        return render_template_string(template)


def test_by_the_name_of_a_bundle(app_site):
    app = app_site.app(FINGERPOST_ENV="production")
    html = _render(app, f'{{% assets "css/widgets.css" %}}{LINK}{{% endassets %}}')
    assert re.fullmatch(
        rf'<link rel="stylesheet" href="https://cdn\.example\.com/assets/css/widgets-{HEX}\.css" '
        r'integrity="sha256-[^"]+">',
        html,
    )


def test_by_a_name_that_the_app_has_for_it(app_site):
    app = app_site.app(FINGERPOST_BUNDLES={"css_all": "css/widgets.css", "app_js": "js/site.js"})
    html = _render(app, '{% assets "css_all", "app_js" %}[{{ ASSET_URL }}]{% endassets %}')
    assert re.fullmatch(rf"\[/assets/css/widgets-{HEX}\.css\]\[/assets/js/site-{HEX}\.js\]", html)


@pytest.mark.parametrize("first", ["webassets", "fingerpost"])
def test_bundles_that_are_registered_with_flask_assets(app_site, first):
    app = Flask("site", root_path=str(app_site.root), static_folder="static")
    if first == "fingerpost":
        Fingerpost(app)
    assets = Environment(app)
    bundle = Bundle(
        "css/forms.css", "css/tables.css", output="css/widgets.%(version)s.css", extra={"media": "screen"}
    )
    assets.register("css_all", bundle)
    if first == "webassets":
        Fingerpost(app)
    html = _render(app, '{% assets "css_all" %}{{ ASSET_URL }} {{ EXTRA.media }}{% endassets %}')
    assert re.fullmatch(rf"/assets/css/widgets-{HEX}\.css screen", html)
    assert not (app_site.root / "static" / ".webassets-cache").exists(), "webassets builds nothing"


def test_files_with_an_output_are_that_bundle(app_site):
    app = app_site.app()
    template = (
        '{% assets filters="cssmin", output="css/widgets.%(version)s.css", "css/forms.css",'
        '"css/tables.css" %}'
        "[{{ ASSET_URL }}]{% endassets %}"
    )
    assert re.fullmatch(rf"\[/assets/css/widgets-{HEX}\.css\]", _render(app, template))
    template = (
        "{% assets 'css/site.css', ['css/print.css'], output='gen/other.css' %}"
        "[{{ ASSET_URL }}]{% endassets %}"
    )
    assert re.fullmatch(
        rf"\[/assets/css/site-{HEX}\.css\]\[/assets/css/print-{HEX}\.css\]", _render(app, template)
    )


def test_names_may_be_computed(app_site):
    template = (
        '{% for n in ["site", "print"] %}{% assets "css/" ~ n ~ ".css" %}'
        "[{{ ASSET_URL }}{{ n }}]{% endassets %}{% endfor %}"
    )
    assert re.fullmatch(
        rf"\[/assets/css/site-{HEX}\.csssite\]\[/assets/css/print-{HEX}\.cssprint\]",
        _render(app_site.app(), template),
    )


def test_urls_are_escaped_where_the_template_is(module_site):
    html = _render(module_site.app(), '{% assets "css/site.css" %}{{ "<" }}{% endassets %}')
    assert html == "&lt;"


def test_what_is_missing(app_site):
    with pytest.raises(AssetNotFound, match=r"`css_all`"):
        _render(app_site.app(DEBUG=True), '{% assets "css_all" %}{{ ASSET_URL }}{% endassets %}')
    app = app_site.app(FINGERPOST_BUNDLES={"css_all": "gen/packed.css"})
    assert _render(app, '{% assets "css_all" %}{{ ASSET_URL }}{% endassets %}') == "/static/gen/packed.css"


def test_what_the_tag_does_not_have(app_site):
    with pytest.raises(TemplateSyntaxError, match="`assets` has no option `colour`"):
        _render(app_site.app(), '{% assets "x", colour="red" %}{% endassets %}')
    jinja = Jinja(extensions=[AssetsExtension])
    with pytest.raises(RuntimeError, match="needs `Fingerpost"):
        jinja.from_string('{% assets "x" %}{% endassets %}').render()
