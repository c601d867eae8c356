"""One mix of precisions, made as it would be shipped and run through a backend: in this process or in a worker's.

Owns the measurement. Which mixes are measured is the search's business, and where results are kept that of `trials`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.files.scratch import scratch_directory
from lingolite_cli.plugins.executors import Work
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.precision_search.units import Assignment
from lingolite_cli.recipe.scope import PluginChoice
from lingolite_cli.recipe.work.conversion import convert_artifact

_MODEL = "model"
"""What the handler calls its one artifact."""


class MixMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """The measurement of one mix.

    Attributes:
        size_bytes: of the artifact, tokenizer included.
        cross_entropy: nats a reference token, on the sample.
        hypotheses: translations of the sentences that were asked for.
    """

    size_bytes: int
    cross_entropy: float
    hypotheses: list[str] = []


class MixRequest(msgspec.Struct, frozen=True):
    """A mix to measure; `sentences` are indices of those that are translated."""

    mix: Assignment
    sentences: tuple[int, ...] = ()


class MixText(msgspec.Struct, frozen=True, kw_only=True):
    """The text that mixes are measured on, and how it is translated.

    Attributes:
        sources: all sentences.
        references: of each, one.
        sample: indices of the sentences that cross-entropies are taken on.
        languages: source and target.
        decoding: how hypotheses are searched.
        batch_size: most sentences in a batch.
        max_batch_tokens: most source tokens in a batch.
        threads: of the engine.
    """

    sources: list[str]
    references: list[str]
    sample: tuple[int, ...]
    languages: tuple[str, str]
    decoding: DecodingOptions
    batch_size: int
    max_batch_tokens: int
    threads: int


class MixMeasurer:
    """Measures mixes of one model.

    Args:
        source: the float artifact.
        quantizer: makes the mixes.
        backend: runs them.
        text: what they are measured on.
    """

    def __init__(self, source: Artifact, quantizer: PluginChoice, backend: PluginChoice, text: MixText) -> None:
        self._source = source
        self._quantizer = quantizer
        self._backend = backend
        self._text = text

    def options(self, mix: Assignment) -> dict[str, Any]:
        """The quantizer's options that make `mix`."""
        resolved = self._quantizer.loaded.options(
            {**self._quantizer.options, "default": mix.default, "layers": mix.layers}
        )
        plain: dict[str, Any] = msgspec.to_builtins(resolved)
        return plain

    def make(self, mix: Assignment, directory: Path) -> Artifact:
        """The artifact of `mix`, as a `quantize` step with the same options makes it, under `directory`."""
        choice = PluginChoice(self._quantizer.loaded, self.options(mix))
        quantizer = choice.loaded.create(options=choice.options)
        return convert_artifact(self._source, quantizer.quantize, choice, directory)

    def measure(self, request: MixRequest) -> MixMeasurement:
        """Size, cross-entropy and translations of a mix."""
        with scratch_directory() as directory:
            return self._run(self.make(request.mix, directory), request.sentences)

    def _run(self, artifact: Artifact, sentences: Sequence[int]) -> MixMeasurement:
        from lingolite_cli.decoding.translator import Translator
        from lingolite_cli.evaluation.cross_entropy import token_cross_entropy
        from lingolite_cli.tokenization.opening import open_tokenizer

        text, backend = self._text, self._backend
        tokenizer, model = open_tokenizer(artifact), artifact.manifest.model
        capabilities = backend.loaded.spec.capabilities
        limits = {"batch_size": text.batch_size, "max_batch_tokens": text.max_batch_tokens}
        with closing(backend.loaded.open(artifact, options=backend.options, threads=text.threads)) as engine:
            translator = Translator(
                engine,
                tokenizer,
                model,
                text.languages,
                options=text.decoding,
                capabilities=capabilities,
                **limits,
            )
            return MixMeasurement(
                size_bytes=artifact.size_bytes,
                cross_entropy=token_cross_entropy(
                    engine,
                    tokenizer,
                    model,
                    text.languages,
                    sources=[text.sources[index] for index in text.sample],
                    references=[text.references[index] for index in text.sample],
                    capabilities=capabilities,
                    **limits,
                ),
                hypotheses=[found.text for found in translator.translate(text.sources[index] for index in sentences)],
            )


class _Plugin(msgspec.Struct, frozen=True):
    name: str
    options: dict[str, Any]


class _Setup(msgspec.Struct, frozen=True, kw_only=True):
    quantizer: _Plugin
    backend: _Plugin
    text: MixText
    blocked: tuple[str, ...]


class MixWorker:
    """A `lingolite_cli.plugins.executors.Handler`: a `MixRequest` gives a `MixMeasurement`, both as msgpack.

    Args:
        setup: of `mix_work`.
        artifacts: the float artifact, under the name `_MODEL`.
    """

    def __init__(self, setup: bytes, artifacts: Mapping[str, Path]) -> None:
        decoded = msgspec.msgpack.decode(setup, type=_Setup)
        registry = load_registry(blocked=decoded.blocked)
        quantizer, backend = (
            PluginChoice(registry.resolve(kind, plugin.name), plugin.options)
            for kind, plugin in (("quantizer", decoded.quantizer), ("backend", decoded.backend))
        )
        # Who sent the artifact made sure of its files.
        source = Artifact.open(artifacts[_MODEL], verify=False)
        self._measurer = MixMeasurer(source, quantizer, backend, decoded.text)

    def __call__(self, request: bytes) -> bytes:
        """Measure a mix."""
        return msgspec.msgpack.encode(self._measurer.measure(msgspec.msgpack.decode(request, type=MixRequest)))


def mix_work(
    source: Artifact, quantizer: PluginChoice, backend: PluginChoice, text: MixText, *, blocked: Iterable[str]
) -> Work:
    """The work of an executor's workers: mixes of a model; see `MixMeasurer` for the arguments.

    Args:
        source: the float artifact.
        quantizer: makes the mixes.
        backend: runs them.
        text: what they are measured on.
        blocked: plugins that workers must not load.
    """
    plugins = (_Plugin(choice.loaded.spec.name, choice.options) for choice in (quantizer, backend))
    setup = _Setup(quantizer=next(plugins), backend=next(plugins), text=text, blocked=tuple(sorted(blocked)))
    return Work(
        handler=f"{MixWorker.__module__}:{MixWorker.__name__}",
        setup=msgspec.msgpack.encode(setup),
        artifacts={_MODEL: source.path},
        threads=text.threads,
    )
