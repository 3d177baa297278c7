"""What can go wrong, in the user's terms."""

import difflib
from collections.abc import Collection


class FingerpostError(Exception):
    """The base of all errors of this package."""


class ConfigError(FingerpostError, ValueError):
    """A setting, or a key of `fingerpost.toml`, that can't be used."""


class ManifestError(FingerpostError):
    """There is no build, or its manifest can't be read."""


class AssetNotFound(FingerpostError, LookupError):
    """A name that the build doesn't have. `name` is what was asked for, `known` are all that there are."""

    def __init__(self, name: str, known: Collection[str] = ()) -> None:
        super().__init__(name)
        self.name = name
        self._known = known

    @property
    def near(self) -> list[str]:
        """Names like it, the nearest first, three at most."""
        last = self.name.rsplit("/", 1)[-1]
        same = [other for other in self._known if other.rsplit("/", 1)[-1] == last]
        like = difflib.get_close_matches(self.name, self._known, n=3)
        return list(dict.fromkeys(same + like))[:3]

    def __str__(self) -> str:
        # To look for what is like it takes time, and not each of these errors is shown.
        near = " or ".join(f"`{other}`" for other in self.near)
        hint = f"did you mean {near}?" if near else "name a file below the assets folder, or a bundle"
        return f"there is no asset `{self.name}` in the build; {hint}"
