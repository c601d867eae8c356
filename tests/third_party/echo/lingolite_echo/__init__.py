"""A backend that repeats its source, a metric that counts exact matches, a quantizer that reads: descriptors only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, MetricSpec, QuantizerSpec


class EchoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of the backend.

    Attributes:
        skip_every: leave out every so many-th token; 0 leaves out none.
        suffix: ids that follow the source.
        fatal: end the process at the first sentence, as the system does where memory runs out.
        fatal_length: end it at a sentence of so many tokens.
        failing_length: raise an error at a sentence of so many tokens.
        gate_length: read the gate at a sentence of so many tokens, and not before the first.
        gate: a file that is read before the first sentence. A FIFO there makes the backend wait until its writer goes.
    """

    skip_every: Annotated[int, Meta(ge=0)] = 0
    suffix: tuple[int, ...] = ()
    gate: str | None = None
    fatal: bool = False
    fatal_length: int = 0
    failing_length: int = 0
    gate_length: int = 0


class ExactOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of the metric.

    Attributes:
        lowercase: whether `A` and `a` are the same.
        accepted: a file of hypotheses that are right in any case, one a line.
    """

    lowercase: bool = False
    accepted: str | None = None

    def files(self) -> list[Path]:
        """What scores depend on."""
        return [] if self.accepted is None else [Path(self.accepted)]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """The backend `echo`."""
    return [
        BackendSpec(
            name="echo",
            summary="repeats the source",
            factory="lingolite_echo.backend:EchoBackend",
            options=EchoOptions,
            accepts=frozenset({"bundle", "bundle-fp16"}),
            requires=("numpy",),
        )
    ]


@hookimpl
def lingolite_metrics() -> list[MetricSpec]:
    """The metric `exact`."""
    return [
        MetricSpec(
            name="exact",
            summary="share of hypotheses that are the reference, in percent",
            factory="lingolite_echo.exact:Exact",
            options=ExactOptions,
            requires=("numpy",),
            capabilities=frozenset({"sentence_statistics"}),
        )
    ]


@hookimpl
def lingolite_quantizers() -> list[QuantizerSpec]:
    """The quantizer `recall`."""
    return [
        QuantizerSpec(
            name="recall",
            summary="half precision, and the text that it was given",
            factory="lingolite_echo.recall:Recall",
            accepts=frozenset({"bundle"}),
            produces="bundle-fp16",
            needs=frozenset({"calibration"}),
            requires=("numpy",),
        )
    ]
