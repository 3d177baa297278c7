"""fingerpost for Python: the program, and what connects it to Flask.

    from fingerpost import Fingerpost

    Fingerpost(app)

`flask` has the extension, `elements` what `asset_tags` writes, `manifest` what a build says of itself,
`reload` how it is followed, `site` the configuration, `jinja` the tag `{% assets %}`, and `webassets` the way
out of bundles that are defined in Python.
"""

from typing import TYPE_CHECKING, Any

from .errors import AssetNotFound, ConfigError, FingerpostError, ManifestError
from .manifest import Manifest

if TYPE_CHECKING:
    from .flask import Fingerpost

__all__ = ["AssetNotFound", "ConfigError", "Fingerpost", "FingerpostError", "Manifest", "ManifestError"]


def __getattr__(name: str) -> Any:
    # Flask is needed by who uses the extension, and by nobody else.
    if name == "Fingerpost":
        from .flask import Fingerpost

        return Fingerpost
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
