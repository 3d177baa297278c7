"""The tag of webassets, `{% assets "css_all" %}…{{ ASSET_URL }}…{% endassets %}`, over bundles that are built
already.
"""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser


class AssetsExtension(Extension):
    """Renders its body for each file, with `ASSET_URL`, `ASSET_SRI` and `EXTRA`, as webassets does.

    Filters, dependencies and debugging are the build's affair, and of no effect here.
    """

    tags = {"assets"}  # noqa: RUF012 (Jinja's)

    # After webassets' own, which has the same tag: the last one has it.
    priority = 200

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.extend(fingerpost_bundles=None)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        names: list[nodes.Expr] = []
        output: nodes.Expr = nodes.Const(None)
        while parser.stream.current.type != "block_end":
            if parser.stream.current.test("name") and parser.stream.look().test("assign"):
                option = next(parser.stream).value
                parser.stream.skip()
                value = parser.parse_expression()
                if option == "output":
                    output = value
                elif option not in ("filters", "filter", "debug", "depends"):
                    parser.fail(f"`assets` has no option `{option}`", line)
            else:
                value = parser.parse_expression()
                if isinstance(value, nodes.List | nodes.Tuple):
                    names.extend(value.items)
                else:
                    names.append(value)
            parser.stream.skip_if("comma")
        body = parser.parse_statements(("name:endassets",), drop_needle=True)
        parameters = [nodes.Name(name, "param") for name in ("ASSET_URL", "ASSET_SRI", "EXTRA")]
        call = self.call_method("_render", [nodes.List(names), output])
        return nodes.CallBlock(call, parameters, [], body).set_lineno(line)

    def _render(self, names: list[str], output: str | None, caller: Callable[..., Any]) -> str:
        bundles = self.environment.fingerpost_bundles  # type: ignore[attr-defined]
        if bundles is None:
            raise RuntimeError("`{% assets %}` needs `Fingerpost(app)`")
        return "".join(str(caller(*bundle)) for bundle in bundles(names, output))
