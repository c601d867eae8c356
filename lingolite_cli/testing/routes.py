"""From the tiny bundle to an artifact of any format, by the quantizers and exporters that are installed.

Owns routes: names of quantizers and exporters, applied one after the other to the tiny bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from lingolite_cli.artifact import BUNDLE, Artifact, Product, Provenance, derive_artifact
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.plugins.quantizers import Calibration
from lingolite_cli.plugins.registry import Health, Loaded, Registry, load_registry
from lingolite_cli.testing.tiny import LANGUAGES, SENTENCES, tiny_bundle
from lingolite_cli.testing.tiny_training import tiny_training

if TYPE_CHECKING:
    from lingolite_cli.plugins.specs import ExporterSpec, QuantizerSpec

Route: TypeAlias = tuple[str, ...]


@cache
def registry() -> Registry:
    """The installed plugins."""
    return load_registry()


def converter(name: str) -> Loaded:
    """The quantizer or exporter called `name`.

    Raises:
        LingoLiteError: there is neither, or it is not healthy.
    """
    kind = "quantizer" if name in registry().names("quantizer") else "exporter"
    return registry().resolve(kind, name)


def shortest_routes(formats: Iterable[str]) -> dict[str, Route]:
    """The shortest route to each of `formats` that can be reached; the empty route leads to a bundle."""
    reached: dict[str, Route] = {BUNDLE: ()}
    frontier = [BUNDLE]
    while frontier:
        source = frontier.pop(0)
        for spec in _converters():
            if source in spec.accepts and spec.produces not in reached:
                reached[spec.produces] = (*reached[source], spec.name)
                frontier.append(spec.produces)
    return {format: reached[format] for format in sorted(formats) if format in reached}


def _converters() -> list[QuantizerSpec | ExporterSpec]:
    """Those that work on an artifact alone first: they are quicker."""
    return sorted(_healthy(), key=lambda spec: len(getattr(spec, "needs", ())))


def _healthy() -> Iterator[QuantizerSpec | ExporterSpec]:
    for kind in ("quantizer", "exporter"):
        for entry in registry().of_kind(kind):
            if entry.health is Health.OK:
                spec: Any = entry.spec
                yield spec


def follow(route: Route, root: Path) -> Artifact:
    """The artifact at the end of `route`, made under `root` unless it is there already."""
    path = root / "-".join([BUNDLE, *route])
    if path.exists():
        return Artifact.open(path)
    if not route:
        return tiny_bundle(path)
    return convert_with(converter(route[-1]), follow(route[:-1], root), path)


def work_of(plugin: Loaded, made: Any) -> Callable[[Artifact, Path], Product]:
    """What a quantizer or exporter does, with the text that it needs besides."""
    if plugin.kind == "exporter":
        export: Callable[[Artifact, Path], Product] = made.export
        return export

    def quantize(source: Artifact, directory: Path) -> Product:
        texts = {
            "calibration": Calibration(sources=SENTENCES, languages=LANGUAGES),
            "training": tiny_training(source),
        }
        product: Product = made.quantize(source, directory, **{need: texts[need] for need in plugin.spec.needs})
        return product

    return quantize


class Conversion(msgspec.Struct, frozen=True):
    """What a quantizer or exporter did.

    Attributes:
        artifact: what the host made of it.
        product: what the plugin returned.
        written: names of the files that the plugin left in the new directory, before the host added its own.
        before: the source's files before, by their paths.
        after: and when the plugin was done.
    """

    artifact: Artifact
    product: Product
    written: frozenset[str]
    before: dict[str, bytes]
    after: dict[str, bytes]


def contents(artifact: Artifact) -> dict[str, bytes]:
    """Every file under an artifact's directory, declared or not."""
    files = sorted(path for path in artifact.path.rglob("*") if path.is_file())
    return {str(path.relative_to(artifact.path)): path.read_bytes() for path in files}


def convert_with(plugin: Loaded, source: Artifact, path: Path, *, options: dict[str, Any] | None = None) -> Artifact:
    """Make an artifact at `path` from `source`, with a quantizer or exporter."""
    return convert_observed(plugin, source, path, options=options).artifact


def convert_observed(
    plugin: Loaded, source: Artifact, path: Path, *, options: dict[str, Any] | None = None
) -> Conversion:
    """As `convert`, and what the plugin did on the way."""
    before = contents(source)
    work = work_of(plugin, plugin.create(options=options))
    provenance = Provenance(operation=plugin.spec.name, options=options or {}, inputs={"source": source.digest})
    with atomic_directory(path) as directory:
        product = work(source, directory)
        written = frozenset(file.name for file in directory.iterdir())
        derive_artifact(source, path, product, provenance, directory=directory)
    return Conversion(
        artifact=Artifact.open(path), product=product, written=written, before=before, after=contents(source)
    )
