"""A site's configuration, as far as URLs depend on it: `fingerpost.toml`, the same file that the program
reads.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .urls import AssetBase

NAME = "fingerpost.toml"

# The environment that always exists.
DEVELOPMENT = "development"


@dataclass(frozen=True, slots=True)
class Site:
    """The configuration with its defaults. Folders are absolute."""

    root: Path
    assets: Path
    out: Path
    # The URL folder of assets, without slashes at its ends.
    prefix: str = "assets"
    # Imports that are left to the browser, and the URL of each.
    external: Mapping[str, str] = field(default_factory=dict)
    # By name, the sources of each as they are written: paths below the assets folder, or below the root.
    bundles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # What stands before an asset's path, by environment.
    environments: Mapping[str, AssetBase] = field(default_factory=dict)

    @classmethod
    def load(cls, root: Path, file: Path | None = None) -> "Site":
        """Reads `file`, or else `fingerpost.toml` in `root`, if it is there; raises `ConfigError`."""
        path = file or root / NAME
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            if file is not None:
                raise ConfigError(f"there is no configuration `{file}`") from error
            data = {}
        except (OSError, ValueError) as error:
            raise ConfigError(f"could not read `{path}`: {error}") from error
        build = _table(path, data, "build")
        environments = {DEVELOPMENT: AssetBase()}
        for name, table in _table(path, data, "env").items():
            try:
                environments[name] = AssetBase.parse(table.get("asset_base", "/"))
            except (ValueError, AttributeError, TypeError) as error:
                raise ConfigError(f"`env.{name}` in `{path}`: {error}") from error
        try:
            bundles = {bundle["name"]: tuple(bundle["inputs"]) for bundle in data.get("bundle", [])}
        except (KeyError, TypeError) as error:
            raise ConfigError(f"each `[[bundle]]` in `{path}` needs a `name` and `inputs`") from error
        return cls(
            root=root,
            assets=root / build.get("assets", "assets"),
            out=root / build.get("out", "dist"),
            prefix=str(build.get("prefix", "assets")).strip("/"),
            external=_table(path, data, "external"),
            bundles=bundles,
            environments=environments,
        )

    def source(self, path: str) -> Path | None:
        """The file that a bundle's input, or a logical path, means."""
        return next((file for file in (self.assets / path, self.root / path) if file.is_file()), None)

    def below_root(self, file: Path) -> str | None:
        """A file's path below the root, with `/` between its parts; none if it lies elsewhere."""
        return _below(self.root, file)

    def below_assets(self, file: Path) -> str | None:
        """The logical path of a file; none if it is not below the assets folder."""
        return _below(self.assets, file)

    def base(self, environment: str) -> AssetBase:
        """What stands before an asset's path; raises `ConfigError` if there is no such environment."""
        base = self.environments.get(environment)
        if base is None:
            near = difflib.get_close_matches(environment, self.environments, n=1)
            help_ = f"did you mean `{near[0]}`?" if near else f"there are {_quoted(self.environments)}"
            raise ConfigError(f"there is no environment `{environment}` in `{self.root / NAME}`; {help_}")
        return base


def find_root(start: Path) -> Path | None:
    """The nearest folder that has a `fingerpost.toml`: `start`, or one of the two above it.

    An app is a package in a project, or in its `src`; what lies further up is somebody else's.
    """
    return next((folder for folder in [start, *start.parents][:3] if (folder / NAME).is_file()), None)


def _below(folder: Path, file: Path) -> str | None:
    # Without following links: names are what is written.
    relative = os.path.relpath(file, folder).replace(os.sep, "/")
    return None if relative.split("/", 1)[0] == ".." or os.path.isabs(relative) else relative


def _table(path: Path, data: dict[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"`{name}` in `{path}` is no table")
    return table


def _quoted(names: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
