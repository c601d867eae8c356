"""The exporter `coreml-on-mac`: a directory that a Mac's owner runs with one command, without LingoLite.

Owns which sentences are in it. What comes back is read by the backend `coreml-recorded`.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import msgspec

from lingolite_cli.artifact import Artifact, Product
from lingolite_cli.decoding.translator import within_positions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.goldens import default_languages, default_sources
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_coreml.details import CoreMLDetails
from lingolite_coreml.interface import INTERFACE_NAME
from lingolite_coreml.options import ON_MAC_FORMAT, OnMacOptions
from lingolite_coreml.result import SCRIPT_NAME, SENTENCES_NAME, Rules, Sentences, package_digests
from lingolite_coreml.sentences import sentences_of


class OnMacExporter:
    """Writes the packages, `interface.json`, `sentences.json` and `run_on_mac.py`.

    Args:
        options: which sentences are translated.
    """

    def __init__(self, *, options: OnMacOptions) -> None:
        self._options = options

    def export(self, source: Artifact, directory: Path) -> Product:
        """Put the directory together from an artifact of format `coreml`.

        Raises:
            LingoLiteError: another tool made the artifact, or there is no sentence.
        """
        CoreMLDetails.of(source)
        sentences = self._sentences(source)
        for name in (*sentences.files, INTERFACE_NAME):
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes(name))
        (directory / SENTENCES_NAME).write_bytes(msgspec.json.encode(sentences) + b"\n")
        script = resources.files("lingolite_coreml") / "templates" / SCRIPT_NAME
        with resources.as_file(script) as path:
            shutil.copyfile(path, directory / SCRIPT_NAME)
        details = {"artifact": source.digest, "sentences": len(sentences.sentences)}
        return Product(format=ON_MAC_FORMAT, details=details)

    def _sentences(self, source: Artifact) -> Sentences:
        languages, tokenizer = default_languages(source), open_tokenizer(source)
        texts = [sentences_of(path) for path in self._options.files()] or [default_sources(languages[0])]
        positions, ids = source.manifest.model.max_seq_len, tokenizer.decoding_ids(languages)
        read = [tokenizer.encode_source(text, languages, max_length=positions) for text in texts[0]]
        framed = tuple(dict.fromkeys(tuple(one.ids) for one in read if not one.is_empty))
        if not framed:
            raise LingoLiteError("there is no sentence to translate", hint="name a file with --option sentences=FILE")
        decoding = within_positions(source.manifest.decoding, positions - len(ids.prefix))
        factor = decoding.max_length_factor
        return Sentences(
            artifact=source.digest,
            files=package_digests(source),
            rules=Rules(
                start=ids.start,
                prefix=ids.prefix,
                end=ids.end,
                never_generated=ids.never_generated,
                max_length=decoding.max_length,
                min_length=decoding.min_length,
                max_length_factor=None if isinstance(factor, msgspec.UnsetType) else factor,
            ),
            sentences=framed,
        )
