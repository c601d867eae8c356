"""The operators that graphs are made of: the tables of their options, and versions that say what a runtime must know.

Owns names as the schema of the format spells them. A version is that of the operator as it is used here: runtimes
refuse a file whose versions they do not have, so a number that is too low would fail later, or be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_edge_litert import schema_py_generated as schema

PER_ROW_PRODUCT = 12
"""Version of FULLY_CONNECTED with float activations and int8 weights that have a scale for each row."""
PER_ROW_LOOKUP = 4
"""Version of EMBEDDING_LOOKUP in such a table."""

DEQUANTIZED_FLOAT16 = 3
"""Version of DEQUANTIZE from float16."""

_OPTIONS = {
    "ABS": "AbsOptions",
    "ADD": "AddOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CUMSUM": "CumsumOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "EXP": "ExpOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "REDUCE_MAX": "ReducerOptions",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPLIT": "SplitOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TRANSPOSE": "TransposeOptions",
}
"""Those of the others have no options: EMBEDDING_LOOKUP, LOG, LOGISTIC, RELU, RSQRT."""


def options_of(operator: str, fields: Mapping[str, Any]) -> tuple[int, Any]:
    """The kind of an operator's options and their table, with the given fields."""
    name = _OPTIONS.get(operator)
    if name is None:
        return schema.BuiltinOptions.NONE, None
    return getattr(schema.BuiltinOptions, name), getattr(schema, f"{name}T")(**fields)
