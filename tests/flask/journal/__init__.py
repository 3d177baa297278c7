"""A blueprint whose static folder has another URL than its default."""

from flask import Blueprint, abort, render_template

journal = Blueprint(
    "journal",
    __name__,
    url_prefix="/journal",
    static_folder="static",
    static_url_path="/files",
    template_folder="templates",
)

ENTRIES = {1: "A post is set up", 2: "The first arm is nailed on"}


@journal.get("/")
def entries():
    return render_template("journal/entries.html", entries=ENTRIES)


@journal.get("/<int:number>")
def entry(number: int):
    if number not in ENTRIES:
        abort(404)
    return render_template("journal/entry.html", number=number, title=ENTRIES[number])
