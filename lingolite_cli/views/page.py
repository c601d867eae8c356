"""Self-contained HTML pages: light and dark, for a desk and for a phone, with nothing to fetch.

Owns how templates are read, and which script a page may run. What all pages look like is in `templates/page.*`; what
is on one of them is up to whoever renders it.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from lingolite_cli.text.visible import shown_value

if TYPE_CHECKING:
    from jinja2 import Environment


def render_page(template: str, *, package: str = "lingolite_cli", script: str | None = None, **values: Any) -> str:
    """A page. Every text among the values is escaped.

    Args:
        template: extends `page.html.jinja`.
        package: whose templates it is among.
        script: a template of a script, which runs after that of all pages.
        values: for the template.
    """
    templates = _templates(package)
    code = "".join(templates.get_template(name).render() for name in ("page.js", script) if name is not None)
    return templates.get_template(template).render(script=code, script_digest=_digest(code), **values)


@cache
def _templates(package: str) -> Environment:
    """Those of a package, and those of all pages. They are compiled when they are first used."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "lingolite_cli"))]),
        autoescape=True,
        finalize=shown_value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _digest(script: str) -> str:
    """What the page's policy allows to run: this script, and no other."""
    return "sha256-" + b64encode(sha256(script.encode()).digest()).decode()
