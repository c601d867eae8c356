"""The networks of transformers in LingoLite's words: Marian, M2M100 with NLLB, and T5 with mT5 and MADLAD.

Owns foreign names and what their configurations mean; nothing else knows them. What no bundle carries is refused by its
name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from lingolite_cli.architecture.architecture import Architecture, Positions, Relative, Sinusoidal
from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_importers.hugging_face.directory import Directory

OUTPUT_PROJECTION = "lm_head.weight"
"""In all families."""

_T5_EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_EPSILON = 1e-5
"""Of torch.nn.LayerNorm, which the modules of BART's kin use as it is."""
_HINT = "the configuration is damaged, or of a model of another kind"
_ACTIVATIONS = {"relu": "relu", "swish": "silu", "silu": "silu", "gelu": "gelu", "gelu_new": "gelu_tanh"}


class Family(msgspec.Struct, frozen=True):
    """A family of models.

    Attributes:
        architecture: its network, from a directory, its tensors, and the number of positions that was asked for.
        layers: LingoLite's name of every layer, and theirs, without `.weight` and `.bias`.
        embeddings: names under which the shared embedding may be stored, the first that is there counts.
        ignored: names of tensors that say nothing: tables of sines, and copies.
    """

    architecture: Callable[[Directory, Mapping[str, Array], int | None], Architecture]
    layers: Callable[[Architecture], Mapping[str, str]]
    embeddings: tuple[str, ...]
    ignored: frozenset[str]


def family_of(directory: Directory) -> Family:
    """The family of the model in a directory.

    Raises:
        LingoLiteError: it is none of those that can be carried.
    """
    kind = directory.config.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise LingoLiteError(
            f"{directory.path} has a model of the type {kind!r}, which no importer reads",
            hint=f"importable are {', '.join(sorted(FAMILIES))}",
        )
    return FAMILIES[kind]


def _bart(directory: Directory, max_seq_len: int | None, **features: Any) -> Architecture:
    """What Marian and M2M100 have in common."""
    heads, width = directory.size("encoder_attention_heads"), directory.size("encoder_ffn_dim")
    for key, expected in (("decoder_attention_heads", heads), ("decoder_ffn_dim", width)):
        if directory.size(key) != expected:
            raise _not_carried(directory, key, f"{expected}, as in the encoder")
    limit = directory.size("max_position_embeddings")
    return _made(
        directory,
        d_model=directory.size("d_model"),
        n_encoder_layers=directory.size("encoder_layers"),
        n_decoder_layers=directory.size("decoder_layers"),
        n_heads=heads,
        n_kv_heads=heads,
        d_ff=width,
        max_seq_len=min(max_seq_len or limit, limit),
        norm="layer",
        norm_epsilon=_EPSILON,
        activation=_activation(directory, directory.config.get("activation_function", "gelu")),
        gated=False,
        biases=True,
        embedding_scale=None if directory.flag("scale_embedding", default=False) else 1.0,
        **features,
    )


def _marian(directory: Directory, stored: Mapping[str, Array], max_seq_len: int | None) -> Architecture:
    rows = directory.size("vocab_size")
    of_decoder = directory.config.get("decoder_vocab_size") or rows
    is_shared = directory.flag("share_encoder_decoder_embeddings", default=True)
    is_tied = directory.flag("tie_word_embeddings", default=True)
    if is_shared and of_decoder != rows:
        raise _not_carried(directory, "decoder_vocab_size", f"{rows} where embeddings are shared")
    tying: Any = {(True, True): True, (True, False): "embeddings", (False, True): "decoder", (False, False): False}
    return _bart(
        directory,
        max_seq_len,
        vocab_size=of_decoder,
        source_vocab_size=None if rows == of_decoder else rows,
        tie_embeddings=tying[is_shared, is_tied],
        norm_place="post",
        final_norm=False,
        positions=lambda: Sinusoidal(divisor=max(1, directory.size("d_model") // 2)),
        logits_bias=True,
    )


def _m2m100(directory: Directory, stored: Mapping[str, Array], max_seq_len: int | None) -> Architecture:
    if not directory.flag("tie_word_embeddings", default=True):
        raise _not_carried(directory, "tie_word_embeddings", "true")
    pad = directory.token_id("pad_token_id", 1)
    return _bart(
        directory,
        max_seq_len,
        vocab_size=directory.size("vocab_size"),
        tie_embeddings=True,
        norm_place="pre",
        final_norm=True,
        # Positions follow the row of padding, which fairseq counted among them.
        positions=lambda: Sinusoidal(divisor=max(1, directory.size("d_model") // 2 - 1), offset=pad + 1),
    )


def _t5(directory: Directory, stored: Mapping[str, Array], max_seq_len: int | None) -> Architecture:
    projection = str(directory.config.get("feed_forward_proj", "relu"))
    is_gated = projection.startswith("gated-")
    # transformers computes `gated-gelu` by the approximation, for which T5 was trained.
    name = "gelu_new" if projection == "gated-gelu" else projection.removeprefix("gated-")
    # T5 scales what the output projection reads, and its successors do not. transformers 5 says so under a name of its
    # own; before, `tie_word_embeddings` stood for it, whatever is tied. So the tensors tell what is.
    is_scaled = directory.flag("scale_decoder_outputs", default=directory.flag("tie_word_embeddings", default=True))
    head, shared = stored.get(OUTPUT_PROJECTION), stored.get(_T5_EMBEDDINGS[0])
    is_tied = head is None or (shared is not None and head.shape == shared.shape and np.array_equal(head, shared))
    d_model, heads, layers = directory.size("d_model"), directory.size("num_heads"), directory.size("num_layers")
    given = directory.config.get("num_decoder_layers")
    distance = "relative_attention_max_distance"
    return _made(
        directory,
        vocab_size=directory.size("vocab_size"),
        d_model=d_model,
        n_encoder_layers=layers,
        n_decoder_layers=layers if given is None else directory.size("num_decoder_layers"),
        n_heads=heads,
        n_kv_heads=heads,
        d_ff=directory.size("d_ff"),
        d_head=directory.size("d_kv"),
        max_seq_len=max_seq_len
        or (512 if directory.config.get("n_positions") is None else directory.size("n_positions")),
        norm="rms",
        norm_epsilon=directory.number("layer_norm_epsilon", 1e-6),
        activation=_activation(directory, name),
        gated=is_gated,
        positions=lambda: Relative(
            buckets=directory.size("relative_attention_num_buckets"),
            max_distance=directory.size(distance) if distance in directory.config else 128,
        ),
        embedding_scale=1.0,
        attention_scale=1.0,
        output_scale=d_model**-0.5 if is_scaled else 1.0,
        tie_embeddings=True if is_tied else "embeddings",
    )


def _made(directory: Directory, *, positions: Callable[[], Positions], **fields: Any) -> Architecture:
    """The architecture; positions are made here, because they refuse numbers too."""
    pad = directory.token_id("pad_token_id")
    dropout = directory.number("dropout", directory.number("dropout_rate", 0.1))
    try:
        return Architecture(**fields, positions=positions(), pad_token_id=pad, dropout=dropout)
    except ValueError as error:
        raise LingoLiteError(f"{directory.path / 'config.json'} cannot be carried: {error}", hint=_HINT) from None


def _activation(directory: Directory, name: Any) -> str:
    if not isinstance(name, str) or name not in _ACTIVATIONS:
        raise LingoLiteError(
            f"{directory.path / 'config.json'} has the activation {name!r}, which no bundle carries",
            hint=f"importable are {', '.join(sorted(_ACTIVATIONS))}",
        )
    return _ACTIVATIONS[name]


def _not_carried(directory: Directory, key: str, carried: str) -> LingoLiteError:
    value = directory.config.get(key)
    return LingoLiteError(
        f"{directory.path / 'config.json'} has {key} {value!r}, which no bundle carries",
        hint=f"importable is {carried}",
    )


def _bart_layers(architecture: Architecture) -> dict[str, str]:
    found: dict[str, str] = {}
    for stack, depth in (("encoder", architecture.n_encoder_layers), ("decoder", architecture.n_decoder_layers)):
        for index in range(depth):
            ours, theirs = f"{stack}.layers.{index}", f"model.{stack}.layers.{index}"
            found |= {f"{ours}.{name}": f"{theirs}.{other}" for name, other in _bart_parts(stack)}
        if architecture.final_norm:
            found[f"{stack}.final_norm"] = f"model.{stack}.layer_norm"
    return found


def _bart_parts(stack: str) -> Iterator[tuple[str, str]]:
    attentions = [("self_attn", "self_attn", "norm1")]
    if stack == "decoder":
        attentions.append(("cross_attn", "encoder_attn", "norm2"))
    for ours, theirs, norm in attentions:
        for part in "qkv":
            yield f"{ours}.{part}_proj", f"{theirs}.{part}_proj"
        yield f"{ours}.o_proj", f"{theirs}.out_proj"
        yield norm, f"{theirs}_layer_norm"
    yield "ffn.up_proj", "fc1"
    yield "ffn.down_proj", "fc2"
    yield ("norm2" if stack == "encoder" else "norm3"), "final_layer_norm"


def _t5_layers(architecture: Architecture) -> dict[str, str]:
    found: dict[str, str] = {}
    for stack, depth in (("encoder", architecture.n_encoder_layers), ("decoder", architecture.n_decoder_layers)):
        for index in range(depth):
            ours, theirs = f"{stack}.layers.{index}", f"{stack}.block.{index}.layer"
            attentions = [("self_attn", "0.SelfAttention"), ("cross_attn", "1.EncDecAttention")]
            attentions = attentions[: 1 if stack == "encoder" else 2]
            for name, other in attentions:
                found |= {f"{ours}.{name}.{part}_proj": f"{theirs}.{other}.{part}" for part in "qkvo"}
            last = len(attentions)
            dense = f"{theirs}.{last}.DenseReluDense"
            up = {"gate_proj": "wi_0", "up_proj": "wi_1"} if architecture.gated else {"up_proj": "wi"}
            found |= {f"{ours}.ffn.{name}": f"{dense}.{other}" for name, other in {**up, "down_proj": "wo"}.items()}
            found |= {f"{ours}.norm{place + 1}": f"{theirs}.{place}.layer_norm" for place in range(last + 1)}
        found[f"{stack}.relative_bias"] = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias"
        found[f"{stack}.final_norm"] = f"{stack}.final_layer_norm"
    return found


_BART_TABLES = frozenset(
    f"model.{stack}.embed_positions.weight{ending}" for stack in ("encoder", "decoder") for ending in ("", "s")
)
_BART_EMBEDDINGS = ("model.shared.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
_MARIAN = Family(_marian, _bart_layers, _BART_EMBEDDINGS, _BART_TABLES)
_M2M100 = Family(_m2m100, _bart_layers, _BART_EMBEDDINGS, _BART_TABLES)
_T5 = Family(
    _t5,
    _t5_layers,
    _T5_EMBEDDINGS,
    # Old checkpoints have a table of cross-attention, which was never used.
    frozenset({"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"}),
)

FAMILIES: dict[str, Family] = {"marian": _MARIAN, "m2m_100": _M2M100, "t5": _T5, "mt5": _T5}
"""By `model_type` of `config.json`."""
