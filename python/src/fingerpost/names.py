"""What the name of an asset says about it."""

_STYLES = (".css", ".scss", ".sass")
_MODULES = (".mjs", ".ts", ".mts", ".tsx", ".jsx")


def is_style(name: str) -> bool:
    """Whether it is a stylesheet, or is compiled to one."""
    return name.lower().endswith(_STYLES)


def is_script(name: str) -> bool:
    """Whether it is a script, or is compiled to one."""
    return name.lower().endswith((".js", *_MODULES))


def is_module(name: str) -> bool:
    """Whether a script can be nothing but a module. Of a `.js`, the name doesn't tell."""
    return name.lower().endswith(_MODULES)
