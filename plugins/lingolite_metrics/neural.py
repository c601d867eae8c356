"""COMET (Rei et al. 2020, "COMET: A Neural Framework for MT Evaluation"), from a local checkpoint.

Owns how such a checkpoint is read: from local files alone, and without ever unpickling code. The network is that of the
package unbabel-comet. N sentences, R reference streams.
"""

from __future__ import annotations

import inspect
import os
import pickle
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.digests import sha256_file
from lingolite_cli.plugins.interfaces import Score
from lingolite_metrics.corpus import check_corpus
from lingolite_metrics.options import CometOptions

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray

KIND = "regression_metric"
"""COMET's name for models that score a translation from its source and its reference."""


class Comet:
    """The metric `comet`: mean sentence score times 100; against several references, the mean over these.

    A sentence's statistics are [its score times 100, 1].
    """

    def __init__(self, *, options: CometOptions) -> None:
        self._options = options
        self._checkpoint = Path(options.checkpoint).absolute()
        self._model = _load(self._checkpoint, options)

    def score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, sources: Sequence[str]) -> Score:
        """The mean score of N hypotheses, times 100.

        Raises:
            LingoLiteError: there is nothing to score, or the streams differ in length.
        """
        totals = self.statistics(hypotheses, references, sources=sources).sum(axis=0, keepdims=True)
        name = self._checkpoint.parents[1].name
        digest = sha256_file(self._checkpoint)[:12]
        return Score(
            value=float(self.from_statistics(totals)[0]),
            signature=f"nrefs:{len(references)}|model:{name}|sha256:{digest}|comet:{version('unbabel-comet')}",
        )

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, sources: Sequence[str]
    ) -> StatisticsArray:
        """[N, 2] float64. Raises as `score`."""
        check_corpus(hypotheses, [sources, *references])
        scores = np.mean([self._scores(sources, hypotheses, stream) for stream in references], axis=0)
        return np.stack([100.0 * scores, np.ones(len(scores))], axis=1)

    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] means from [M, 2] sums."""
        means: StatisticsArray = totals[:, 0] / totals[:, 1]
        return means

    def _scores(self, sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]) -> StatisticsArray:
        """[N] float64, one score a sentence. Batches are of sentences of like length."""
        triples = list(zip(sources, hypotheses, references, strict=True))
        order = sorted(range(len(triples)), key=lambda index: (sum(map(len, triples[index])), triples[index]))
        scores = np.empty(len(triples))
        for start in range(0, len(order), self._options.batch_size):
            batch = order[start : start + self._options.batch_size]
            samples = [dict(zip(("src", "mt", "ref"), triples[index], strict=True)) for index in batch]
            inputs = self._model.prepare_sample(samples, stage="predict")
            with torch.inference_mode():
                found = self._model(**{name: part.to(self._options.device) for name, part in inputs.items()})
            scores[batch] = found.score.double().cpu().numpy()
        return scores


def _load(checkpoint: Path, options: CometOptions) -> Any:
    """The network with its weights, a `comet.models.RegressionMetric`; Any, as the package is untyped.

    Raises:
        LingoLiteError: the checkpoint is of another kind, holds more than weights, lacks some, or its encoder's
            tokenizer and configuration are not on this machine.
    """
    # Before transformers is imported: a run downloads nothing.
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    import yaml

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its torchmetrics imports the deprecated pkg_resources
        from comet.models import RegressionMetric

    settings = yaml.safe_load((checkpoint.parents[1] / "hparams.yaml").read_text(encoding="utf-8"))
    if settings.get("class_identifier") != KIND:
        raise LingoLiteError(
            f"{checkpoint} is a COMET model of the kind {settings.get('class_identifier')}",
            hint=f"only those of the kind {KIND} are scored with, such as wmt22-comet-da",
        )
    known = inspect.signature(RegressionMetric.__init__).parameters
    chosen = {name: value for name, value in settings.items() if name in known}
    if chosen.get("layer_transformation") == "sparsemax_patch":
        chosen["layer_transformation"] = "softmax"  # as the package's own loader has it since 2.2.4
    chosen |= {"load_pretrained_weights": False, "local_files_only": True}
    if options.encoder is not None:
        chosen["pretrained_model"] = options.encoder
    weights = _weights(checkpoint)
    _check_encoder(chosen["pretrained_model"])
    model = RegressionMetric(**chosen)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    # Buffer of older versions of transformers, computed anew by later ones.
    unexpected = [name for name in unexpected if not name.endswith("embeddings.position_ids")]
    if missing or unexpected:
        what = f"lacks {missing[0]}" if missing else f"has {unexpected[0]}, which the network has not"
        raise LingoLiteError(f"{checkpoint} {what}")
    return model.eval().to(options.device)


def _check_encoder(name: str) -> None:
    """Refuse an encoder that is not on this machine: transformers itself says only that an attribute is missing."""
    from transformers.utils import cached_file

    for file in ("config.json", "tokenizer.json"):
        try:
            cached_file(name, file, local_files_only=True)
        except OSError as error:
            raise LingoLiteError(
                f"{file} of the encoder {name} is not on this machine",
                hint="the metric's option `encoder` names a directory that has config.json and tokenizer.json",
            ) from error


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    try:
        contents = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise LingoLiteError(
            f"{checkpoint} holds more than weights, and code from a checkpoint is never run",
            hint="save its `state_dict` alone, on a machine that trusts it",
        ) from error
    weights: dict[str, torch.Tensor] = contents["state_dict"]
    return weights
