"""What a model's activations are like while it translates: the inputs of its linear layers, shown to observers.

Owns the greedy decoding that is watched; its search and its batches are `lingolite_cli.decoding`'s. B batch, S source,
V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from lingolite_cli.architecture.tensors import reads_source
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translation, Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.stepping import DecodingState, SteppingModel
from lingolite_cli.model.translation_model import MobileTranslationModel
from lingolite_cli.plugins.quantizers import Tracker, untracked
from lingolite_cli.tokenization.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, IntArray

Observer: TypeAlias = Callable[[Tensor], None]
"""Is shown [N, in] float32, what a layer reads for N tokens. Padding and sentences that have ended are left out."""


def observed_translations(
    model: MobileTranslationModel,
    sources: Sequence[str],
    observers: Mapping[str, Observer],
    *,
    tokenizer: Tokenizer,
    languages: tuple[str, str],
    begin: Callable[[int], None] = lambda num_tokens: None,
    observe: Callable[[int, int], None] | None = None,
) -> Iterator[Translation]:
    """Translate greedily, while observers see the inputs of layers.

    Args:
        model: a float model, in eval mode on the CPU.
        sources: sentences.
        observers: by the name of a Linear.
        tokenizer: the model's own.
        languages: source and target language.
        begin: told how many source tokens there are.
        observe: as of `Translator.translate`.
    """
    backend = _ObservedDecoder(model)
    translator = Translator(backend, tokenizer, model.config, languages, options=DecodingOptions())
    begin(sum(map(translator.num_tokens, sources)))
    with backend.shown_to(observers):
        yield from translator.translate(sources, observe=observe)


class ActivationSource(Protocol):
    """Whatever shows the activations of a model, as often as it is asked."""

    model: MobileTranslationModel

    def show_to(self, observers: Mapping[str, Observer]) -> None:
        """Let the model run and show observers, by the name of a Linear, what it reads."""


class BatchRun:
    """A model and batches of ids, such as a training's data loader gives. Each look runs the model anew.

    Args:
        model: a float model, in eval mode on the CPU; it may change between looks.
        batches: each with `src_input_ids` [B, S] and `tgt_input_ids` [B, T], int64, T at least 2; where there are
            `src_attention_mask` and `tgt_attention_mask`, true or 1 on real tokens, they say what is padding, which is
            left out, and otherwise the pad id does.
        max_samples: no further batch is taken once there are so many rows.

    Raises:
        LingoLiteError: there is no batch, or one lacks ids.
    """

    def __init__(
        self, model: MobileTranslationModel, batches: Iterable[Mapping[str, Tensor]], *, max_samples: int
    ) -> None:
        self.model = model
        self._batches: list[_Batch] = []
        num_samples = 0
        for number, batch in enumerate(batches, start=1):
            self._batches.append(self._checked(batch, number))
            num_samples += len(self._batches[-1].src_input_ids)
            if num_samples >= max_samples:
                break
        if not self._batches:
            raise LingoLiteError("there is no batch to calibrate on", hint="the data loader gave none")
        self._masks = (torch.empty(0), torch.empty(0))

    def show_to(self, observers: Mapping[str, Observer]) -> None:
        """Run the batches with their targets as the decoder's input and show observers what layers read."""
        hooks = [
            self.model.get_submodule(name).register_forward_pre_hook(self._hook(observer, name))
            for name, observer in observers.items()
        ]
        try:
            with torch.inference_mode():
                for batch in self._batches:
                    self._masks = batch.src_attention_mask, batch.tgt_attention_mask
                    self.model(*batch)
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, observer: Observer, name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        index = 0 if reads_source(self.model.config, name) else 1

        def show(module: nn.Module, inputs: tuple[Tensor]) -> None:
            observer(inputs[0][self._masks[index]])

        return show

    def _checked(self, batch: Mapping[str, Tensor], number: int) -> _Batch:
        missing = [name for name in ("src_input_ids", "tgt_input_ids") if name not in batch]
        if missing:
            raise LingoLiteError(
                f"batch {number} of the calibration data has no {' and no '.join(missing)}",
                hint="give dictionaries with src_input_ids and tgt_input_ids; or sentences, with tokenizer=PATH",
            )
        sides = []
        for side in ("src", "tgt"):
            ids = batch[f"{side}_input_ids"].cpu()
            mask = batch.get(f"{side}_attention_mask")
            sides.append((ids, ids != self.model.config.pad_token_id if mask is None else mask.cpu().bool()))
        (src_ids, src_mask), (tgt_ids, tgt_mask) = sides
        # The decoder never reads the last token of a target: it is only predicted.
        return _Batch(src_ids, tgt_ids[:, :-1], src_mask, tgt_mask[:, :-1])


class _Batch(NamedTuple):
    """Arguments of the model's `forward`, in its order."""

    src_input_ids: Tensor
    tgt_input_ids: Tensor
    src_attention_mask: Tensor
    tgt_attention_mask: Tensor


class CalibrationRun:
    """A model and a calibration text. Each look at the activations translates the text anew.

    Args:
        model: a float model, in eval mode on the CPU; it may change between looks.
        sentences: blank ones do not count.
        tokenizer: the model's own.
        languages: source and target language.
        track: shows how far a look is.

    Raises:
        LingoLiteError: there is no sentence.
    """

    def __init__(
        self,
        model: MobileTranslationModel,
        sentences: Sequence[str],
        *,
        tokenizer: Tokenizer,
        languages: tuple[str, str],
        track: Tracker = untracked,
    ) -> None:
        self.model = model
        self._sources = [sentence for sentence in sentences if sentence.strip()]
        self._tokenizer = tokenizer
        self._languages = languages
        self._track = track
        if not self._sources:
            raise LingoLiteError("there is no sentence to calibrate on", hint="a calibration text needs at least one")

    def show_to(self, observers: Mapping[str, Observer]) -> None:
        """Translate the text and show observers, by the name of a Linear, what it reads."""
        counted: Iterator[int] = iter(())

        def begin(num_tokens: int) -> None:
            nonlocal counted
            counted = self._track(range(num_tokens), total=num_tokens)

        def observe(num_sentences: int, num_tokens: int) -> None:
            # Batches are of like length, so tokens tell how far it is; a tracker counts what is taken from it.
            deque(islice(counted, num_tokens), maxlen=0)

        translations = observed_translations(
            self.model,
            self._sources,
            observers,
            tokenizer=self._tokenizer,
            languages=self._languages,
            begin=begin,
            observe=observe,
        )
        deque(translations, maxlen=0)
        deque(counted, maxlen=0)


class _ObservedDecoder(SteppingModel):
    """A backend whose layers are watched."""

    def __init__(self, model: MobileTranslationModel) -> None:
        super().__init__(model)
        self._source_mask = torch.empty(0, 0, dtype=torch.bool)

    @contextmanager
    def shown_to(self, observers: Mapping[str, Observer]) -> Iterator[None]:
        """Let observers watch inside the block."""
        hooks = [
            self._model.get_submodule(name).register_forward_pre_hook(self._hook(observer))
            for name, observer in observers.items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, observer: Observer) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def show(module: nn.Module, inputs: tuple[Tensor]) -> None:
            (x,) = inputs
            reads_source = x.shape[:2] == self._source_mask.shape  # a step of the decoder has one column only
            observer(x[self._source_mask] if reads_source else x.flatten(0, 1))

        return show

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> DecodingState:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        self._source_mask = torch.from_numpy(source_mask)
        return super().encode(source_ids, source_mask)
