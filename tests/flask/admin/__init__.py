"""A blueprint with a static folder of its own, in which a file is called as one of the app's."""

from flask import Blueprint, render_template

admin = Blueprint("admin", __name__, url_prefix="/admin", static_folder="static", template_folder="templates")


@admin.get("/")
def dashboard():
    return render_template("admin/dashboard.html")
