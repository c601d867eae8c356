"""First-party backends, each with one fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_torch.backends import Int8Backend
from lingolite_torch.options import TorchOptions

from lingolite_cli.artifact import Artifact
from lingolite_cli.plugins.specs import NoOptions

Rows = npt.NDArray[np.int64]


class StaleOnnx(OnnxBackend):
    """As many rows as before stay where they are."""

    def __init__(self, artifact: Artifact, *, options: NoOptions, threads: int) -> None:
        super().__init__(artifact, options=OnnxBackendOptions(), threads=threads)
        self._num_rows = 0

    def encode(self, source_ids: Rows, source_mask: npt.NDArray[np.bool_]) -> Any:
        self._num_rows = len(source_ids)
        return super().encode(source_ids, source_mask)

    def select(self, state: Any, rows: Rows) -> Any:
        if len(rows) == self._num_rows:
            return state
        self._num_rows = len(rows)
        return super().select(state, rows)


class _Int8(Int8Backend):
    def __init__(self, artifact: Artifact, *, options: NoOptions, threads: int) -> None:
        super().__init__(artifact, options=TorchOptions(), threads=threads)


class StaleInt8(_Int8):
    """As many rows as before stay where they are."""

    def select(self, state: Any, rows: Rows) -> Any:
        return state if len(rows) == len(state.sources) else super().select(state, rows)


class UnmaskedInt8(_Int8):
    """Cross-attention sees padding."""

    def encode(self, source_ids: Rows, source_mask: npt.NDArray[np.bool_]) -> Any:
        state = super().encode(source_ids, source_mask)
        state.source_mask = None
        return state
