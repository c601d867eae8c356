"""The backend `ctranslate2`: CTranslate2's engine, which searches by itself and gives no logits.

Owns how the host's decoding options become CTranslate2's, and its results the host's hypotheses. B batch, S source.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np

from lingolite_cli.architecture.arithmetic import Arithmetic, ForcedScores
from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.hypothesis import Hypothesis, scored
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.workers.home_process import HomeProcess
from lingolite_ctranslate2.options import CTranslate2Options

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray

_DEVICE = "cpu"
_FILES = ("model.bin", "config.json")
_SHARED_VOCABULARY = ("shared_vocabulary.json",)
_TWO_VOCABULARIES = ("source_vocabulary.json", "target_vocabulary.json")
_SCORE_DIFFERENCE = 1e-4
"""Nats a token: in float32, files that hold the bundle's numbers were off by 0.000001."""
_POOL_ONLY = 1e-30
"""A length penalty that changes no score (n to this power is 1 in float32) and yet is not 0: with 0 CTranslate2 ends a
search at the first finished top beam, otherwise when `beam_size` hypotheses have ended, as LingoLite does."""


class CTranslate2Backend:
    """Runs an artifact of format `ctranslate2`; see `lingolite_cli.plugins.interfaces.TranslateBackend`.

    Args:
        artifact: made by the exporter `ctranslate2`.
        options: compute type and parallel parts.
        threads: threads of all parallel parts together.

    Raises:
        LingoLiteError: the compute type is not for this CPU, there are fewer threads than parts, or CTranslate2 cannot
            read the model.
    """

    def __init__(self, artifact: Artifact, *, options: CTranslate2Options, threads: int) -> None:
        compute_type = _compute_type(options, artifact)
        if options.inter_threads > threads:
            raise LingoLiteError(
                f"inter_threads {options.inter_threads} is more than the {threads} threads to share",
                hint=f"pass --threads {options.inter_threads}, or a smaller inter_threads",
            )
        tokenizer = open_tokenizer(artifact)
        self._pieces, self._description = tokenizer.target_pieces, tokenizer.description
        self._source_pieces = tokenizer.source_pieces
        self._ids = {piece: id for id, piece in enumerate(self._pieces)}
        self._num_parts = options.inter_threads
        vocabularies = _SHARED_VOCABULARY if self._source_pieces == self._pieces else _TWO_VOCABULARIES
        for name in (*_FILES, *vocabularies):
            artifact.file(name)
        directory = artifact.closed_directory()
        try:
            self._translator: Any = ctranslate2.Translator(
                str(directory),
                device=_DEVICE,
                compute_type=compute_type,
                inter_threads=options.inter_threads,
                intra_threads=threads // options.inter_threads,
            )
        except (RuntimeError, ValueError, TypeError) as error:
            raise LingoLiteError(
                f"CTranslate2 {ctranslate2.__version__} cannot open {artifact.path}: {error}",
                hint="export the bundle again",
                exit_code=ExitCode.PLUGIN,
            ) from None
        # It computes in threads of its own, even if there is only one.
        self._home = HomeProcess("a CTranslate2 model", engine=self._translator)

    @staticmethod
    def arithmetic(artifact: Artifact, bundle: Artifact, options: CTranslate2Options) -> Arithmetic:
        """How the engine computes; see `lingolite_cli.plugins.interfaces.DeclaredBackend`.

        Raises:
            LingoLiteError: as the constructor.
        """
        compute_type = _compute_type(options, artifact)
        is_int8 = artifact.manifest.details.get("weights") == "int8"
        # In float32 the file's numbers are what the bundle's stand for, and nothing is rounded but last bits.
        scores = ForcedScores(
            options={"compute_type": "float32"}, is_weight_only=is_int8, difference_max=_SCORE_DIFFERENCE
        )
        is_as_stored = compute_type == ("int8" if is_int8 else "float32")
        # CTranslate2 computes between products in float32, in its own order: a float file differs in last bits, and
        # activations of an int8 file may fall on the next level.
        return Arithmetic(
            name="int8, activations rounded by row" if is_int8 else "float32",
            rounding=1e-4,
            kl_max=1e-3 if is_int8 else 1e-6,
            parity_min=0.99 if is_int8 else 0.999,
            options=None if is_as_stored else {"compute_type": "default"},
            scores=scores,
            excluded=()
            if is_as_stored
            else (f"compute type {compute_type}, which rounds by itself: the file was compared",),
        )

    @staticmethod
    def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
        """What files say otherwise than the bundle; see `lingolite_cli.plugins.interfaces.DescribedBackend`."""
        from lingolite_ctranslate2.data import data_differences  # who only translates needs no specification

        return data_differences(artifact, bundle)

    def translate(
        self,
        source_ids: IntArray,
        source_mask: BoolArray,
        options: DecodingOptions,
        *,
        prefix: tuple[int, ...] = (),
    ) -> list[list[Hypothesis]]:
        """Search with CTranslate2, to the tokens of the host's search.

        CTranslate2 is asked for the log-probabilities of the `beam_size` best hypotheses that ended, and the length
        penalty is applied to these here, so that it is GNMT's and not CTranslate2's n^α. The best hypothesis is
        exact. When more of them end at the last step than the beam has room for, CTranslate2 keeps the most probable,
        so that lower ranks of `n_best` may differ.

        Where `min_length` keeps the end token out, CTranslate2 shares its probability among the other tokens: greedy
        tokens are the same, scores are higher.

        Args:
            source_ids: [B, S] int64, padded on the right.
            source_mask: [B, S] bool, True on real tokens.
            options: all but `min_length` together with beams.
            prefix: ids that every target begins with. CTranslate2 counts them as tokens, and not in scores.

        Raises:
            LingoLiteError: `min_length`, a prefix or tokens that are never generated together with beams, or
                CTranslate2 computed NaN, or this process was forked off after the model had been opened.
        """
        self._home.require()
        # As sequences of one token, because the engine has no list of tokens that it must not choose.
        barred = [[self._pieces[id]] for id in self._description.never_generated]
        if options.beam_size > 1 and barred:
            raise LingoLiteError(
                "backend `ctranslate2` cannot keep tokens from being generated in a beam search: CTranslate2 spreads "
                "their probability over the other tokens, and so ranks beams by other scores",
                hint="pass beam_size 1, or take another backend",
            )
        if options.beam_size > 1 and prefix:
            raise LingoLiteError(
                "backend `ctranslate2` cannot search with beams after a forced prefix of a target: CTranslate2 loses "
                "beams where a target might end at once",
                hint="pass beam_size 1, or take another backend",
            )
        if options.beam_size > 1 and options.min_length > 0:
            raise LingoLiteError(
                f"backend `ctranslate2` has no min_length ({options.min_length}) for beams: CTranslate2 spreads the "
                "probability of the end over the other tokens, and so ranks beams by other scores",
                hint="leave out min_length, or pass beam_size 1, or take another backend",
            )
        results = self._translator.translate_batch(
            self._as_pieces(source_ids, source_mask),
            # Split into as many parts as run side by side; a part that is too small would leave threads idle.
            max_batch_size=-(-len(source_ids) // self._num_parts),
            beam_size=options.beam_size,
            num_hypotheses=options.beam_size,
            length_penalty=_POOL_ONLY,
            max_input_length=0,
            target_prefix=[[self._pieces[id] for id in prefix]] * len(source_ids) if prefix else None,
            max_decoding_length=options.max_length + len(prefix),
            min_decoding_length=options.min_length + len(prefix) if options.min_length else 0,
            suppress_sequences=barred,
            return_end_token=True,
            return_scores=True,
        )
        return [self._hypotheses(result, options, num_prefix=len(prefix)) for result in results]

    def score(self, source_ids: IntArray, source_mask: BoolArray, target_ids: IntArray) -> FloatArray:
        """Log-probability of each target token after the ones before it; see `ScoringBackend`.

        CTranslate2 scores the end token after every target, so a target that has one is given without it.
        """
        self._home.require()
        ids = self._description.ids
        lengths = (np.arange(1, target_ids.shape[1] + 1) * (target_ids != ids.pad)).max(axis=1)
        targets = [row[:length].tolist() for row, length in zip(target_ids, lengths, strict=True)]
        texts = [row[:-1] if row and row[-1] == ids.end else row for row in targets]
        results = self._translator.score_batch(
            self._as_pieces(source_ids, source_mask),
            [[self._pieces[id] for id in row] for row in texts],
            max_input_length=0,
        )
        scores = np.zeros(target_ids.shape, np.float32)
        for row, (target, result) in enumerate(zip(targets, results, strict=True)):
            scores[row, : len(target)] = result.log_probs[: len(target)]
        return scores

    def _as_pieces(self, source_ids: IntArray, source_mask: BoolArray) -> list[list[str]]:
        pieces = self._source_pieces
        return [[pieces[id] for id in row[mask]] for row, mask in zip(source_ids, source_mask, strict=True)]

    def close(self) -> None:
        """Free the model. A fork of the process that opened it leaves it alone."""
        if self._home.is_here:
            self._translator.unload_model()

    def _hypotheses(self, result: Any, options: DecodingOptions, *, num_prefix: int) -> list[Hypothesis]:
        found = [
            self._hypothesis(pieces[num_prefix:], log_probability, alpha=options.length_penalty)
            for pieces, log_probability in zip(result.hypotheses, result.scores, strict=True)
        ]
        # The engine ranked them without a length penalty; with it the order is another.
        return sorted(found, key=lambda hypothesis: -hypothesis.score)[: options.n_best]

    def _hypothesis(self, pieces: list[str], log_probability: float, *, alpha: float) -> Hypothesis:
        if math.isnan(log_probability):
            raise LingoLiteError(
                "CTranslate2 computed NaN instead of scores",
                hint="check the weights, or try another backend: `lingolite plugins list`",
                exit_code=ExitCode.PLUGIN,
            )
        tokens = tuple(self._ids[piece] for piece in pieces)
        return scored(tokens, log_probability, alpha=alpha, is_finished=tokens[-1] == self._description.ids.end)


def _compute_type(options: CTranslate2Options, artifact: Artifact) -> str:
    """What to ask of CTranslate2, which for `default` would warn about half-precision weights on every load."""
    if options.compute_type == "default":
        return "int8" if artifact.manifest.details.get("weights") == "int8" else "float32"
    supported = ctranslate2.get_supported_compute_types(_DEVICE)
    if options.compute_type not in supported:
        raise LingoLiteError(
            f"CTranslate2 has no compute type {options.compute_type} on this CPU",
            hint=f"choose one of {', '.join(sorted(supported))}, or leave it out",
        )
    return options.compute_type
