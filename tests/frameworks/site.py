"""A Django project in one file: `site.py render` prints the page, `site.py serve` answers requests with it.

What a test varies comes in variables of the environment.
"""

import os
import sys
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.template import engines
from django.urls import path

ROOT = Path(os.environ["SITE"])
DIST = ROOT / "dist"
COLLECTED = os.environ.get("COLLECTED")


class Storage(ManifestStaticFilesStorage):
    """Where the files are collected, with the manifest of the build that was made of them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, manifest_storage=FileSystemStorage(location=DIST / "assets"), **kwargs)


BACKENDS = {
    "django": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    "whitenoise": "whitenoise.storage.CompressedManifestStaticFilesStorage",
    "plain": "django.contrib.staticfiles.storage.StaticFilesStorage",
    "collected": f"{__name__}.Storage",
}

settings.configure(
    DEBUG=False,
    SECRET_KEY="not one",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.staticfiles",
        "django_vite",
        "manifest_loader",
    ],
    MIDDLEWARE=["whitenoise.middleware.WhiteNoiseMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    STATIC_URL=os.environ.get("STATIC_URL", "/assets/"),
    STATIC_ROOT=COLLECTED or DIST / os.environ.get("BELOW", "assets"),
    STORAGES={"staticfiles": {"BACKEND": BACKENDS[os.environ.get("BACKEND", "django")]}},
    STATICFILES_DIRS=[ROOT / "own"] if COLLECTED else [],
    DJANGO_VITE={"default": {"manifest_path": DIST / ".vite" / "manifest.json", "static_url_prefix": ""}},
    MANIFEST_LOADER={"output_dir": DIST / "assets"},
    # Our names end in a dash and 16 digits, Django's in a dot and 12.
    WHITENOISE_IMMUTABLE_FILE_TEST=r"^.+-[0-9a-f]{16}\..+$",
)
django.setup()


def page(request=None):
    template = engines["django"].from_string((ROOT / "views" / os.environ.get("PAGE", "page.html")).read_text())
    return HttpResponse(template.render({}, request))


urlpatterns = [path("", page)]


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


match sys.argv[1]:
    case "render":
        print(page().content.decode())
    case "collect":
        call_command("collectstatic", interactive=False, post_process=False, verbosity=0)
    case "serve":
        with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
            print(f"listening on http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
            server.serve_forever()
