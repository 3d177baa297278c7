"""What can go wrong, in the user's terms."""

from collections.abc import Sequence


class FingerpostError(Exception):
    """The base of all errors of this package."""


class ConfigError(FingerpostError, ValueError):
    """A setting, or a key of `fingerpost.toml`, that can't be used."""


class ManifestError(FingerpostError):
    """There is no build, or its manifest can't be read."""


class AssetNotFound(FingerpostError, LookupError):
    """A name that the build doesn't have. `name` is what was asked for, `near` are names like it, the nearest
    first.
    """

    def __init__(self, name: str, near: Sequence[str] = (), hint: str = "") -> None:
        self.name = name
        self.near = list(near)
        if self.near:
            hint = f"did you mean {' or '.join(f'`{other}`' for other in self.near)}?"
        message = f"there is no asset `{name}` in the build"
        super().__init__(f"{message}; {hint}" if hint else message)
