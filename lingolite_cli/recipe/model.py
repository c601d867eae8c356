"""The recipe file as typed structs. Owns the keys and their defaults; what they mean together is `plan`'s."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lingolite_cli.benchmark.noise import MIN_ROUNDS
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.precision_search.units import Granularity
from lingolite_cli.training.options import ScratchOptions, TextOptions, TrainingOptions

Positive = Annotated[int, Meta(ge=1)]
Rounds = Annotated[int, Meta(ge=MIN_ROUNDS)]
DEFAULT_METRICS = ("bleu", "chrf")
Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ModelInput(_Table, frozen=True, kw_only=True):
    """An artifact that a recipe starts from."""

    bundle: str


class ShortlistInput(_Table, frozen=True, kw_only=True):
    """A vocabulary shortlist that `lingolite shortlist` made."""

    shortlist: str


class _Step(_Table, tag_field="uses", frozen=True, kw_only=True):
    """`id` is what later steps refer to, and `options` go to the step's plugin."""

    id: Identifier


class EvaluateStep(_Step, tag="evaluate", frozen=True, kw_only=True):
    """Translate a corpus through a backend and score it.

    `decoding` overrides the artifact's own defaults key by key; `metric_options` has a table a metric. `workers` are
    processes that share the text; they change no token.
    """

    model: str = "inputs.model"
    backend: str = "cached"
    corpus: str = "inputs.test"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    metric_options: dict[str, dict[str, Any]] = {}
    decoding: dict[str, Any] = {}
    batch_size: Positive = 32
    max_batch_tokens: Positive = 4096
    max_samples: Positive | None = None
    workers: Positive = 1
    options: dict[str, Any] = {}


class _LearningStep(_Step, frozen=True, kw_only=True):
    """A step that trains on `data`, inputs with `pairs`; one that is named twice counts twice.

    `metric` scores the text `dev` at each checkpoint; `cross-entropy` needs no backend. `text` says which pairs are
    good.
    """

    data: tuple[str, ...] = ()
    dev: str | None = None
    dev_samples: Positive | None = None
    metric: str = "chrf"
    languages: tuple[str, str] | None = None
    text: TextOptions = TextOptions()


class QuantizeStep(_LearningStep, tag="quantize", frozen=True, kw_only=True):
    """Make an artifact smaller.

    `calibration` names the text for methods that need to see the model at work; of its columns only the sources are
    used. What a training reads is for methods that train.
    """

    model: str = "inputs.model"
    method: str = "dynamic-int8"
    calibration: str | None = None
    options: dict[str, Any] = {}


class ExportStep(_Step, tag="export", frozen=True, kw_only=True):
    """Turn an artifact into another format, with the vocabulary shortlist `shortlist` if one is named."""

    model: str = "inputs.model"
    format: str = "onnx"
    shortlist: str | None = None
    options: dict[str, Any] = {}


class TimingTable(_Table, frozen=True, kw_only=True):
    """How budgets on time and memory are measured, if there are any.

    Each round is a fresh process a system, with `num_sentences` one at a time and in batches of `batch_size`. Where
    `rounds` leave a verdict unsure, more are taken, up to `max_rounds`.
    """

    num_sentences: Positive = 64
    batch_size: Positive = 1
    rounds: Rounds = MIN_ROUNDS
    max_rounds: Rounds = 4 * MIN_ROUNDS


class VerifyStep(_Step, tag="verify", frozen=True, kw_only=True):
    """Judge one `evaluate` step against another on the same corpus.

    Budgets are those of `lingolite_cli.budgets.table`, with a family for each metric that both steps have. Logits are
    compared on `parity_samples` sentences.
    """

    reference: str
    candidate: str
    budget: dict[str, float] = {}
    allow_inconclusive: bool = False
    timing: TimingTable = TimingTable()
    resamples: Annotated[int, Meta(ge=100, le=100_000)] = 1000
    worst: Annotated[int, Meta(ge=0)] = 20
    parity_samples: Positive = 256


class BenchmarkSystemTable(_Table, frozen=True, kw_only=True):
    """One system of a benchmark: an artifact and the backend that runs it.

    `threads` and `workers` are those of the step unless the system has its own.
    """

    model: str
    backend: str
    name: str | None = None
    options: dict[str, Any] = {}
    threads: Positive | None = None
    workers: Positive | None = None


class BenchmarkStep(_Step, tag="benchmark", frozen=True, kw_only=True):
    """Measure systems in turn, each alone in a fresh process.

    Ratios are to the first system. Budgets judge the last system: those of `lingolite_cli.budgets.table` on timed
    rounds. They have rounds of their own: as many as `rounds`, six at least, and up to `max_rounds` where these leave a
    verdict unsure; tokens a second are those of the first batch size.
    `lengths` adds runs of exactly that many target tokens a sentence, in batches of `length_batch_sizes`. Each system
    has `cold_starts` starts, each in a fresh process.
    """

    systems: tuple[BenchmarkSystemTable, ...]
    corpus: str = "inputs.test"
    num_sentences: Positive = 64
    batch_sizes: tuple[Positive, ...] = (1, 32)
    lengths: tuple[Positive, ...] = ()
    length_batch_sizes: tuple[Positive, ...] = (1,)
    decoding: DecodingOptions = DecodingOptions()
    rounds: Positive = 3
    cold_starts: Positive = 1
    threads: Positive = 1
    workers: Positive = 1
    budget: dict[str, float] = {}
    max_rounds: Rounds = 4 * MIN_ROUNDS
    allow_inconclusive: bool = False


class TrainStep(_LearningStep, tag="train", frozen=True, kw_only=True):
    """Train a bundle: on from `model`, or from scratch. `backend` translates the text `dev`."""

    model: str | None = None
    scratch: ScratchOptions | None = None
    data: tuple[str, ...] = ("inputs.train",)
    backend: str = "cached"
    backend_options: dict[str, Any] = {}
    options: TrainingOptions = TrainingOptions()


class SearchStep(_Step, tag="search", frozen=True, kw_only=True):
    """Find the smallest mix of precisions inside a budget, and make the artifact.

    `reference` is an `evaluate` step of the float model: its text, decoding and translations are what mixes are
    measured with. `budget` has one key, `METRIC_drop_max`. `sample` sentences rank the units; mixes are judged on all.
    """

    reference: str
    method: str = "mixed"
    options: dict[str, Any] = {}
    precisions: tuple[str, ...] | None = None
    granularity: Granularity = "block"
    backend: str | None = None
    backend_options: dict[str, Any] = {}
    budget: dict[str, float]
    allow_inconclusive: bool = False
    max_trials: Positive = 12
    sample: Positive = 200
    resamples: Annotated[int, Meta(ge=100, le=100_000)] = 1000


class ReportStep(_Step, tag="report", frozen=True, kw_only=True):
    """Write reports when the run ends."""

    reporters: tuple[str, ...] = ("html", "markdown")


Step = EvaluateStep | QuantizeStep | ExportStep | VerifyStep | BenchmarkStep | TrainStep | SearchStep | ReportStep


class Recipe(_Table, frozen=True, kw_only=True):
    """A recipe. Paths are relative to the project's root: the directory of `lingolite.toml`."""

    name: Identifier
    schema: int = 1
    summary: str = ""
    seed: int = 17
    threads: Positive | None = None
    inputs: dict[str, dict[str, Any]] = {}
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if self.schema != 1:
            raise ValueError(f"schema is {self.schema}; this version reads 1")
