"""What a page still lacks when its view is done: what its modules need, and in development what hears of
changes.
"""

import re
from typing import TYPE_CHECKING

from flask import Response, g, has_app_context

if TYPE_CHECKING:
    from .flask import AppAssets

_NAMED = "_fingerpost_modules"
# A charset has to stand within the first 1024 bytes, so it stays first.
_HEAD = re.compile(rb"<head(?:\s[^>]*)?>(?:\s*<meta\s+charset[^>]*>)?", re.IGNORECASE)
_HEAD_END = re.compile(rb"</head\s*>", re.IGNORECASE)

CLIENT = "/@fingerpost/client.js"


def name_module(name: str) -> None:
    """Notes that the response under way names a module by its URL alone."""
    if has_app_context():
        g.setdefault(_NAMED, {})[name] = None


class Completer:
    """Completes pages, as a build completes its own: `<script type="module" src="{{ url_for(…) }}">` then
    just works.

    Responses that are streamed, encoded or no HTML pass as they are; `asset_tags` brings all by itself.
    """

    def __init__(self, assets: "AppAssets") -> None:
        self.assets = assets

    def complete(self, response: Response) -> Response:
        modules = g.pop(_NAMED, {})
        if not _can_be_changed(response):
            return response
        client = self.assets.client_url()
        if not (modules or client):
            return response
        body = response.get_data()
        head = _HEAD.search(body)
        if head is None:
            return response
        first, last = self.assets.needs(list(modules), body) if modules else ("", "")
        if client and CLIENT.encode() not in body:
            first = f'<script src="{client}"></script>{first}'
        end = _HEAD_END.search(body, head.end())
        at = end.start() if end is not None else head.end()
        # All of it is ASCII, which is a part of any charset that gets here.
        parts = [body[: head.end()], first.encode(), body[head.end() : at], last.encode(), body[at:]]
        if first or last:
            response.set_data(b"".join(parts))
            # A page may stay the same while a chunk of its map gets another name.
            response.headers.pop("ETag", None)
            response.headers.pop("Last-Modified", None)
        return response


def _can_be_changed(response: Response) -> bool:
    return (
        response.mimetype == "text/html"
        and not response.direct_passthrough
        and not response.is_streamed
        and not response.content_encoding
        # https://encoding.spec.whatwg.org/: of all charsets but this, ASCII is a part.
        and "utf-16" not in (response.content_type or "").lower()
    )
