"""The same app with the helper: three lines more, and its own templates and views name built files."""

from app import app
from fingerpost import Fingerpost

Fingerpost(app)
