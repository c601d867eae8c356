"""The exporter `web`: portable ONNX files as a page that translates offline.

Owns which files a page has and what `translator.json`, `files.js` and `manifest.webmanifest` say. The page itself is
in `page/`; the runtime's files come from `lingolite_web.runtime`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.artifact import Artifact, Product
from lingolite_cli.evaluation.goldens import (
    GOLDEN_NAME,
    default_languages,
    default_sources,
    make_goldens,
    read_sources,
    write_goldens,
)
from lingolite_cli.files.digests import sha256_bytes, sha256_file
from lingolite_cli.tokenization.ported import PortedTokenizer, ported_tokenizer
from lingolite_web import runtime
from lingolite_web.details import WebDetails
from lingolite_web.options import FORMAT, WebExportOptions
from lingolite_web.source import MODEL_NAMES, OnnxFacts, require_browser

PAGE_NAMES = (
    *("index.html", "page.css", "page.js", "worker.js", "translator.js", "tokenizer.js", "sentencepiece.js"),
    *("service-worker.js", "icon.svg", "icon-192.png", "icon-512.png"),
)
"""Files of a page that are the same for every model."""
CONFIG_NAME = "translator.json"
FILES_NAME = "files.js"
APP_NAME = "manifest.webmanifest"
LICENCES_NAME = "licences.txt"
RUNTIME_DIRECTORY = "runtime"
RUNTIME_BINARY = f"{RUNTIME_DIRECTORY}/{runtime.BINARY}"


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the worker loads with its progress and keeps by its digest."""

    name: str
    size: int
    sha256: str


class Decoding(msgspec.Struct, frozen=True, kw_only=True):
    """Greedy search; see `lingolite_cli.decoding.options`. `max_length` is within the model's positions."""

    max_length: int
    min_length: int
    max_length_factor: float | None


class TranslatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `translator.json`.

    Attributes:
        schema: version of this layout.
        tokenizer: see `lingolite_cli.tokenization.ported`.
        decoding: how translations are searched for.
        splits_sentences: the model knows single sentences only.
        threads: threads of the runtime where the page is isolated.
        runtime_binary: name of the runtime's file among `downloads`.
        downloads: files that are loaded before the first translation.
        facts: terms and descriptions, for people.
    """

    schema: int = 1
    tokenizer: PortedTokenizer
    decoding: Decoding
    splits_sentences: bool
    threads: int
    runtime_binary: str
    downloads: tuple[Download, ...]
    facts: tuple[tuple[str, str], ...]


class WebExporter:
    """Writes a directory that a web server serves as it is.

    Args:
        options: see `WebExportOptions`.
    """

    def __init__(self, *, options: WebExportOptions) -> None:
        self._options = options

    def export(self, source: Artifact, directory: Path) -> Product:
        """Export portable ONNX files into `directory`.

        Raises:
            LingoLiteError: the files do not run in a browser, the model has no such languages, or the runtime cannot
                be had.
        """
        facts = require_browser(source)
        pairs = self._options.language_pairs or (default_languages(source),)
        tokenizer = ported_tokenizer(source, pairs)
        sentences = self._options.sentences
        sources = default_sources(pairs[0][0]) if sentences is None else read_sources(Path(sentences))
        for name, content in runtime.read_runtime(self._options.runtime).items():
            path = directory / RUNTIME_DIRECTORY / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        for name in MODEL_NAMES:
            (directory / name).write_bytes(source.read_bytes(name))
        downloads = tuple(_download(name, source, directory) for name in download_names(source))
        described = described_files(source, facts, tokenizer, downloads, threads=self._options.threads)
        for name, content in {**page_files(), **described}.items():
            (directory / name).write_bytes(content)
        write_goldens(make_goldens(source, sources=sources, languages=pairs[0]), directory / GOLDEN_NAME)
        written = [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]
        digests = {name: sha256_file(directory / name) for name in written}
        (directory / FILES_NAME).write_bytes(files_script(digests, downloads))
        details = WebDetails(
            onnx=source.digest,
            bundle=source.manifest.made_by.inputs.get("source", ""),
            carried=source.manifest.details,
            runtime=f"{runtime.PACKAGE} {runtime.VERSION}",
            pairs=pairs,
        )
        return Product(format=FORMAT, details=msgspec.to_builtins(details))


def page_files() -> dict[str, bytes]:
    """Files of a page that are the same for every model."""
    return {name: files("lingolite_web").joinpath("page", name).read_bytes() for name in PAGE_NAMES}


def download_names(source: Artifact) -> tuple[str, ...]:
    """What the worker loads, in the order of the page: the runtime, the graphs, the tokenizer."""
    return (RUNTIME_BINARY, *MODEL_NAMES, *source.tokenizer_names)


def described_files(
    source: Artifact, facts: OnnxFacts, tokenizer: PortedTokenizer, downloads: tuple[Download, ...], *, threads: int
) -> dict[str, bytes]:
    """Contents of what depends on the model, by name: the configuration, what an app store sees, and the licences.

    Args:
        source: the artifact whose files the page runs, or what stands for it.
        facts: what it says of itself.
        tokenizer: as data.
        downloads: what the worker loads.
        threads: of the runtime.
    """
    licence = source.manifest.licence or "not stated"
    config = TranslatorConfig(
        tokenizer=tokenizer,
        decoding=_decoding(source),
        splits_sentences=source.manifest.is_sentence_level,
        threads=threads,
        runtime_binary=RUNTIME_BINARY,
        downloads=downloads,
        facts=(
            ("Model", facts.description),
            ("Licence of the weights", licence),
            ("Runtime", f"{runtime.PACKAGE} {runtime.VERSION}, {runtime.LICENCE}"),
        ),
    )
    names = ", ".join(f"{pair.source} → {pair.target}" for pair in tokenizer.pairs)
    return {
        CONFIG_NAME: _json_file(config),
        APP_NAME: _json_file(_app(names)),
        LICENCES_NAME: _licences(licence).encode(),
    }


def _decoding(source: Artifact) -> Decoding:
    options, positions = source.manifest.decoding, source.manifest.model.max_seq_len
    factor = options.max_length_factor
    num_prefix = len(source.manifest.tokenizer_description.frame.target_prefix)
    return Decoding(
        max_length=min(options.max_length, positions - num_prefix),
        min_length=options.min_length,
        max_length_factor=None if isinstance(factor, msgspec.UnsetType) else factor,
    )


def _app(names: str) -> dict[str, Any]:
    """The web app manifest (W3C), by which a browser installs the page."""
    return {
        "name": f"Translate {names}",
        "short_name": names if len(names) <= 12 else "Translate",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#f6f7f9",
        "theme_color": "#1f5fbf",
        "icons": [
            {"src": "icon-192.png", "sizes": "192x192", "type": "image/png"},
            {"src": "icon-512.png", "sizes": "512x512", "type": "image/png"},
            {"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"},
        ],
    }


def _licences(weights: str) -> str:
    return (
        f"Weights of the model: {weights}\n"
        f"{runtime.PACKAGE} {runtime.VERSION} (directory {RUNTIME_DIRECTORY}): {runtime.LICENCE}\n"
        "The page: LingoLite, Apache License 2.0\n"
    )


def files_script(digests: Mapping[str, str], downloads: tuple[Download, ...]) -> bytes:
    """`files.js`: what the service worker keeps. Its version changes with any byte of the page.

    Args:
        digests: SHA-256 of the page's other files, by name.
        downloads: those that the worker loads.
    """
    loaded = {one.name for one in downloads}
    shell = [name for name in sorted(digests) if name not in loaded]
    digest = hashlib.sha256(msgspec.json.encode(downloads))
    for name in shell:
        digest.update(name.encode() + b"\0" + bytes.fromhex(digests[name]))
    described = {
        "version": digest.hexdigest()[:16],
        "shell": [name for name in shell if name != "service-worker.js"],
        "downloads": downloads,
    }
    return b"self.LINGOLITE = " + msgspec.json.format(msgspec.json.encode(described), indent=2) + b";\n"


def _download(name: str, source: Artifact, directory: Path) -> Download:
    content = (directory / name).read_bytes() if name == RUNTIME_BINARY else source.read_bytes(name)
    return Download(name=name, size=len(content), sha256=sha256_bytes(content))


def _json_file(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
