"""How matrices are grouped, and how a mix of precisions is written."""

from __future__ import annotations

from safetensors.numpy import load_file

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.artifact import Artifact
from lingolite_cli.precision_search.units import assignment, units_of


def test_sizes_are_those_of_the_tensors(tiny: Artifact) -> None:
    tensors = load_file(tiny.weights_path)
    expected = {name.removesuffix(".weight"): t.size for name, t in tensors.items() if t.ndim == 2}
    units = units_of(tiny.manifest.model, "matrix")
    assert {unit.name: unit.num_weights for unit in units} == expected


def test_blocks_keep_attention_and_feed_forward_apart(tiny: Artifact) -> None:
    units = units_of(tiny.manifest.model, "block")
    assert [unit.name for unit in units[:3]] == [
        "encoder.embedding",
        "encoder.layers.0.ffn",
        "encoder.layers.0.self_attn",
    ]
    assert len(units) == 1 + 3 * 2 + 2 * 3
    by_name = {unit.name: unit for unit in units}
    cross = by_name["decoder.layers.1.cross_attn"]
    assert cross.matrices == tuple(f"decoder.layers.1.cross_attn.{part}_proj" for part in "koqv")
    assert cross.pattern == "decoder.layers.1.cross_attn.*"
    assert cross.num_weights == 2 * 32 * 32 + 2 * 16 * 32
    assert by_name["encoder.embedding"].pattern == "encoder.embedding"


def test_every_matrix_is_in_one_unit_whatever_the_granularity(tiny: Artifact) -> None:
    sizes = {unit.name: unit.num_weights for unit in units_of(tiny.manifest.model, "matrix")}
    counts = {}
    for granularity in ("layer", "block", "matrix"):
        units = units_of(tiny.manifest.model, granularity)
        assert sorted(name for unit in units for name in unit.matrices) == sorted(sizes)
        assert sum(unit.num_weights for unit in units) == sum(sizes.values())
        counts[granularity] = len(units)
    assert counts == {"layer": 1 + 3 + 2, "block": 13, "matrix": len(sizes)}


def test_layers_are_in_the_order_of_their_numbers() -> None:
    config = Architecture(n_encoder_layers=11, n_decoder_layers=11, tie_embeddings=False)
    assert [unit.name for unit in units_of(config, "layer")] == [
        "encoder.embedding",
        *(f"encoder.layers.{index}" for index in range(11)),
        "decoder.embedding",
        "decoder.lm_head",
        *(f"decoder.layers.{index}" for index in range(11)),
    ]


def test_a_mix_is_written_with_the_fewest_patterns(tiny: Artifact) -> None:
    units = units_of(tiny.manifest.model, "block")
    mix = ("int8", *["int4"] * (len(units) - 2), "fp16")
    written = assignment(units, mix)
    assert written.default == "int4"
    assert written.layers == {"encoder.embedding": "int8", "decoder.layers.1.self_attn.*": "fp16"}
    assert assignment(units, ("int8",) * len(units)).layers == {}
