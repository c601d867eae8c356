"""The translation model: encoder, decoder, loss and searches over ids in one module.

Owns what Python users call on a model alone. Batching and everything that text needs are in `lingolite_cli.decoding`,
and so is the beam search that `generate_beam` runs. Shapes: B batch, S source length, T target length, P cached
positions, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, overload

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lingolite_cli.architecture.architecture import Architecture, Tying
from lingolite_cli.architecture.tensors import tensor_shapes
from lingolite_cli.artifact import Quantization
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.cache import LayerCache
from lingolite_cli.model.stepping import SteppingModel
from lingolite_cli.model.transformer import TransformerDecoder, TransformerEncoder, check_length
from lingolite_cli.schema import convert
from lingolite_cli.tokenization.description import LINGOLITE, DecodingIds


class MobileTranslationModel(nn.Module):
    """A compact encoder-decoder Transformer for translation.

    Args: the fields of `Architecture`, with its defaults; `features` are those that are not LingoLite's own.

    Attributes:
        config: the sizes.
        quantization: how int8 weights came about; None for float weights.

    Raises:
        LingoLiteError: the sizes do not fit together.
    """

    quantization: Quantization | None = None

    def __init__(
        self,
        vocab_size: int = 24000,
        d_model: int = 512,
        *,
        n_encoder_layers: int = 6,
        n_decoder_layers: int = 6,
        n_heads: int = 8,
        n_kv_heads: int = 2,
        d_ff: int = 2048,
        max_seq_len: int = 512,
        dropout: float = 0.1,
        tie_embeddings: bool | Tying = True,
        pad_token_id: int = LINGOLITE.ids.pad,
        **features: Any,
    ) -> None:
        super().__init__()
        try:
            self.config = Architecture(
                vocab_size=vocab_size,
                d_model=d_model,
                n_encoder_layers=n_encoder_layers,
                n_decoder_layers=n_decoder_layers,
                n_heads=n_heads,
                n_kv_heads=n_kv_heads,
                d_ff=d_ff,
                max_seq_len=max_seq_len,
                dropout=dropout,
                tie_embeddings=tie_embeddings,
                pad_token_id=pad_token_id,
                **features,
            )
        except ValueError as error:
            raise LingoLiteError(
                str(error), hint="see the presets in lingolite_cli.architecture.architecture"
            ) from None
        self.encoder = TransformerEncoder(self.config)
        is_shared = tie_embeddings in (True, "embeddings")
        own = self.encoder.embedding
        assert isinstance(own, nn.Embedding)
        shared = own if is_shared else nn.Embedding(vocab_size, d_model)
        self.decoder = TransformerDecoder(self.config, shared)
        self.tie_weights()
        # A dict keeps its order, which a set does not: the same seed must give the same weights in every process.
        for embedding in dict.fromkeys((own, shared)):
            # Variance 1 after they are scaled.
            scale = self.config.embedding_scale
            nn.init.normal_(embedding.weight, std=d_model**-0.5 if scale is None else 1 / scale)

    @classmethod
    def from_config(cls, config: Architecture) -> MobileTranslationModel:
        """A model of this shape with fresh random weights."""
        return cls(**msgspec.structs.asdict(config))

    def tie_weights(self) -> None:
        """Make the output projection the decoder's embedding matrix, where the configuration says so."""
        if self.config.tie_embeddings in (True, "decoder"):
            self.decoder.tie_projection()

    @overload
    def forward(
        self,
        src_input_ids: Tensor,
        tgt_input_ids: Tensor,
        src_attention_mask: Tensor | None = None,
        tgt_attention_mask: Tensor | None = None,
        past_key_values: None = None,
        use_cache: Literal[False] = False,
        encoder_output: Tensor | None = None,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        src_input_ids: Tensor,
        tgt_input_ids: Tensor,
        src_attention_mask: Tensor | None = None,
        tgt_attention_mask: Tensor | None = None,
        past_key_values: Sequence[LayerCache] | None = None,
        *,
        use_cache: Literal[True],
        encoder_output: Tensor | None = None,
    ) -> tuple[Tensor, list[LayerCache]]: ...

    def forward(
        self,
        src_input_ids: Tensor,
        tgt_input_ids: Tensor,
        src_attention_mask: Tensor | None = None,
        tgt_attention_mask: Tensor | None = None,
        past_key_values: Sequence[LayerCache] | None = None,
        use_cache: bool = False,
        encoder_output: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, list[LayerCache]]:
        """Logits of the token after each target token (teacher forcing, or one step with a cache).

        Args:
            src_input_ids: [B, S] int64. Not encoded again when the cache is filled.
            tgt_input_ids: [B, T] int64; with a filled cache only the tokens after the cached ones.
            src_attention_mask: [B, S], true or 1 on real tokens; default: what is not `pad_token_id`.
            tgt_attention_mask: [B, T], or [B, P + T] after P cached tokens; default: all are real. Padding on the
                right needs none: no token attends to later ones.
            past_key_values: the cache that the call before returned.
            use_cache: return the cache too.
            encoder_output: [B, S, d_model], what `encoder` made of this source; default: it is called.

        Returns:
            logits [B, T, V] float32; with `use_cache`, (logits, cache).

        Raises:
            CacheError: a cache came without `use_cache=True`, or does not fit.
            LingoLiteError: a length or a shape does not fit, with its value.
        """
        mask = self._source_mask(src_input_ids, src_attention_mask)
        is_started = past_key_values is not None and any(len(layer.cross_attention) for layer in past_key_values)
        if encoder_output is None and not is_started:
            encoder_output = self.encoder(src_input_ids, mask)
        logits, updated = self.decoder(
            tgt_input_ids,
            encoder_output,
            mask,
            tgt_attention_mask=tgt_attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        return (logits, updated) if use_cache else logits

    def compute_loss(
        self,
        src_input_ids: Tensor,
        tgt_input_ids: Tensor,
        src_attention_mask: Tensor | None = None,
        tgt_attention_mask: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """The mean cross-entropy of each target token after the first, given those before it.

        Args:
            src_input_ids: [B, S] int64.
            tgt_input_ids: [B, T] int64, from the start token to the end token, then padding; T at least 2.
            src_attention_mask: as of `forward`.
            tgt_attention_mask: [B, T]; what it leaves out does not count, nor does `pad_token_id`.
            label_smoothing: share of the target's probability that is spread over the vocabulary, 0 to 1.

        Returns:
            a scalar, in nats a token; NaN when no token counts.
        """
        if tgt_input_ids.dim() != 2 or tgt_input_ids.size(1) < 2:
            raise LingoLiteError(
                f"target ids have shape {tuple(tgt_input_ids.shape)}",
                hint="pass [batch, length] with at least two tokens: the start token and one to predict",
            )
        before = None if tgt_attention_mask is None else tgt_attention_mask[:, :-1]
        logits = self(src_input_ids, tgt_input_ids[:, :-1], src_attention_mask, before)
        labels, pad = tgt_input_ids[:, 1:], self.config.pad_token_id
        if tgt_attention_mask is not None:
            labels = labels.masked_fill(~tgt_attention_mask[:, 1:].bool(), pad)
        return F.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=pad, label_smoothing=label_smoothing
        )

    def count_parameters(self) -> dict[str, int]:
        """Numbers of weights, quantized ones included: `total`, `encoder`, `decoder`, and `shared_embeddings`, which
        encoder and decoder both have and `total` counts once."""
        counts = {name: math.prod(shape) for name, shape in tensor_shapes(self.config).items()}
        is_shared = self.config.tie_embeddings in (True, "embeddings")
        shared = self.config.vocab_size * self.config.d_model if is_shared else 0
        of_encoder = sum(count for name, count in counts.items() if name.startswith("encoder."))
        total = sum(counts.values())
        return {
            "encoder": of_encoder,
            "decoder": total - of_encoder + shared,
            "shared_embeddings": shared,
            "total": total,
        }

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a model of this shape; what a checkpoint has as `config`."""
        return self.config.to_dict()

    def generate(
        self,
        src_input_ids: Tensor,
        src_attention_mask: Tensor | None = None,
        max_length: int = 128,
        *,
        sos_token_id: int = LINGOLITE.ids.start,
        eos_token_id: int = LINGOLITE.ids.end,
    ) -> Tensor:
        """Greedy search that reads the whole prefix again at each step: slow, simple, and the reference.

        Args:
            src_input_ids: [B, S] int64.
            src_attention_mask: [B, S], true or 1 on real tokens; default: what is not `pad_token_id`.
            max_length: most ids a row, the start token included.
            sos_token_id: the first token that the decoder reads.
            eos_token_id: the token that ends a row.

        Returns:
            [B, at most max_length] int64: the start token, the tokens, the end token if it was reached, then padding.
        """
        with self._inference():
            search = _Greedy(self, src_input_ids, max_length, start=sos_token_id, end=eos_token_id)
            mask = self._source_mask(src_input_ids, src_attention_mask)
            encoder_output = self.encoder(src_input_ids, mask)
            while not search.is_done:
                logits, _ = self.decoder(search.ids, encoder_output, mask)
                search.take(logits[:, -1])
            return search.ids

    def generate_with_cache(
        self,
        src_input_ids: Tensor,
        src_attention_mask: Tensor | None = None,
        max_length: int = 128,
        *,
        sos_token_id: int = LINGOLITE.ids.start,
        eos_token_id: int = LINGOLITE.ids.end,
    ) -> Tensor:
        """Greedy search with a KV cache: one token a step. Arguments and result are those of `generate`."""
        with self._inference():
            search = _Greedy(self, src_input_ids, max_length, start=sos_token_id, end=eos_token_id)
            mask = self._source_mask(src_input_ids, src_attention_mask)
            encoder_output, caches = self.encoder(src_input_ids, mask), None
            while not search.is_done:
                logits, caches = self.decoder(
                    search.ids[:, -1:], encoder_output, mask, past_key_values=caches, use_cache=True
                )
                search.take(logits[:, -1])
            return search.ids

    def generate_beam(
        self,
        src_input_ids: Tensor,
        src_attention_mask: Tensor | None = None,
        max_length: int = 128,
        *,
        num_beams: int = 4,
        length_penalty: float = 1.0,
        sos_token_id: int = LINGOLITE.ids.start,
        eos_token_id: int = LINGOLITE.ids.end,
    ) -> Tensor:
        """Beam search with a KV cache: the search of `lingolite translate --beam-size`.

        Args:
            src_input_ids: [B, S] int64.
            src_attention_mask: [B, S], true or 1 on real tokens; default: what is not `pad_token_id`.
            max_length: most ids a row, the start token included; at least 2.
            num_beams: hypotheses kept at each step.
            length_penalty: α of GNMT's ((5+n)/6)^α; see `DecodingOptions`.
            sos_token_id: the first token that the decoder reads.
            eos_token_id: the token that ends a row.

        Returns:
            The best hypothesis of each row, [B, at most max_length] int64, as `generate` returns it.
        """
        _check_lengths(self, src_input_ids, max_length, least=2)
        options = convert(
            {"beam_size": num_beams, "length_penalty": length_penalty, "max_length": max_length - 1},
            DecodingOptions,
            where="generate_beam",
        )
        mask = self._source_mask(src_input_ids, src_attention_mask)
        ids = DecodingIds(pad=self.config.pad_token_id, start=sos_token_id, end=eos_token_id)
        with self._inference():
            found = search(
                SteppingModel(self), src_input_ids.cpu().numpy(), mask.bool().cpu().numpy(), ids=ids, options=options
            )
        rows = [[sos_token_id, *best.tokens] for (best, *_) in found]
        made = src_input_ids.new_full((len(rows), max(map(len, rows))), self.config.pad_token_id)
        for row, tokens in zip(made, rows, strict=True):
            row[: len(tokens)] = torch.tensor(tokens)
        return made

    def _source_mask(self, src_input_ids: Tensor, src_attention_mask: Tensor | None) -> Tensor:
        """[B, S], true on real tokens: the mask that was passed, or what is not the pad id."""
        return src_input_ids != self.config.pad_token_id if src_attention_mask is None else src_attention_mask

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """No gradients and no dropout, whatever mode the model is in."""
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.train(was_training)


class _Greedy:
    """The ids found so far, and which rows have ended."""

    def __init__(
        self, model: MobileTranslationModel, src_input_ids: Tensor, max_length: int, *, start: int, end: int
    ) -> None:
        _check_lengths(model, src_input_ids, max_length)
        self.max_length = max_length
        self._end, self._pad = end, model.config.pad_token_id
        self.ids = src_input_ids.new_full((src_input_ids.size(0), 1), start)
        self._ended = torch.zeros_like(self.ids[:, 0], dtype=torch.bool)

    @property
    def is_done(self) -> bool:
        return self.ids.size(1) >= self.max_length or bool(self._ended.all())

    def take(self, logits: Tensor) -> None:
        """Append the best token of each row, [B, V]; a row that has ended gets the pad id."""
        # Rows that have ended go on in the batch, and what they would say is thrown away.
        token = logits.argmax(dim=-1).masked_fill(self._ended, self._pad)
        self._ended = self._ended | (token == self._end)
        self.ids = torch.cat((self.ids, token[:, None]), dim=1)


def _check_lengths(model: MobileTranslationModel, src_input_ids: Tensor, max_length: int, *, least: int = 1) -> None:
    """Refuse sources and a `max_length` that reach beyond the model's positions."""
    positions = model.config.max_seq_len
    check_length(src_input_ids, 0, positions, what="source")
    if not least <= max_length <= positions:
        raise LingoLiteError(
            f"max_length {max_length} is not between {least} and the model's max_seq_len {positions}",
            hint="choose another max_length",
        )
