"""Marian's configuration and parameter names in LingoLite's words.

Owns which features of Marian can be carried: all others are refused by their names in the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.architecture.architecture import LARGEST, Activation, Architecture, Sinusoidal
from lingolite_cli.errors import LingoLiteError

_DAMAGED = "special:model.yml is damaged, or of another kind of model"
_EPSILON = 1e-6
"""Of Marian's layer normalization; no file says it."""

_CARRIED: dict[str, tuple[Any, ...]] = {
    "type": ("transformer",),
    "transformer-preprocess": ("",),
    "transformer-postprocess": ("dan", "an"),
    "transformer-postprocess-emb": ("d", ""),
    "transformer-postprocess-top": ("",),
    "transformer-ffn-depth": (2,),
    "transformer-decoder-ffn-depth": (0, 2),
    "transformer-ffn-activation": ("swish", "relu"),
    "transformer-decoder-autoreg": ("self-attention", "rnn"),
    "transformer-tied-layers": ([],),
    "transformer-no-projection": (False,),
    "transformer-rnn-projection": (False,),
    "transformer-train-position-embeddings": (False,),
    "transformer-no-bias": (False,),
    "transformer-no-affine": (False,),
    "transformer-pool": (False,),
    "bert-train-type-embeddings": (True, False),
    "factors-combine": ("sum",),
    "input-types": ([], ["sequence"], ["sequence", "sequence"]),
    "lemma-dim-emb": (0,),
    "right-left": (False,),
    "ulr": (False,),
    "skip": (False,),
    "tied-embeddings-all": (False, True),
    "tied-embeddings-src": (False, True),
    "tied-embeddings": (False, True),
    "output-omit-bias": (False, True),
}
"""Values with which a network of Marian is one that `Architecture` says. A missing entry has the first of them."""

_ACTIVATIONS: dict[str, Activation] = {"relu": "relu", "swish": "silu"}


class Names(msgspec.Struct, frozen=True):
    """Where the parameters of a model come from.

    Attributes:
        matrices: Marian's name by LingoLite's name of a linear layer, without `.weight` and `_QuantMultA`.
        vectors: Marian's name by LingoLite's key.
        embeddings: the same of embeddings, which have a row for each token.
        projection: Marian's name of an output projection of its own, [in, out] in float; None where it is tied.
    """

    matrices: dict[str, str]
    vectors: dict[str, str]
    embeddings: dict[str, str]
    projection: str | None


def architecture_of(
    configuration: Mapping[str, Any], *, rows: tuple[int, int], max_seq_len: int, where: Path
) -> Architecture:
    """The network that a configuration describes.

    Args:
        configuration: of the file.
        rows: source and target tokens, those that were added included.
        max_seq_len: positions.
        where: the file, for messages.

    Raises:
        LingoLiteError: it has a feature that no bundle carries; the message names it.
    """
    _check_features(configuration, where)
    is_ssru = configuration.get("transformer-decoder-autoreg") == "rnn"
    d_model = _size(configuration, "dim-emb", where, most=LARGEST["d_model"])
    d_ff = _size(configuration, "transformer-dim-ffn", where)
    heads = _size(configuration, "transformer-heads", where)
    of_decoder = configuration.get("transformer-decoder-dim-ffn", 0)
    if of_decoder not in (0, d_ff):
        raise _not_carried(where, "transformer-decoder-dim-ffn", of_decoder, f"0 or {d_ff}")
    try:
        return Architecture(
            vocab_size=rows[1],
            source_vocab_size=None if rows[0] == rows[1] else rows[0],
            d_model=d_model,
            n_encoder_layers=_size(configuration, "enc-depth", where),
            n_decoder_layers=_size(configuration, "dec-depth", where),
            n_heads=heads,
            n_kv_heads=heads,
            d_ff=d_ff,
            max_seq_len=max_seq_len,
            dropout=0.1,
            tie_embeddings=_tying(configuration),
            pad_token_id=rows[1] - 1,
            norm="layer",
            norm_epsilon=_EPSILON,
            norm_place="post",
            final_norm=False,
            activation=_ACTIVATIONS[configuration.get("transformer-ffn-activation", "swish")],
            gated=False,
            biases=True,
            positions=Sinusoidal(divisor=d_model // 2 - 1),
            decoder_recurrence="ssru" if is_ssru else "attention",
            logits_bias=not configuration.get("output-omit-bias", False),
        )
    except ValueError as error:
        raise LingoLiteError(f"{where}: its configuration cannot be carried: {error}", hint=_DAMAGED) from None


def vocabulary_sizes(configuration: Mapping[str, Any], where: Path) -> tuple[int, int]:
    """Source and target tokens.

    Raises:
        LingoLiteError: the configuration does not say two.
    """
    sizes = configuration.get("dim-vocabs")
    is_pair = isinstance(sizes, list) and len(sizes) == 2 and all(type(size) is int and size > 0 for size in sizes)
    if not is_pair:
        raise LingoLiteError(
            f"{where}: dim-vocabs is {sizes!r}, not the sizes of one source and one target vocabulary",
            hint="models with several sources cannot be carried",
        )
    assert isinstance(sizes, list)
    return sizes[0], sizes[1]


def names_of(architecture: Architecture, configuration: Mapping[str, Any]) -> Names:
    """Where each parameter of this architecture comes from."""
    matrices: dict[str, str] = {}
    vectors: dict[str, str] = {}
    for stack, depth in (("encoder", architecture.n_encoder_layers), ("decoder", architecture.n_decoder_layers)):
        for index in range(depth):
            ours, theirs = f"{stack}.layers.{index}", f"{stack}_l{index + 1}"
            for layer, marian in _layers(architecture, stack):
                matrices[f"{ours}.{layer}"] = f"{theirs}_{marian[0]}"
                if marian[1]:
                    vectors[f"{ours}.{layer}.bias"] = f"{theirs}_{marian[1]}"
            for norm, block in _norms(architecture, stack):
                vectors[f"{ours}.{norm}.weight"] = f"{theirs}_{block}_ln_scale"
                vectors[f"{ours}.{norm}.bias"] = f"{theirs}_{block}_ln_bias"
    if architecture.logits_bias:
        vectors["decoder.lm_head.bias"] = "decoder_ff_logit_out_b"
    is_shared = architecture.tie_embeddings in (True, "embeddings")
    embeddings = {"encoder.embedding": "Wemb" if is_shared else "encoder_Wemb"}
    if not is_shared:
        embeddings["decoder.embedding"] = "decoder_Wemb"
    is_tied = architecture.tie_embeddings in (True, "decoder")
    return Names(matrices, vectors, embeddings, None if is_tied else "decoder_ff_logit_out_W")


def _layers(architecture: Architecture, stack: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """LingoLite's name of a linear layer within its layer, and Marian's of its matrix and bias, if it has one."""
    attentions = [("self_attn", "self")] if stack == "encoder" or architecture.decoder_recurrence == "attention" else []
    if stack == "decoder":
        attentions.append(("cross_attn", "context"))
        if architecture.decoder_recurrence == "ssru":
            yield "ssru.candidate_proj", ("rnn_W", "")
            yield "ssru.forget_proj", ("rnn_Wf", "rnn_bf")
    for ours, theirs in attentions:
        for part in "qkvo":
            yield f"{ours}.{part}_proj", (f"{theirs}_W{part}", f"{theirs}_b{part}")
    yield "ffn.up_proj", ("ffn_W1", "ffn_b1")
    yield "ffn.down_proj", ("ffn_W2", "ffn_b2")


def _norms(architecture: Architecture, stack: str) -> list[tuple[str, str]]:
    """LingoLite's name of a norm, and Marian's of the parameter that it is named after."""
    if stack == "encoder":
        return [("norm1", "self_Wo"), ("norm2", "ffn_ffn")]
    first = "rnn_ffn" if architecture.decoder_recurrence == "ssru" else "self_Wo"
    return [("norm1", first), ("norm2", "context_Wo"), ("norm3", "ffn_ffn")]


def _check_features(configuration: Mapping[str, Any], where: Path) -> None:
    for key, values in _CARRIED.items():
        if key in configuration and configuration[key] not in values:
            raise _not_carried(where, key, configuration[key], " or ".join(repr(value) for value in values))
    is_rnn = configuration.get("transformer-decoder-autoreg") == "rnn"
    if is_rnn and configuration.get("dec-cell") != "ssru":
        raise _not_carried(where, "dec-cell", configuration.get("dec-cell"), "'ssru'")


def _tying(configuration: Mapping[str, Any]) -> Any:
    if configuration.get("tied-embeddings-all", False):
        return True
    if configuration.get("tied-embeddings-src", False):
        return True if configuration.get("tied-embeddings", False) else "embeddings"
    return "decoder" if configuration.get("tied-embeddings", False) else False


def _size(configuration: Mapping[str, Any], key: str, where: Path, *, most: int = max(LARGEST.values())) -> int:
    value = configuration.get(key)
    if type(value) is not int or not 1 <= value <= most:
        raise LingoLiteError(
            f"{where}: its configuration has {key} {value!r}, not a size",
            hint=_DAMAGED,
        )
    return value


def _not_carried(where: Path, key: str, value: Any, carried: str) -> LingoLiteError:
    return LingoLiteError(
        f"{where} has {key} {str(value)[:60]!r}, which no bundle carries",
        hint=f"importable are models with {key} {carried}",
    )
