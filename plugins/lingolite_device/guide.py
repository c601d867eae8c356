"""`README.md` of a device bundle: what is in it, the lines for Gradle and Swift Package Manager, and how to call it.

Owns what the templates are given; their words are their own.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import DictLoader, Environment, StrictUndefined

from lingolite_cli.evaluation.goldens import Goldens

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact
    from lingolite_device.engines import Engine

GUIDE_NAME = "README.md"
_TEMPLATE = "README.md.jinja"


def guide(source: Artifact, engine: Engine, goldens: Goldens) -> str:
    """The content of `README.md` for a bundle that carries the files of `source`."""
    model_files = [name for name in source.manifest.files if name not in source.tokenizer_names]
    environment = Environment(
        loader=DictLoader({name: _read(name) for name in (_TEMPLATE, engine.snippets)}),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(
        engine=engine,
        format=source.manifest.format,
        languages=goldens.languages,
        num_goldens=len(goldens.sentences),
        model_files=model_files,
        tokenizer_files=source.tokenizer_names,
        size_mb=source.size_bytes / 1e6,
        has_settings=bool(engine.settings(source)),
    )


def _read(name: str) -> str:
    return files("lingolite_device").joinpath("templates", name).read_text(encoding="utf-8")
