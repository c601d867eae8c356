"""Does anything overflow? A float16 program is run on text by its interpreter, and every value of it is looked at.

Owns the check and its refusal. float16 ends at 65,504; what passes it is infinite, and a translation may come out all
the same, of other words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.goldens import default_languages, default_sources
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_coreml.engines import ReferenceEngine
from lingolite_coreml.interface import operation_names
from lingolite_coreml.runner import Runner
from lingolite_coreml.sentences import sentences_of

_MOST_TOKENS = 64
"""Target tokens of a sentence that are looked at."""


def require_in_range(runner: Runner, source: Artifact, text: Path | None) -> None:
    """Translate sentences greedily, and refuse a program in which a value is infinite or not a number.

    Args:
        runner: of the program, over interpreters.
        source: the bundle, whose tokenizer reads the text.
        text: sentences, one a line, or a TSV corpus; None for a few that every language has.

    Raises:
        LingoLiteError: naming the first operation whose values overflow, and the sentence.
    """
    languages, tokenizer = default_languages(source), open_tokenizer(source)
    ids, names = tokenizer.decoding_ids(languages), operation_names(source.manifest.model)
    encoder, decoder = _Watching(runner.encoder, names), _Watching(runner.decoder, names)
    watched = runner.over(encoder, decoder)
    most = min(_MOST_TOKENS, runner.max_seq_len - len(ids.prefix))
    for sentence in default_sources(languages[0]) if text is None else sentences_of(text):
        read = tokenizer.encode_source(sentence, languages, max_length=runner.max_seq_len)
        if read.is_empty:
            continue
        source_ids = np.array([read.ids])
        try:
            search(
                watched,
                source_ids,
                np.ones(source_ids.shape, np.bool_),
                ids=ids,
                options=DecodingOptions(max_length=most),
            )
        except _Overflow as found:
            raise LingoLiteError(
                f"float16 overflows in {found.where}, on the sentence: {sentence[:200]}",
                hint="pass --option compute=float32, whose numbers have no such end",
            ) from None


class _Overflow(LingoLiteError):
    """A value is infinite or not a number."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class _Watching(ReferenceEngine):
    """An engine that looks at every value.

    Args:
        engine: what computes.
        names: by the name of a value, the operation that it is of.
    """

    def __init__(self, engine: ReferenceEngine, names: Mapping[str, str]) -> None:
        super().__init__(engine.interpreter)
        self._names = names

    def run(self, inputs: Mapping[str, Array], states: dict[str, Array]) -> Mapping[str, Array]:
        """As any run.

        Raises:
            _Overflow: naming the operation.
        """
        found = super().run(inputs, states)
        values = list(found.items())  # in the order of computation
        for place, (_, array) in enumerate(values):
            if array.dtype == np.float32 and not np.isfinite(array).all():
                raise _Overflow(
                    next((self._names[name] for name, _ in values[place:] if name in self._names), "the program")
                )
        return found
