"""Static int8 quantization: int8 weights, and activations over ranges that are calibrated while the model translates.

Owns the method, from a float model and sentences to the tensors of an int8 bundle; the quantizer `static-int8` and
Python users share it. Its options are `lingolite_cli.weights.options`'s, the choice of a range from what was seen
`lingolite_cli.weights.ranges`'s, and how activations are then rounded `lingolite_cli.weights.activations`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lingolite_cli.architecture.tensors import layer_names, shared_inputs
from lingolite_cli.artifact import Quantization
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.calibration import CalibrationRun
from lingolite_cli.model.layers import FeedForward
from lingolite_cli.model.parameters import bundle_tensors, check_float, model_from_tensors
from lingolite_cli.model.translation_model import MobileTranslationModel
from lingolite_cli.plugins.interfaces import Tracker, untracked
from lingolite_cli.schema import convert
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer
from lingolite_cli.weights.activations import InputRange
from lingolite_cli.weights.options import StaticInt8Options
from lingolite_cli.weights.ranges import Histogram, choose_range, range_tensors
from lingolite_cli.weights.rows import quantize_tensors

SCHEME = "static-int8"


def apply_static_quantization(
    model: MobileTranslationModel,
    sentences: Sequence[str],
    *,
    tokenizer: str | Path,
    languages: tuple[str, str] | None = None,
    **options: object,
) -> MobileTranslationModel:
    """A new model with int8 weights and a calibrated range for each Linear's input. The one passed in does not change.

    Args:
        model: a float model.
        sentences: what it translates to see what its activations are like.
        tokenizer: the model's SentencePiece model.
        languages: source and target language; default: the two that the tokenizer knows.
        **options: those of `StaticInt8Options`: `ranges`, `percentile`, `smoothing`, `max_samples`.

    Returns:
        A model in eval mode on the CPU, for inference only; `save_bundle` writes it.

    Raises:
        LingoLiteError: the model is already quantized, there is no sentence, an option or a language is wrong, or a
            weight or an activation is infinite or not a number.
    """
    chosen = convert(dict(options), StaticInt8Options, where="apply_static_quantization")
    read = read_tokenizer(tokenizer)
    if languages is None and len(read.languages) != 2:
        raise LingoLiteError(
            f"the tokenizer knows {len(read.languages)} languages", hint='say which: languages=("en", "da")'
        )
    pair = languages or (read.languages[0], read.languages[1])
    tensors = static_tensors(model, sentences, tokenizer=read, languages=pair, options=chosen)
    made = model_from_tensors(model.config, tensors, where="the quantized model")
    made.quantization = Quantization(SCHEME)
    return made


def static_tensors(
    model: MobileTranslationModel,
    sentences: Sequence[str],
    *,
    tokenizer: Tokenizer,
    languages: tuple[str, str],
    options: StaticInt8Options,
    track: Tracker = untracked,
) -> dict[str, Tensor]:
    """The tensors of an int8 bundle with calibrated ranges; see `apply_static_quantization`."""
    check_float(model)
    copied = deepcopy(model).to("cpu", torch.float32).eval()
    run = CalibrationRun(
        copied, sentences[: options.max_samples], tokenizer=tokenizer, languages=languages, track=track
    )
    if options.smoothing:
        _smooth(run, strength=options.smoothing)
    ranges: dict[str, InputRange] = {}
    for group, seen in _histograms(run).items():
        ranges |= dict.fromkeys(group, choose_range(seen, options))
    floats = {name: tensor.numpy().copy() for name, tensor in bundle_tensors(copied).items()}
    arrays = {**quantize_tensors(floats), **range_tensors(ranges)}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _smooth(run: CalibrationRun, *, strength: float) -> None:
    """Even out the inner channels of the feed-forward networks by the largest magnitudes that they have on the text."""
    found: dict[str, Tensor] = {}

    def keep(name: str, x: Tensor) -> None:
        largest = x.abs().amax(dim=0)
        found[name] = torch.maximum(found[name], largest) if name in found else largest

    networks = layer_names(run.model.config).feed_forwards
    run.show_to({network.down: partial(keep, network.name) for network in networks})
    for name, maxima in found.items():
        network = run.model.get_submodule(name)
        assert isinstance(network, FeedForward)
        network.smooth(maxima, strength=strength)


def _histograms(run: CalibrationRun) -> dict[tuple[str, ...], Histogram]:
    """What the layers of each group of `shared_inputs` read."""
    found = {group: Histogram() for group in shared_inputs(run.model.config)}

    def count(histogram: Histogram, x: Tensor) -> None:
        histogram.add(x.numpy())

    run.show_to({group[0]: partial(count, histogram) for group, histogram in found.items()})
    return found
