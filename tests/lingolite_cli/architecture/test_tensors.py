"""Names and shapes of parameters, held to the network that has them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.parts import parts_of, tied_layers
from lingolite_cli.architecture.tensors import (
    count_layers,
    shared_inputs,
    tensor_shapes,
    tensor_specs,
    vocabulary_keys,
)
from lingolite_cli.model import MobileTranslationModel

# Distinct sizes, so that a transposed or confused shape shows.
_TIED = Architecture(
    vocab_size=29, d_model=24, n_encoder_layers=3, n_decoder_layers=2, n_heads=6, n_kv_heads=3, d_ff=40, dropout=0.0
)
_UNTIED = msgspec.structs.replace(_TIED, tie_embeddings=False)


def _network(config: Architecture) -> MobileTranslationModel:
    torch.manual_seed(3)
    return MobileTranslationModel.from_config(config).eval()


def test_untied_tensors_are_the_state_dict_of_the_network_in_its_order() -> None:
    state = _network(_UNTIED).state_dict()
    assert list(tensor_shapes(_UNTIED).items()) == [(name, tuple(tensor.shape)) for name, tensor in state.items()]


def test_tied_tensors_are_the_parameters_of_the_network() -> None:
    parameters = {name: tuple(tensor.shape) for name, tensor in _network(_TIED).named_parameters()}
    assert tensor_shapes(_TIED) == parameters


def test_tied_layers_are_those_that_share_a_parameter_in_the_network() -> None:
    network = _network(_TIED)
    for layer, owner in tied_layers(_TIED).items():
        assert network.get_submodule(layer).weight is network.get_submodule(owner).weight
    copies = {name for name in network.state_dict() if name not in tensor_shapes(_TIED)}
    assert copies == {f"{layer}.weight" for layer in tied_layers(_TIED)}
    assert not tied_layers(_UNTIED)


def test_layers_that_share_an_input_are_given_the_same_tensor_by_the_network() -> None:
    seen: dict[str, torch.Tensor] = {}
    network = _network(_UNTIED)
    linears = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    for name, module in linears.items():

        def keep(module: nn.Module, inputs: tuple[Any, ...], name: str = name) -> None:
            seen[name] = inputs[0]

        module.register_forward_pre_hook(keep)
    network(torch.tensor([[1, 5, 7, 2]]), torch.tensor([[1, 9, 3]]))

    groups = shared_inputs(_UNTIED)
    assert Counter(name for group in groups for name in group) == Counter(linears.keys())
    of_group = [{id(seen[name]) for name in group} for group in groups]
    assert all(len(inputs) == 1 for inputs in of_group)
    assert len(set.union(*of_group)) == len(groups), "no two groups read the same input"


def test_roles_tell_what_the_network_does_with_a_tensor() -> None:
    network = _network(_UNTIED)
    for spec in tensor_specs(_UNTIED):
        module = network.get_submodule(spec.name)
        assert isinstance(module, nn.Embedding) == (spec.role == "embedding"), spec.name
        assert spec.is_matrix == isinstance(module, nn.Linear | nn.Embedding), spec.name
        assert spec.has_vocabulary == (spec.shape[0] == _UNTIED.vocab_size), spec.name


def test_layer_and_block_of_a_tensor_are_modules_that_hold_it() -> None:
    network = _network(_UNTIED)
    layers = [*network.encoder.layers, *network.decoder.layers]
    for spec in tensor_specs(_UNTIED):
        weight = network.get_submodule(spec.name).weight
        owners = [layer for layer in layers if any(weight is parameter for parameter in layer.parameters())]
        assert owners == ([] if spec.layer is None else [network.get_submodule(spec.layer)])
        if spec.block is not None:
            assert any(weight is parameter for parameter in network.get_submodule(spec.block).parameters())


def test_names_of_layers_are_those_of_the_tensors() -> None:
    names = parts_of(_UNTIED)
    assert [layer.name for layer in names.encoder.layers] == [f"encoder.layers.{index}" for index in range(3)]
    assert [layer.name for layer in names.decoder.layers] == [f"decoder.layers.{index}" for index in range(2)]
    downs = [spec.name for spec in tensor_specs(_UNTIED) if spec.role == "down"]
    assert [network.down.name for network in names.feed_forwards] == downs


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (_TIED, ("encoder.embedding.weight",)),
        (_UNTIED, ("encoder.embedding.weight", "decoder.embedding.weight", "decoder.lm_head.weight")),
    ],
)
def test_matrices_over_the_vocabulary(config: Architecture, expected: tuple[str, ...]) -> None:
    assert vocabulary_keys(config) == expected


def test_layers_are_counted_by_stack() -> None:
    keys = tensor_shapes(_UNTIED)
    assert (count_layers(keys, "encoder"), count_layers(keys, "decoder")) == (3, 2)


_SPELLING = re.compile(
    r"q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj|self_attn|cross_attn|lm_head"
    r"|(encoder|decoder)\.(layers|embedding|final_norm)|embedding\.weight|\bnorm[123]\b"
)
_MAY_SPELL = {
    "lingolite_cli/architecture/parts.py",
    "lingolite_cli/architecture/reference.py",  # independent on purpose
    "lingolite_cli/model/attention.py",  # these three are the modules whose attributes the names are
    "lingolite_cli/model/layers.py",
    "lingolite_cli/model/transformer.py",
}


def _spelled(tree: ast.Module) -> list[str]:
    """Strings and attributes of a module that look like names of parameters; docstrings may give examples."""
    statements = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    docstrings = {id(value) for value in statements if isinstance(value, ast.Constant)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            found.append(node.value)
        elif isinstance(node, ast.Attribute):
            found.append(node.attr)
    return [text for text in found if _SPELLING.search(text)]


def test_parameter_names_are_spelled_in_few_files() -> None:
    root = Path(__file__).parents[3]
    files = [path for folder in ("lingolite_cli", "plugins") for path in (root / folder).rglob("*.py")]
    assert len(files) > 100
    spelling = {path.relative_to(root).as_posix() for path in files if _spelled(ast.parse(path.read_text()))}
    # Importers say which foreign name is which of ours, and foreign names look like ours.
    spelling = {name for name in spelling if not name.startswith("plugins/lingolite_importers/")}
    assert spelling == _MAY_SPELL, "take names from lingolite_cli.architecture.parts"
