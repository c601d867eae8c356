"""The model of the probe, as it lies in `probe.tflite`: one product of float activations and int8 weights.

Owns its values. It is stored, because running a file would otherwise load the schema of the format, which
takes as long as to load the file. `python -m lingolite_litert.probe_model` writes it anew.
"""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.weights.bundle import Matrix
from lingolite_litert.graph import DYNAMIC, FileBuilder
from lingolite_litert.probe import INPUT, MODEL, OUTPUT, PROBE, WIDTH, probe_matrix
from lingolite_litert.products import Products


def probe_file() -> bytes:
    """The content of `probe.tflite`."""
    file = FileBuilder(min_runtime_version="2.18.0")
    graph = file.graph(PROBE)
    x = graph.input(INPUT, (DYNAMIC, WIDTH), "float32")
    values, scale = probe_matrix()
    graph.output(OUTPUT, Products(graph, is_symmetric=False).product(x, Matrix(values, scale), name="w", bias=None))
    return file.serialized()


if __name__ == "__main__":
    Path(__file__).with_name(MODEL).write_bytes(probe_file())
