"""URLs of built files: how a path is written in one, and what stands before it in an environment."""

from dataclasses import dataclass
from urllib.parse import quote

# All of ASCII that the program leaves as it is in a path; the rest is percent-encoded. Both have to agree, or
# a page that is rewritten on its way out would not name the file that was meant.
_SAFE = "!$()*+-./:;=@[]_|~"


def url_path(path: str) -> str:
    """A file's path as it stands in a URL: `img/a b.png` becomes `img/a%20b.png`."""
    return quote(path, safe=_SAFE)


@dataclass(frozen=True, slots=True)
class AssetBase:
    """What stands before a file's path: `/`, `/below/`, `https://cdn.example.com/` or `//cdn.example.com/`.

    Always with a slash at its end.
    """

    text: str = "/"

    @classmethod
    def parse(cls, text: str) -> "AssetBase":
        """Reads a base as it is configured; raises `ValueError` if it is none."""
        scheme, mark, rest = text.partition("//")
        if mark and scheme in ("", "http:", "https:"):
            well_formed = bool(rest) and not rest.startswith("/") and "//" not in rest
        else:
            well_formed = text.startswith("/") and not mark
        if not well_formed or any(char in "?#\"'<>\\" or char.isspace() for char in text):
            raise ValueError(
                f"`{text}` is no base for URLs: write `/`, `/below/` or `https://cdn.example.com/`",
            )
        return cls(text if text.endswith("/") else f"{text}/")

    @property
    def is_other_origin(self) -> bool:
        """Whether files come from another origin than the pages, as far as the configuration tells."""
        return "//" in self.text

    def url(self, path: str) -> str:
        """The URL of a file, given by its path below the output folder (`assets/css/a-….css`)."""
        return self.text + url_path(path)
