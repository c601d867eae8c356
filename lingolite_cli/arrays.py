"""Names for numpy arrays by their dtype, for signatures.

Modules that must start fast import it for type checking only.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float32]
StatisticsArray: TypeAlias = npt.NDArray[np.float64]
