"""What is set in an app's `config`, with its defaults."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import ConfigError
from .site import DEVELOPMENT, Site, find_root
from .urls import AssetBase

# What is done about an asset that is not in the build.
Missing = Literal["raise", "fallback"]

_KEYS = frozenset(
    f"FINGERPOST_{name}"
    for name in (
        "ROOT",
        "CONFIG",
        "OUT",
        "ENV",
        "ASSET_BASE",
        "DEV_SERVER",
        "MISSING",
        "SERVE",
        "BUNDLES",
        "INTERVAL",
    )
)


@dataclass(frozen=True, slots=True)
class Settings:
    """An app's settings: `app.config` goes before variables of the same names, and those before
    `fingerpost.toml`.
    """

    site: Site
    out: Path
    environment: str
    base: AssetBase
    # The URL of a running `fingerpost dev`, without a slash at its end.
    dev_server: str | None
    # `None` leaves it to whether the app is debugged.
    missing: Missing | None
    # Whether the app sends the built files itself: to browsers, or to a CDN that asks it for them.
    serve: bool
    # From the names that `{% assets %}` uses to those of bundles.
    bundles: Mapping[str, str] = field(default_factory=dict)
    # Seconds between two looks at the manifest, if it is said.
    interval: float | None = None

    @classmethod
    def of(
        cls, config: Mapping[str, Any], root_path: str, variables: Mapping[str, str] = os.environ
    ) -> "Settings":
        """Reads them. `root_path` is the app's folder, from which `fingerpost.toml` is looked for; raises
        `ConfigError`.
        """
        for key in config:
            if key.startswith("FINGERPOST_") and key not in _KEYS:
                raise ConfigError(f"there is no setting `{key}`; there are {', '.join(sorted(_KEYS))}")

        def setting(name: str, default: Any = None) -> Any:
            key = f"FINGERPOST_{name}"
            value = config.get(key)
            return value if value is not None else variables.get(key) or default

        start = Path(root_path).absolute()
        # A variable is relative to where the process runs, as the program has it.
        given = (
            start / config["FINGERPOST_ROOT"]
            if config.get("FINGERPOST_ROOT")
            else variables.get("FINGERPOST_ROOT")
        )
        root = Path(os.path.abspath(given)) if given else find_root(start) or start
        file = setting("CONFIG")
        site = Site.load(root, root / file if file else None)
        environment = setting("ENV", DEVELOPMENT)
        # A base of the app's own needs no environment in the file.
        written = setting("ASSET_BASE")
        try:
            base = site.base(environment) if written is None else AssetBase.parse(written)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"`FINGERPOST_ASSET_BASE`: {error}") from error
        dev_server = setting("DEV_SERVER")
        if dev_server is not None and not dev_server.startswith(("http://", "https://")):
            raise ConfigError(
                f"`FINGERPOST_DEV_SERVER` is `{dev_server}`: write the URL that `fingerpost dev` tells"
            )
        missing = setting("MISSING")
        if missing not in (None, "raise", "fallback"):
            raise ConfigError(f"`FINGERPOST_MISSING` is `{missing}`: there are `raise` and `fallback`")
        return cls(
            site=site,
            out=root / setting("OUT", site.out),
            environment=environment,
            base=base,
            dev_server=dev_server.rstrip("/") if dev_server else None,
            missing=missing,
            serve=_truth("FINGERPOST_SERVE", setting("SERVE", True)),
            bundles=dict(config.get("FINGERPOST_BUNDLES") or {}),
            interval=float(setting("INTERVAL")) if setting("INTERVAL") is not None else None,
        )


def _truth(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    try:
        return known[str(value).strip().lower()]
    except KeyError:
        raise ConfigError(f"`{name}` is `{value}`: write `true` or `false`") from None
