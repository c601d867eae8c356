"""What a quantizer is given and must be able to do: alone, with calibration text, or with a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact, Product

T = TypeVar("T")
TrainableModel: TypeAlias = Any  # `lingolite_cli.model.MobileTranslationModel`: it is built on these interfaces


class Quantizer(Protocol):
    """Makes an artifact smaller. Made by `factory(options=OPTIONS)`."""

    def quantize(self, source: Artifact, directory: Path) -> Product:
        """Write the files of the new artifact into `directory`, tokenizer and manifest excepted."""


class Tracker(Protocol):
    """Shows how far a long piece of work is."""

    def __call__(self, items: Iterable[T], *, total: int) -> Iterator[T]:
        """`items`, counted as they are taken; there will be `total`."""


def untracked(items: Iterable[T], *, total: int) -> Iterator[T]:
    """A tracker that shows nothing."""
    return iter(items)


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Text for a quantizer to run the model on, so that it sees what activations are like.

    Attributes:
        sources: at least one sentence, in the order of the corpus; none is blank.
        languages: source and target language, both known to the model.
        threads: for the engine that the model is run with.
        track: shows the user how far it is.
    """

    sources: tuple[str, ...]
    languages: tuple[str, str]
    threads: int = 1
    track: Tracker = untracked


class CalibratedQuantizer(Protocol):
    """A quantizer with `needs={"calibration"}`."""

    def quantize(self, source: Artifact, directory: Path, *, calibration: Calibration) -> Product:
        """As of any `Quantizer`. The host records what the calibration text was."""


class Training(Protocol):
    """Trains the model that is to be quantized: on the step's text, with its options, from its checkpoint if any."""

    def __call__(
        self,
        *,
        prepare: Callable[[TrainableModel], TrainableModel],
        convert: Callable[[TrainableModel], TrainableModel],
    ) -> TrainableModel:
        """Train until something ends it.

        Args:
            prepare: what is trained, made from the model of the source. Its parameters keep their names.
            convert: the quantized model, made from what was trained, which it must not change. At each checkpoint the
                dev text is translated by what it gives.

        Returns:
            what `convert` makes of the chosen weights.
        """


class TrainedQuantizer(Protocol):
    """A quantizer with `needs={"training"}`; its options extend `lingolite_cli.training.options.TrainingOptions`."""

    def quantize(self, source: Artifact, directory: Path, *, training: Training) -> Product:
        """As of any `Quantizer`. The host records what was trained on, and how it went."""
