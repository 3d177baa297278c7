"""A Flask app as its author writes it, which knows nothing of what stands in front of it.

It has what a proxy must not harm: forms, sessions, flash messages, cookies, redirects, error pages,
downloads, streams, pages in another charset and another content coding. Run it with `gunicorn app:app`.
"""

import gzip
import hmac
import io
import json
import secrets
import time
from collections.abc import Iterator

from flask import (
    Flask,
    Response,
    abort,
    flash,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)

from admin import admin
from journal import journal

app = Flask(__name__)
app.secret_key = "known to everybody: it signs the cookies of tests"
app.register_blueprint(admin)
app.register_blueprint(journal)

PASSWORD = "open sesame"
GUESTS: list[str] = []


@app.context_processor
def form_token() -> dict:
    """`token()` in a form's hidden field; it belongs to the session."""

    def token() -> str:
        return session.setdefault("token", secrets.token_hex(16))

    return {"token": token}


@app.before_request
def check_token() -> None:
    if request.method == "POST" and request.endpoint != "echo":
        sent, known = request.form.get("token", ""), session.get("token", "")
        if not known or not hmac.compare_digest(sent, known):
            abort(400, "the form's token is not the session's")


# Pages


@app.get("/")
def index():
    return render_template("index.html")


@app.get("/about")
def about():
    return render_template("about.html")


@app.get("/old-about")
def old_about():
    return redirect(url_for("about", _anchor="team"), code=301)


@app.get("/members")
def members():
    if "user" not in session:
        flash("Sign in to see this page.", "warning")
        return redirect(url_for("login", next=request.path))
    return render_template("members.html", user=session["user"])


# Forms, flash messages, the session


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        if request.form["password"] == PASSWORD:
            session["user"] = request.form["user"]
            flash(f"Welcome, {session['user']}.", "success")
            return redirect(url_for("members"), code=303)
        flash("That is not the password.", "error")
        return render_template("login.html"), 401
    return render_template("login.html")


@app.post("/logout")
def logout():
    session.pop("user", None)
    flash("Goodbye.")
    return redirect(url_for("index"), code=303)


@app.route("/guests", methods=["GET", "POST"])
def guests():
    if request.method == "POST":
        GUESTS.append(request.form["name"])
        flash("Thank you.", "success")
        return redirect(url_for("guests"), code=303)
    return render_template("guests.html", guests=GUESTS)


@app.post("/upload")
def upload():
    file = request.files["file"]
    return jsonify(name=file.filename, bytes=len(file.read()))


@app.post("/echo")
def echo():
    """The request's body, as it came."""
    return Response(request.get_data(), mimetype=request.mimetype or "application/octet-stream")


@app.get("/cookies")
def cookies():
    response = make_response(render_template("cookies.html", cookies=sorted(request.cookies)))
    response.set_cookie("theme", "dark", max_age=3600, samesite="Lax")
    response.set_cookie("visits", "1", httponly=True, path="/cookies")
    return response


# Answers that are no page, or no plain one


@app.get("/api/status")
def status():
    return jsonify(ok=True, logo=url_for("static", filename="img/logo.svg"))


@app.get("/report.csv")
def report():
    body = io.BytesIO(b"month,visitors\n2026-10,1200\n2026-11,1340\n")
    return send_file(body, mimetype="text/csv", as_attachment=True, download_name="report.csv")


@app.get("/report.html")
def saved_report():
    """A page to be saved: what a reader keeps."""
    body = io.BytesIO(render_template("report.html").encode())
    return send_file(body, mimetype="text/html", as_attachment=True, download_name="report.html")


@app.get("/logo")
def logo():
    """A file of the app's, from a view: with ranges, `ETag` and `Last-Modified`."""
    return send_file("static/img/logo.svg", conditional=True)


@app.get("/stream")
def stream():
    """A page that arrives in parts; its first part is of use long before its last."""

    def parts() -> Iterator[str]:
        style = url_for("static", filename="css/site.css")
        yield "<!doctype html>\n<html><head><title>stream</title>"
        yield f'<link rel="stylesheet" href="{style}"></head><body>\n'
        for number in range(int(request.args.get("parts", "3"))):
            time.sleep(float(request.args.get("pause", "0.2")))
            yield f"<p>part {number}</p>\n"
        yield f'<img src="{url_for("static", filename="img/logo.svg")}" alt="logo"></body></html>\n'

    return Response(stream_with_context(parts()), mimetype="text/html")


@app.get("/events")
def events():
    """Server-sent events: <https://html.spec.whatwg.org/#server-sent-events>."""

    count, pause = int(request.args.get("count", "3")), float(request.args.get("pause", "0.2"))

    def lines() -> Iterator[str]:
        for number in range(count):
            yield f"id: {number}\ndata: {json.dumps({'number': number})}\n\n"
            time.sleep(pause)

    return Response(lines(), mimetype="text/event-stream", headers={"Cache-Control": "no-store"})


@app.get("/latin-1")
def latin_1():
    """A page in another charset, which the header names."""
    page = render_template("latin_1.html").encode("iso-8859-1")
    return Response(page, content_type="text/html; charset=iso-8859-1")


@app.get("/packed")
def packed():
    """A page that comes with a content coding, whether or not it was asked for."""
    page = gzip.compress(render_template("packed.html").encode(), mtime=0)
    return Response(
        page, mimetype="text/html", headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    )


@app.get("/validated")
def validated():
    """A page with a strong validator of the app's own."""
    response = make_response(render_template("about.html"))
    response.add_etag()
    return response.make_conditional(request)


@app.get("/policy")
def policy():
    """A page with a Content-Security-Policy of the app's own."""
    response = make_response(render_template("about.html"))
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    return response


@app.get("/fragment")
def fragment():
    """A part of a page, as a script asks for it."""
    return f'<li><img src="{url_for("static", filename="img/logo.svg")}" alt=""> one more</li>'


@app.get("/nothing")
def nothing():
    return "", 204


@app.get("/broken")
def broken():
    raise RuntimeError("this page is broken on purpose")


# Errors


@app.errorhandler(404)
def not_found(error):
    return render_template("error.html", title="Not found", error=error), 404


@app.errorhandler(500)
def failed(error):
    return render_template("error.html", title="Something went wrong", error=error), 500
