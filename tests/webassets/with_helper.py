"""The same app with the helper, which answers for `{% assets %}` from what was built."""

from app import app
from fingerpost import Fingerpost

Fingerpost(app)
