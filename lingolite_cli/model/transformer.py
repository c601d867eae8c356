"""The encoder and decoder stacks: their modules, and what they are called with.

Owns the tree of modules, whose names are those of the parameters in checkpoints. The order of computation is that of
`lingolite_cli.architecture.network`; what each operation is in PyTorch is in `lingolite_cli.model.emitter`.
Shapes: B batch, S source length, T target length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lingolite_cli.architecture import network, parts
from lingolite_cli.architecture.architecture import Architecture, Learned
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.attention import GroupedQueryAttention, GroupedQueryCrossAttention, causal_mask
from lingolite_cli.model.cache import CacheError, CellCache, KVCache, LayerCache, check_cache_use
from lingolite_cli.model.emitter import Modules, TorchDecoder, TorchStack, modules_of, padding_mask
from lingolite_cli.model.layers import (
    FeedForward,
    LayerNorm,
    Positions,
    PositionTable,
    RecurrentUnit,
    RMSNorm,
    RotaryPositions,
    linear,
)


def check_length(ids: Tensor, past: int, max_seq_len: int, *, what: str) -> None:
    """Refuse ids that are not [B, T] or that reach beyond the model's positions.

    Args:
        ids: token ids.
        past: positions that a cache already holds.
        max_seq_len: the model's positions.
        what: `source` or `target`, for the message.
    """
    if ids.dim() != 2 or 0 in ids.shape:
        raise LingoLiteError(
            f"{what} ids have shape {tuple(ids.shape)}", hint="pass [batch, length], neither of them 0"
        )
    if past + ids.size(1) > max_seq_len:
        raise LingoLiteError(
            f"{what} length {past + ids.size(1)} is more than the model's max_seq_len {max_seq_len}",
            hint="shorten the text or lower max_length",
        )


def check_mask(src_attention_mask: Tensor | None, shape: Sequence[int]) -> None:
    """Refuse a source mask whose shape is not that of the source, [B, S]."""
    if src_attention_mask is not None and tuple(src_attention_mask.shape) != tuple(shape):
        raise LingoLiteError(
            f"src_attention_mask has shape {tuple(src_attention_mask.shape)}, the source {tuple(shape)}",
            hint="pass [batch, source length], 1 on real tokens and 0 on padding",
        )


def _whole_target_mask(mask: Tensor, tgt_input_ids: Tensor, past: int) -> Tensor:
    """[B, T] or [B, past + T] to [B, past + T], true on real tokens."""
    batch, length = tgt_input_ids.shape
    if tuple(mask.shape) == (batch, past + length):
        return mask.bool()
    if tuple(mask.shape) != (batch, length):
        raise LingoLiteError(
            f"tgt_attention_mask has shape {tuple(mask.shape)}, the target {(batch, length)} after {past} cached",
            hint="pass [batch, target length], 1 on real tokens and 0 on padding",
        )
    return torch.cat((mask.new_ones((batch, past)), mask), dim=1).bool()


class EncoderLayer(nn.Module):
    """The modules of an encoder layer."""

    def __init__(self, architecture: Architecture, layer: parts.EncoderLayer, rotary: RotaryPositions | None) -> None:
        super().__init__()
        self.self_attn = _attention(layer.self_attention, rotary)
        self.ffn = _feed_forward(architecture, layer.feed_forward)
        self.norm1 = _norm(architecture)
        self.norm2 = _norm(architecture)


class DecoderLayer(nn.Module):
    """The modules of a decoder layer."""

    def __init__(self, architecture: Architecture, layer: parts.DecoderLayer, rotary: RotaryPositions | None) -> None:
        super().__init__()
        if isinstance(layer.recurrence, parts.Ssru):
            self.ssru = RecurrentUnit(layer.recurrence)
        else:
            self.self_attn = _attention(layer.recurrence, rotary)
        cross = layer.cross_attention
        self.cross_attn = GroupedQueryCrossAttention(
            architecture.d_model, cross.n_heads, n_kv_heads=cross.n_kv_heads, block=cross
        )
        self.ffn = _feed_forward(architecture, layer.feed_forward)
        self.norm1 = _norm(architecture)
        self.norm2 = _norm(architecture)
        self.norm3 = _norm(architecture)


def _attention(block: parts.Attention, rotary: RotaryPositions | None) -> GroupedQueryAttention:
    width = block.query.shape[1]
    return GroupedQueryAttention(width, block.n_heads, n_kv_heads=block.n_kv_heads, rotary=rotary, block=block)


def _feed_forward(architecture: Architecture, block: parts.FeedForward) -> FeedForward:
    return FeedForward(architecture.d_model, architecture.d_ff, block=block, architecture=architecture)


def _norm(architecture: Architecture) -> RMSNorm | LayerNorm:
    kind = LayerNorm if architecture.norm == "layer" else RMSNorm
    return kind(architecture.d_model, architecture.norm_epsilon)


class _Stack(nn.Module):
    """What encoder and decoder have both, and the modules by name."""

    def __init__(self, architecture: Architecture, stack: parts.Encoder | parts.Decoder, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self.architecture = architecture
        self.max_seq_len = architecture.max_seq_len
        self._name = stack.name
        self._found: tuple[int, Modules] | None = None
        self.position_tables = Positions(architecture, stack.name)
        if stack.positions is not None:
            self.positions = PositionTable(stack.positions)
        if stack.relative_bias is not None:
            self.relative_bias = PositionTable(stack.relative_bias)
        self.rotary = (
            RotaryPositions(architecture.head_dim, architecture.max_seq_len)
            if parts.parts_of(architecture).is_rotary
            else None
        )
        self.dropout = nn.Dropout(architecture.dropout)

    @property
    def parts(self) -> parts.Parts:
        """The parts of the network."""
        return parts.parts_of(self.architecture)

    def _modules_by_name(self) -> Modules:
        """Found once a stack: a copy has modules of its own."""
        if self._found is None or self._found[0] != id(self):
            self._found = (id(self), modules_of(self, self._name))
        return self._found[1]

    def _rotary(self, past: int, length: int) -> tuple[Tensor, Tensor] | None:
        return None if self.rotary is None else self.rotary.tables(past, length)

    def _position_rows(self, past: int, length: int) -> Tensor | None:
        kind = self.architecture.positions
        if isinstance(kind, Learned):
            return self.positions.weight[kind.offset + past : kind.offset + past + length]
        table = self.position_tables.sinusoids
        return None if table is None else table[past : past + length]

    def _relative_bias(self, past: int, length: int) -> Tensor | None:
        if self.position_tables.buckets is None:
            return None
        return self.position_tables.relative_bias(self.relative_bias.weight, past, length)


class TransformerEncoder(_Stack):
    """Source ids to the representations that the decoder attends to."""

    def __init__(self, architecture: Architecture) -> None:
        encoder = parts.parts_of(architecture).encoder
        embedding = nn.Embedding(architecture.num_source_tokens, architecture.d_model)
        super().__init__(architecture, encoder, embedding)
        self.layers = nn.ModuleList(EncoderLayer(architecture, layer, self.rotary) for layer in encoder.layers)
        if encoder.output_norm is not None:
            self.final_norm = _norm(architecture)

    def forward(self, src_input_ids: Tensor, src_attention_mask: Tensor | None = None) -> Tensor:
        """Encode sources.

        Args:
            src_input_ids: [B, S] int64.
            src_attention_mask: [B, S], true or 1 on real tokens; None when all are real.

        Returns:
            [B, S, d_model]; what stands at padding means nothing, but is finite.
        """
        check_length(src_input_ids, 0, self.max_seq_len, what="source")
        check_mask(src_attention_mask, src_input_ids.shape)
        length = src_input_ids.size(1)
        operations = TorchStack(
            self._modules_by_name(),
            self.architecture,
            dropout=self.dropout,
            rotary=self._rotary(0, length),
            position_rows=self._position_rows(0, length),
            relative_bias=self._relative_bias(0, length),
        )
        return network.encode(operations, self.parts, src_input_ids, src_attention_mask)


class TransformerDecoder(_Stack):
    """Target ids and the encoder's output to logits of the next tokens."""

    def __init__(self, architecture: Architecture, embedding: nn.Module) -> None:
        decoder = parts.parts_of(architecture).decoder
        super().__init__(architecture, decoder, embedding)
        self.layers = nn.ModuleList(DecoderLayer(architecture, layer, self.rotary) for layer in decoder.layers)
        if decoder.output_norm is not None:
            self.final_norm = _norm(architecture)
        self.lm_head = linear(decoder.projection)

    def tie_projection(self) -> None:
        """Make the output projection the embedding matrix."""
        self.lm_head.weight = self.embedding.weight  # type: ignore[assignment]

    def forward(
        self,
        tgt_input_ids: Tensor,
        encoder_output: Tensor | None,
        src_attention_mask: Tensor | None = None,
        *,
        tgt_attention_mask: Tensor | None = None,
        past_key_values: Sequence[LayerCache] | None = None,
        use_cache: bool = False,
    ) -> tuple[Tensor, list[LayerCache] | None]:
        """Logits of the token after each target token.

        Args:
            tgt_input_ids: [B, T] int64; with filled caches only the tokens after the cached ones.
            encoder_output: [B, S, d_model]; None when the caches hold its keys and values.
            src_attention_mask: [B, S], true or 1 on real tokens; None when all are real.
            tgt_attention_mask: true or 1 on real target tokens, [B, T], or [B, P + T] after P cached ones, which are
                real otherwise; None when all are real. Padding on the right needs none: no token attends to later
                ones.
            past_key_values: one a layer, from the call before; needs `use_cache=True`.
            use_cache: return the caches for the next call.

        Returns:
            logits [B, T, V], and the updated caches, or None without `use_cache`.

        Raises:
            CacheError: a cache came without `use_cache=True`, or does not fit.
            LingoLiteError: a length or a shape does not fit, with its value.
        """
        check_cache_use(past_key_values, use_cache)
        caches = self._caches(past_key_values)
        past, length = len(caches[0].self_attention), tgt_input_ids.size(-1)
        check_length(tgt_input_ids, past, self.max_seq_len, what="target")
        if encoder_output is not None:
            check_mask(src_attention_mask, encoder_output.shape[:2])
        operations = TorchDecoder(
            self._modules_by_name(),
            self.architecture,
            caches,
            self_mask=self._self_mask(tgt_input_ids, tgt_attention_mask, past),
            dropout=self.dropout,
            rotary=self._rotary(past, length),
            position_rows=self._position_rows(past, length),
            relative_bias=self._relative_bias(past, length),
        )
        # The encoder output does not change while a sentence is decoded: it is projected once, not at each step.
        if encoder_output is not None and not all(cache.cross_attention for cache in caches):
            network.read_source(operations, self.parts, encoder_output)
        logits = network.decode(operations, self.parts, tgt_input_ids, src_attention_mask)
        return logits, operations.caches if use_cache else None

    def _self_mask(self, tgt_input_ids: Tensor, tgt_attention_mask: Tensor | None, past: int) -> Tensor | None:
        length = tgt_input_ids.size(1)
        mask = causal_mask(length, past + length, device=tgt_input_ids.device) if length > 1 else None
        if tgt_attention_mask is None:
            return mask
        padding = padding_mask(_whole_target_mask(tgt_attention_mask, tgt_input_ids, past))
        return padding if mask is None else mask + padding

    def _caches(self, past_key_values: Sequence[LayerCache] | None) -> list[LayerCache]:
        if past_key_values is None:
            is_recurrent = self.architecture.decoder_recurrence == "ssru"
            return [LayerCache(CellCache() if is_recurrent else KVCache(), KVCache())] * len(self.layers)
        if len(past_key_values) != len(self.layers):
            raise CacheError(
                f"{len(past_key_values)} layer caches were passed to a decoder of {len(self.layers)} layers",
                hint="pass back the caches that this decoder returned",
            )
        return list(past_key_values)
