"""The backend `coreml-recorded`: what a Mac said, read from the result of `run_on_mac.py`.

Owns which questions the file answers. Every other is refused, never guessed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lingolite_cli.artifact import Artifact
from lingolite_cli.benchmark.figures import RecordedTiming
from lingolite_cli.decoding.hypothesis import Hypothesis, scored
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_coreml.described import DescribedProgram
from lingolite_coreml.options import RecordedOptions
from lingolite_coreml.result import read_result

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, IntArray


class RecordedBackend(DescribedProgram):
    """Answers with recorded translations; see `lingolite_cli.plugins.interfaces.RecordedBackend`.

    Args:
        artifact: made by the exporter `coreml`.
        options: where the result is.
        threads: ignored: nothing is computed.

    Raises:
        LingoLiteError: the file is not the result of this artifact.
    """

    def __init__(self, artifact: Artifact, *, options: RecordedOptions, threads: int) -> None:
        self._path = Path(options.result)
        self._result = read_result(self._path, artifact)
        self._found = {one.ids: one for one in self._result.translations}

    def translate(
        self, source_ids: IntArray, source_mask: BoolArray, options: DecodingOptions
    ) -> list[list[Hypothesis]]:
        """The recorded translation of each source.

        Raises:
            LingoLiteError: the result has none of a source, or it was made with other options.
        """
        rules = self._result.rules
        if options.beam_size > 1 or options.min_length != rules.min_length:
            raise LingoLiteError(
                f"{self._path} was made with greedy search and min_length {rules.min_length}",
                hint="leave out beam_size and min_length",
            )
        rows = zip(source_ids, source_mask, strict=True)
        return [[self._hypothesis(tuple(ids[mask].tolist()), options)] for ids, mask in rows]

    def recorded_timing(self) -> RecordedTiming:
        """The rounds that were timed on the Mac, and what it was."""
        result, machine = self._result, self._result.machine
        described = ", ".join(part for part in (machine.model, machine.processor, machine.system) if part)
        return RecordedTiming(
            machine=f"{described}, compute units {result.compute_units}",
            num_sentences=result.num_timed,
            rounds=[clock.figures() for clock in result.rounds],
        )

    def close(self) -> None:
        """Nothing is held."""

    def _hypothesis(self, ids: tuple[int, ...], options: DecodingOptions) -> Hypothesis:
        found = self._found.get(ids)
        if found is None:
            raise LingoLiteError(
                f"{self._path} has no translation of a source of {len(ids)} tokens: it was made on other sentences",
                hint="export with `--format coreml-on-mac --option sentences=FILE`, with the text that is verified",
            )
        limit = options.limit(len(ids))
        if len(found.tokens) > limit or (len(found.tokens) < limit and not found.is_finished):
            raise LingoLiteError(
                f"{self._path} has a translation of {len(found.tokens)} tokens where the limit is {limit}",
                hint=f"it was made with max_length {self._result.rules.max_length}",
            )
        alpha = options.length_penalty
        return scored(found.tokens, found.log_probability, alpha=alpha, is_finished=found.is_finished)
