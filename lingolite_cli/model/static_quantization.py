"""Static int8 quantization: int8 weights, and activations over ranges that are calibrated while the model translates.

Owns the method, from a float model and sentences to the tensors of an int8 bundle; the quantizer `static-int8` and
Python users share it. Its options are `lingolite_cli.weights.options`'s, the choice of a range from what was seen
`lingolite_cli.weights.ranges`'s, and how activations are then rounded `lingolite_cli.weights.activations`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.architecture.tensors import matrix_keys, shared_inputs
from lingolite_cli.artifact import Artifact, Quantization
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.model.bundle import tokenizer_source
from lingolite_cli.model.calibration import ActivationSource, BatchRun, CalibrationRun
from lingolite_cli.model.layers import FeedForward
from lingolite_cli.model.parameters import bundle_tensors, check_float, model_from_tensors
from lingolite_cli.model.qat import Qconfig, WeightQuantizer
from lingolite_cli.model.translation_model import MobileTranslationModel
from lingolite_cli.schema import convert
from lingolite_cli.tokenization.opening import open_tokenizer, read_tokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer
from lingolite_cli.weights.activations import InputRange
from lingolite_cli.weights.options import StaticInt8Options
from lingolite_cli.weights.ranges import Histogram, choose_range, range_tensors
from lingolite_cli.weights.rows import SCALE_SUFFIX, quantize_tensors

SCHEME = "static-int8"


def apply_static_quantization(
    model: MobileTranslationModel,
    calibration_data_loader: Iterable[Mapping[str, Tensor]] | Iterable[str],
    qconfig: Qconfig = "fbgemm",
    *,
    tokenizer: str | Path | Artifact | None = None,
    languages: tuple[str, str] | None = None,
    **options: object,
) -> MobileTranslationModel:
    """A new model with int8 weights and a calibrated range for each Linear's input. The one passed in does not change.

    Args:
        model: a float model.
        calibration_data_loader: what it runs on to see what its activations are like: batches with `src_input_ids` and
            `tgt_input_ids` (see `BatchRun`); or sentences, which it translates, with `tokenizer`.
        qconfig: `fbgemm` gives each row of a matrix a scale, `qnnpack` each matrix.
        tokenizer: for sentences: an artifact that has the model's tokenizer, or its directory; or, of LingoLite's own
            format, the SentencePiece model.
        languages: for sentences: source and target language; default: the two that the tokenizer knows.
        **options: those of `StaticInt8Options`: `ranges`, `percentile`, `smoothing`, `max_samples`.

    Returns:
        A model in eval mode on the CPU, for inference only; `save_bundle` writes it.

    Raises:
        LingoLiteError: the model is already quantized, there is no sentence or batch, an option or a language is wrong,
            or a weight or an activation is infinite or not a number.
    """
    chosen = convert(dict(options), StaticInt8Options, where="apply_static_quantization")
    if qconfig not in get_args(Qconfig):
        raise LingoLiteError(f"unknown qconfig `{qconfig}`", hint=did_you_mean(qconfig, get_args(Qconfig)))
    copied = float_copy(model)
    run: ActivationSource
    if tokenizer is None:
        run = BatchRun(copied, _batches(calibration_data_loader), max_samples=chosen.max_samples)
    else:
        source = tokenizer_source(tokenizer)
        read = open_tokenizer(source) if isinstance(source, Artifact) else read_tokenizer(source)
        sentences = [str(sentence) for sentence in islice(calibration_data_loader, chosen.max_samples)]
        run = CalibrationRun(copied, sentences, tokenizer=read, languages=languages or _only_pair(read))
    tensors = static_tensors(run, options=chosen, qconfig=qconfig)
    made = model_from_tensors(model.config, tensors, where="the quantized model")
    made.quantization = Quantization(SCHEME)
    return made


def float_copy(model: MobileTranslationModel) -> MobileTranslationModel:
    """A copy in float32 and eval mode on the CPU, which calibration may change.

    Raises:
        LingoLiteError: the model is quantized.
    """
    check_float(model)
    return deepcopy(model).to("cpu", torch.float32).eval()


def static_tensors(
    run: ActivationSource, *, options: StaticInt8Options, qconfig: Qconfig = "fbgemm"
) -> dict[str, Tensor]:
    """The tensors of an int8 bundle with calibrated ranges; see `apply_static_quantization`.

    Args:
        run: a model from `float_copy`, which smoothing changes, and what it runs on.
        options: of the method.
        qconfig: whether rows or matrices have scales.
    """
    if options.smoothing:
        _smooth(run, strength=options.smoothing)
    ranges: dict[str, InputRange] = {}
    for group, seen in _histograms(run).items():
        ranges |= dict.fromkeys(group, choose_range(seen, options))
    floats = {name: tensor.numpy().copy() for name, tensor in bundle_tensors(run.model).items()}
    arrays = {**quantize_tensors(floats, matrix_keys(run.model.config)), **range_tensors(ranges)}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if qconfig == "qnnpack":
        by_matrix = WeightQuantizer(is_per_channel=False)
        for name in matrix_keys(run.model.config):
            tensors[name], tensors[name + SCALE_SUFFIX] = by_matrix(torch.from_numpy(floats[name]))
    return tensors


def _batches(data: Iterable[Mapping[str, Tensor]] | Iterable[str]) -> Iterator[Mapping[str, Tensor]]:
    for batch in data:
        if not isinstance(batch, Mapping):
            raise LingoLiteError(
                f"calibration data has a {type(batch).__name__} where a batch should be",
                hint="give dictionaries with src_input_ids and tgt_input_ids; or sentences, with tokenizer=PATH",
            )
        yield batch


def _only_pair(tokenizer: Tokenizer) -> tuple[str, str]:
    if len(tokenizer.languages) != 2:
        raise LingoLiteError(
            f"the tokenizer knows {len(tokenizer.languages)} languages", hint='say which: languages=("en", "da")'
        )
    return tokenizer.languages[0], tokenizer.languages[1]


def _smooth(run: ActivationSource, *, strength: float) -> None:
    """Even out the inner channels of the feed-forward networks by the largest magnitudes that they have on the text."""
    found: dict[str, Tensor] = {}

    def keep(name: str, x: Tensor) -> None:
        largest = x.abs().amax(dim=0)
        found[name] = torch.maximum(found[name], largest) if name in found else largest

    networks = parts_of(run.model.config).feed_forwards
    run.show_to({network.down.name: partial(keep, network.name) for network in networks})
    for name, maxima in found.items():
        network = run.model.get_submodule(name)
        assert isinstance(network, FeedForward)
        if network.can_be_smoothed:
            network.smooth(maxima, strength=strength)


def _histograms(run: ActivationSource) -> dict[tuple[str, ...], Histogram]:
    """What the layers of each group of `shared_inputs` read."""
    found = {group: Histogram() for group in shared_inputs(run.model.config)}

    def count(histogram: Histogram, x: Tensor) -> None:
        histogram.add(x.numpy())

    run.show_to({group[0]: partial(count, histogram) for group, histogram in found.items()})
    return found
