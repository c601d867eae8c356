"""The translation model: encoder, decoder and greedy search in one module.

Beams, batching and everything that text needs are in `lingolite_cli.decoding`; the search here is what Python
users get from a model alone. Shapes: B batch, S source length, T target length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, overload

import msgspec
import torch
from torch import Tensor, nn

from lingolite_cli.architecture.architecture import ModelConfig
from lingolite_cli.artifact import Quantization
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.cache import CacheError, LayerCache
from lingolite_cli.model.transformer import TransformerDecoder, TransformerEncoder, check_length
from lingolite_cli.tokenization.description import LINGOLITE, SpecialIds


class MobileTranslationModel(nn.Module):
    """A compact encoder-decoder Transformer for translation.

    Args: the fields of `ModelConfig`, with its defaults.

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
        tie_embeddings: bool = True,
        pad_token_id: int = LINGOLITE.ids.pad,
    ) -> None:
        super().__init__()
        try:
            self.config = ModelConfig(
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
            )
        except ValueError as error:
            raise LingoLiteError(
                str(error), hint="see the presets in lingolite_cli.architecture.architecture"
            ) from None
        self.encoder = TransformerEncoder(self.config)
        shared = self.encoder.embedding if tie_embeddings else nn.Embedding(vocab_size, d_model)
        self.decoder = TransformerDecoder(self.config, shared)
        self.tie_weights()
        # A dict keeps its order, which a set does not: the same seed must give the same weights in every process.
        for embedding in dict.fromkeys((self.encoder.embedding, shared)):
            nn.init.normal_(embedding.weight, std=d_model**-0.5)  # variance 1 after the scaling by sqrt(d_model)

    @classmethod
    def from_config(cls, config: ModelConfig) -> MobileTranslationModel:
        """A model of this shape with fresh random weights."""
        return cls(**msgspec.structs.asdict(config))

    def tie_weights(self) -> None:
        """Make the output projection the decoder's embedding matrix, where the configuration says so."""
        if self.config.tie_embeddings:
            self.decoder.tie_projection()

    @overload
    def forward(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        source_mask: Tensor | None = None,
        *,
        kv_cache: None = None,
        past_key_values: None = None,
        use_cache: Literal[False] = False,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        source_mask: Tensor | None = None,
        *,
        kv_cache: Sequence[LayerCache] | None = None,
        past_key_values: Sequence[LayerCache] | None = None,
        use_cache: Literal[True],
    ) -> tuple[Tensor, list[LayerCache]]: ...

    def forward(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        source_mask: Tensor | None = None,
        *,
        kv_cache: Sequence[LayerCache] | None = None,
        past_key_values: Sequence[LayerCache] | None = None,
        use_cache: bool = False,
    ) -> Tensor | tuple[Tensor, list[LayerCache]]:
        """Logits of the token after each target token (teacher forcing, or one step with a cache).

        Args:
            source_ids: [B, S] int64. Not encoded again when the cache is filled.
            target_ids: [B, T] int64; with a filled cache only the tokens after the cached ones.
            source_mask: [B, S], true or 1 on real tokens; by default what is not `pad_token_id`.
            kv_cache: the cache that the call before returned.
            past_key_values: another name of `kv_cache`.
            use_cache: return the cache too.

        Returns:
            logits [B, T, V] float32; with `use_cache`, (logits, cache).

        Raises:
            CacheError: a cache came without `use_cache=True`, or under both names.
            LingoLiteError: a length or a shape does not fit, with its value.
        """
        caches = _one_cache(kv_cache, past_key_values)
        mask = self.source_mask(source_ids) if source_mask is None else source_mask
        is_started = caches is not None and any(len(layer.cross_attention) for layer in caches)
        encoder_output = None if is_started else self.encoder(source_ids, mask)
        logits, updated = self.decoder(target_ids, encoder_output, mask, kv_caches=caches, use_cache=use_cache)
        return (logits, updated) if use_cache else logits

    def source_mask(self, source_ids: Tensor) -> Tensor:
        """[B, S] bool, true where `source_ids` is not the pad id."""
        return source_ids != self.config.pad_token_id

    def generate(
        self,
        source_ids: Tensor,
        source_mask: Tensor | None = None,
        *,
        max_length: int = 128,
        ids: SpecialIds = LINGOLITE.ids,
    ) -> Tensor:
        """Greedy search that reads the whole prefix again at each step: slow, simple, and the reference.

        Args:
            source_ids: [B, S] int64.
            source_mask: [B, S], true or 1 on real tokens; by default what is not `pad_token_id`.
            max_length: most ids a row, the start token included.
            ids: of the model's tokenizer.

        Returns:
            [B, at most max_length] int64: the start token, the tokens, the end token if it was reached, then padding.
        """
        with self._inference():
            search = _Greedy(self, source_ids, max_length, ids=ids)
            mask = self.source_mask(source_ids) if source_mask is None else source_mask
            encoder_output = self.encoder(source_ids, mask)
            while not search.is_done:
                logits, _ = self.decoder(search.ids, encoder_output, mask)
                search.take(logits[:, -1])
            return search.ids

    def generate_with_cache(
        self,
        source_ids: Tensor,
        source_mask: Tensor | None = None,
        *,
        max_length: int = 128,
        ids: SpecialIds = LINGOLITE.ids,
    ) -> Tensor:
        """Greedy search with a KV cache: one token a step. Arguments and result are those of `generate`."""
        with self._inference():
            search = _Greedy(self, source_ids, max_length, ids=ids)
            mask = self.source_mask(source_ids) if source_mask is None else source_mask
            encoder_output, caches = self.encoder(source_ids, mask), None
            while not search.is_done:
                logits, caches = self.decoder(
                    search.ids[:, -1:], encoder_output, mask, kv_caches=caches, use_cache=True
                )
                search.take(logits[:, -1])
            return search.ids

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

    def __init__(self, model: MobileTranslationModel, source_ids: Tensor, max_length: int, *, ids: SpecialIds) -> None:
        check_length(source_ids, 0, model.config.max_seq_len, what="source")
        positions = model.config.max_seq_len
        if not 1 <= max_length <= positions:
            raise LingoLiteError(
                f"max_length {max_length} is not between 1 and the model's max_seq_len {positions}",
                hint="choose another max_length",
            )
        self.max_length = max_length
        self._special = ids
        self.ids = source_ids.new_full((source_ids.size(0), 1), ids.start)
        self._ended = torch.zeros_like(self.ids[:, 0], dtype=torch.bool)

    @property
    def is_done(self) -> bool:
        return self.ids.size(1) >= self.max_length or bool(self._ended.all())

    def take(self, logits: Tensor) -> None:
        """Append the best token of each row, [B, V]; a row that has ended gets the pad id."""
        token = logits.argmax(dim=-1).masked_fill(self._ended, self._special.pad)
        self._ended = self._ended | (token == self._special.end)
        self.ids = torch.cat((self.ids, token[:, None]), dim=1)


def _one_cache(
    kv_cache: Sequence[LayerCache] | None, past_key_values: Sequence[LayerCache] | None
) -> Sequence[LayerCache] | None:
    if kv_cache is not None and past_key_values is not None:
        raise CacheError(
            "a cache was passed both as kv_cache and as past_key_values",
            hint="they are two names for one thing; pass one",
        )
    return kv_cache if kv_cache is not None else past_key_values
