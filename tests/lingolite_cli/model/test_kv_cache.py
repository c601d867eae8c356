"""A cache gives the same numbers as none, and every misuse says what to do."""

from __future__ import annotations

import pytest
import torch

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import CacheError, GroupedQueryAttention, KVCache
from lingolite_cli.model.layers import RotaryPositions


def _target(batch: int = 3, length: int = 6) -> torch.Tensor:
    return torch.randint(4, 97, (batch, length), generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("chunks", [[1, 1, 1, 1, 1, 1], [2, 1, 3], [6]])
def test_steps_with_a_cache_give_the_logits_of_one_pass(small_model, batch, chunks):
    source_ids, mask = batch
    target = _target()
    cache, found = None, []
    with torch.no_grad():
        for chunk in target.split(chunks, dim=1):
            logits, cache = small_model(source_ids, chunk, mask, past_key_values=cache, use_cache=True)
            found.append(logits)
        whole = small_model(source_ids, target, mask)
    torch.testing.assert_close(torch.cat(found, dim=1), whole, atol=2e-5, rtol=0)


def test_attention_returns_the_updated_cache_and_leaves_the_old_one(small_model):
    attention = GroupedQueryAttention(24, 6, n_kv_heads=2, rotary=RotaryPositions(4, 16))
    first, cache = attention(torch.randn(2, 3, 24), kv_cache=KVCache(), use_cache=True)
    second, longer = attention(torch.randn(2, 1, 24), kv_cache=cache, use_cache=True)
    assert (len(cache), len(longer)) == (3, 4)
    assert longer.key.shape == longer.value.shape == (2, 2, 4, 4)
    assert first.shape == (2, 3, 24)
    assert second.shape == (2, 1, 24)


def test_the_decoder_returns_caches_only_when_it_was_told_to(small_model, batch):
    source_ids, mask = batch
    with torch.no_grad():
        encoder_output = small_model.encoder(source_ids, mask)
        logits, caches = small_model.decoder(_target(), encoder_output, mask)
        same, updated = small_model.decoder(_target(), encoder_output, mask, use_cache=True)
    assert caches is None
    assert len(updated) == 3
    assert updated[2].self_attention.key.shape == (3, 2, 6, 4)
    assert updated[2].cross_attention.key.shape == (3, 2, 7, 4)
    assert torch.equal(logits, same)


def test_a_cache_without_use_cache_is_refused(small_model, batch):
    source_ids, mask = batch
    with torch.no_grad():
        _, cache = small_model(source_ids, _target(), mask, use_cache=True)
        encoder_output = small_model.encoder(source_ids, mask)
    attention = small_model.decoder.layers[0].self_attn
    calls = [
        lambda: small_model(source_ids, _target(), mask, past_key_values=cache),
        lambda: small_model.decoder(_target(), encoder_output, mask, past_key_values=cache),
        lambda: attention(torch.randn(3, 1, 24), kv_cache=cache[0].self_attention),
        lambda: attention(torch.randn(3, 1, 24), kv_cache=KVCache()),
    ]
    for call in calls:
        with pytest.raises(CacheError, match="use_cache=False") as raised:
            call()
        assert "use_cache=True" in raised.value.hint


def test_an_empty_cache_says_how_to_fill_it():
    for name in ("key", "value"):
        with pytest.raises(CacheError, match="no call has filled it") as raised:
            getattr(KVCache(), name)
        assert "use_cache=True" in raised.value.hint
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, LingoLiteError)


def test_a_cache_of_another_batch_or_model_is_refused(small_model, batch):
    source_ids, mask = batch
    with torch.no_grad():
        _, cache = small_model(source_ids, _target(), mask, use_cache=True)
    with pytest.raises(CacheError, match="batch 3, the input 2"):
        small_model(source_ids[:2], _target(batch=2, length=1), mask[:2], past_key_values=cache, use_cache=True)
    with pytest.raises(CacheError, match=r"2 layer caches .* decoder of 3 layers"):
        small_model(source_ids, _target(length=1), mask, past_key_values=cache[:2], use_cache=True)


def test_keys_and_values_of_different_shapes_are_refused():
    with pytest.raises(CacheError, match=r"\(1, 2, 3, 4\) .* \(1, 2, 5, 4\)"):
        KVCache(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 5, 4))


def test_cross_attention_without_a_source_is_refused(small_model):
    with pytest.raises(CacheError, match="neither an encoder output nor a filled cache"):
        small_model.decoder(_target(), None)
