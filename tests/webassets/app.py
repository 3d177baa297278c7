"""A Flask app that bundles with Flask-Assets: in Python, in YAML, and with a blueprint's own files."""

from pathlib import Path

from flask import Blueprint, Flask, render_template
from flask_assets import Bundle, Environment
from webassets.loaders import YAMLLoader

app = Flask(__name__)
panel = Blueprint("panel", __name__, url_prefix="/panel", root_path=str(Path(app.root_path, "panel")))
panel.static_folder = "static"
app.register_blueprint(panel)

assets = Environment(app)
reset = Bundle("css/reset.css", filters="cssrewrite")
theme = Bundle(reset, "css/theme-*.css", "panel/panel.css", "css/last.css", filters="cssrewrite")
assets.register("css_all", theme, output="gen/all.%(version)s.css", extra={"media": "all"})
assets.register(
    "js_all", "js/b-first.js", Bundle("js/a-second.js", filters="rjsmin"), "js/third.js", output="gen/all.js"
)
for name, bundle in YAMLLoader(str(Path(app.root_path, "bundles.yml"))).load_bundles().items():
    assets.register(name, bundle)


@app.get("/")
def index():
    return render_template("index.html")
