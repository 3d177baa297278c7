"""The elements that load assets: `<script>`, `<link>`, and the import map, as the program's own pages have
them.
"""

import html
import json
from collections.abc import Callable, Iterable, Mapping

from .errors import AssetNotFound, FingerpostError
from .manifest import Entry, Manifest
from .names import is_module, is_script, is_style

# What an element's attribute is: `True` is one without a value, `None` and `False` are none.
Attribute = str | bool | None


class Elements:
    """Writes elements for the assets of one manifest.

    `href` gives a file's URL by its path. Where that is on another origin (`other_origin`), an element that
    takes it says the file's integrity, and that it is fetched without credentials: what is read across
    origins has to come with CORS.
    """

    def __init__(
        self,
        manifest: Manifest,
        href: Callable[[str], str],
        *,
        other_origin: bool,
        external: Mapping[str, str] | None = None,
        nonce: str | None = None,
        stand_in: Callable[[AssetNotFound], str] | None = None,
    ) -> None:
        self.manifest = manifest
        self.href = href
        self.other_origin = other_origin
        self.external = external or {}
        self.nonce = nonce
        self.stand_in = stand_in

    def load(
        self, names: Iterable[str], *, import_map: bool, attributes: Mapping[str, Attribute] | None = None
    ) -> str:
        """The elements for these names, a line each: what has to come first comes first.

        `attributes` are for the elements of the names themselves. What is missing is loaded from the URL that
        `stand_in` gives, if there is one. Raises `AssetNotFound`, and `FingerpostError` for what no element
        loads.
        """
        entries = [(name, self.manifest.entry(name)) for name in dict.fromkeys(names)]
        known = [entry for _, entry in entries if entry is not None]
        modules = [entry for entry in known if entry.module]
        lines = []
        if modules and import_map:
            lines.append(self.import_map())
        own = {entry.file for entry in known}
        for path in dict.fromkeys(path for entry in modules for path in entry.css):
            if path not in own:
                lines.append(self._link("stylesheet", path))
        for path in dict.fromkeys(path for entry in modules for path in entry.imports):
            if path not in own:
                lines.append(self._link("modulepreload", path))
        lines += [self._element(name, entry, attributes or {}) for name, entry in entries]
        return "\n".join(line for line in lines if line)

    def needs(self, modules: Iterable[str], has: Callable[[str], bool]) -> tuple[str, str]:
        """What a page that only names modules has to have first and last in its head.

        `has` tells whether the page has a text already.
        """
        entries = [entry for entry in map(self.manifest.entry, modules) if entry is not None]
        own = any(has(text) for text in ('"importmap"', "'importmap'", "=importmap"))
        first = "" if own else self.import_map()
        for path in dict.fromkeys(path for entry in entries for path in entry.imports):
            if not has(self.href(path)):
                first += self._link("modulepreload", path)
        sheets = dict.fromkeys(path for entry in entries for path in entry.css)
        return first, "".join(self._link("stylesheet", path) for path in sheets if not has(self.href(path)))

    def import_map(self) -> str:
        """The import map, <https://html.spec.whatwg.org/#import-maps>, or nothing if there is nothing to say
        in it.

        It has all chunks of the build: a page has one map, and nobody knows yet which modules will follow.
        """
        imports = dict(self.external)
        imports.update({self.href(stable): self.href(path) for stable, path in self.manifest.chunks.items()})
        if not imports:
            return ""
        known = ((path, self.manifest.integrity(path)) for path in sorted(set(self.manifest.chunks.values())))
        integrity = {self.href(path): value for path, value in known if value}
        table = {"imports": imports, **({"integrity": integrity} if integrity else {})}
        # In ASCII, so that it can be put into a page of any charset.
        text = json.dumps(table, separators=(",", ":")).replace("<", "\\u003c")
        return f"<script{_attributes({'type': 'importmap', 'nonce': self.nonce})}>{text}</script>"

    def _element(self, name: str, entry: Entry | None, attributes: Mapping[str, Attribute]) -> str:
        if not (is_style(name) or is_script(name)):
            raise FingerpostError(
                f"`asset_tags` knows no element for `{name}`: it is for scripts and stylesheets; "
                "use `asset_url` for others",
            )
        if entry is None:
            error = self.manifest.missing(name)
            if self.stand_in is None:
                raise error
            url, origin, module = self.stand_in(error), {}, is_module(name)
        else:
            url, origin, module = self.href(entry.file), self._origin(entry.file), entry.module
        if is_style(name):
            return f"<link{_attributes({'rel': 'stylesheet', 'href': url, **origin, **attributes})}>"
        own: dict[str, Attribute] = {
            "type": "module" if module else None,
            "src": url,
            **origin,
            "nonce": self.nonce,
        }
        return f"<script{_attributes({**own, **attributes})}></script>"

    def _link(self, rel: str, path: str) -> str:
        own: dict[str, Attribute] = {"rel": rel, "href": self.href(path), **self._origin(path)}
        if rel == "modulepreload" and "integrity" not in own:
            # It has to say what the import map says, or the module is fetched twice.
            own["integrity"] = self.manifest.integrity(path)
        return f"<link{_attributes(own)}>"

    def _origin(self, path: str) -> dict[str, Attribute]:
        if not self.other_origin:
            return {}
        integrity = self.manifest.integrity(path)
        return {"integrity": integrity, "crossorigin": "anonymous"} if integrity else {}


def _attributes(values: Mapping[str, Attribute]) -> str:
    parts = []
    for name, value in values.items():
        if value is True:
            parts.append(f" {name}")
        elif value is not None and value is not False:
            parts.append(f' {name}="{html.escape(str(value))}"')
    return "".join(parts)
