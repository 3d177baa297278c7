"""Assets by their logical names, for a `fingerpost dev` that has no manifest to give: it answers those as
well.
"""

import re
from pathlib import Path

from .manifest import Entry, Manifest
from .names import is_module, is_script
from .site import DEVELOPMENT, Site

_MODULE = re.compile(r"^\s*(import\b(?!\s*\()|export\b)", re.MULTILINE)


class Unbuilt(Manifest):
    """A manifest that has each source under its logical path, as far as the file system tells.

    It knows nothing of what modules import: neither stylesheets nor chunks.
    """

    site: Site

    @classmethod
    def of(cls, site: Site) -> "Unbuilt":
        own = {inputs[0]: name for name, inputs in site.bundles.items() if len(inputs) == 1}
        manifest = cls(
            release="",
            mode=DEVELOPMENT,
            prefix=site.prefix,
            files={},
            entries={name: Entry(f"{site.prefix}/{name}") for name in site.bundles},
            chunks={},
            by_source={source: f"{site.prefix}/{name}" for source, name in own.items()},
            by_file={f"{site.prefix}/{name}": name for name in own.values()},
        )
        object.__setattr__(manifest, "site", site)
        return manifest

    def entry(self, name: str) -> Entry | None:
        inputs = self.site.bundles.get(name, (name,))
        files = [self.site.source(path) for path in inputs]
        if name not in self.site.bundles and not (self.site.assets / name).is_file():
            return None
        module = is_script(name) and (
            is_module(name) or any(file is not None and _reads_as_module(file) for file in files)
        )
        return Entry(f"{self.site.prefix}/{name}", module=module)

    def kind(self, path: str) -> str:
        # A web app manifest is at the root, and `dev` leads there from its logical name.
        return "asset"


def _reads_as_module(file: Path) -> bool:
    if is_module(file.name):
        return True
    try:
        return _MODULE.search(file.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False
