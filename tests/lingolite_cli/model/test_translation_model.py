"""Greedy search, independence of batch-mates, training, and refusals of what does not fit."""

from __future__ import annotations

import msgspec
import pytest
import torch

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import MobileTranslationModel


def _swap_tokens(model: MobileTranslationModel, one: int, other: int) -> None:
    """Rename two tokens: where the model wrote `one` it writes `other`."""
    with torch.no_grad():
        matrix = model.encoder.embedding.weight
        matrix[[one, other]] = matrix[[other, one]]


def test_defaults_are_those_of_the_configuration():
    with torch.device("meta"):
        assert MobileTranslationModel().config == Architecture()
        assert MobileTranslationModel(vocab_size=50).config == Architecture(vocab_size=50)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(LingoLiteError, match="n_heads 7 does not divide d_model 24"):
        MobileTranslationModel(50, 24, n_heads=7)


def test_one_seed_gives_one_model_with_untied_embeddings_too():
    """Twenty models that live at once, because what depends on addresses in memory comes out alike now and then."""
    models = []
    for _ in range(20):
        torch.manual_seed(3)
        models.append(MobileTranslationModel(5, 8, n_heads=2, n_kv_heads=1, d_ff=4, tie_embeddings=False))
    first = models[0].state_dict()
    assert not torch.equal(first["encoder.embedding.weight"], first["decoder.embedding.weight"])
    for model in models[1:]:
        state = model.state_dict()
        assert all(torch.equal(value, first[name]) for name, value in state.items())


def test_rows_end_at_their_own_time_with_and_without_a_cache(small_model, batch):
    endless = small_model.generate(*batch, max_length=25)
    assert endless.shape == (3, 25)
    ending = int(endless[0, 3])
    _swap_tokens(small_model, ending, 2)
    plain = small_model.generate(*batch, max_length=25)
    assert torch.equal(plain, small_model.generate_with_cache(*batch, max_length=25))
    for found, row in zip(plain, endless, strict=True):
        end = next((at for at, token in enumerate(row) if token == ending), 25)
        want = [*row[:end], *[2, *[0] * 25][: 25 - end]]
        assert found.tolist() == [int(token) for token in want]


def test_search_stops_when_every_row_has_ended(small_model, batch):
    ending = int(small_model.generate(batch[0][:1], max_length=4)[0, 3])
    _swap_tokens(small_model, ending, 2)
    ids = small_model.generate_with_cache(batch[0][:1], max_length=25)
    assert ids.size(1) <= 4
    assert ids[0, -1] == 2


def test_a_row_does_not_depend_on_its_batch_mates(small_model, batch):
    source_ids, mask = batch
    target = torch.randint(4, 97, (3, 5), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = small_model(source_ids, target, mask)
        for row in range(3):
            length = int(mask[row].sum())
            alone = small_model(source_ids[row : row + 1, :length], target[row : row + 1])
            torch.testing.assert_close(together[row], alone[0], atol=2e-5, rtol=0)


def test_a_source_that_is_all_padding_gives_finite_logits(small_model):
    logits = small_model(torch.zeros(2, 4, dtype=torch.int64), torch.ones(2, 3, dtype=torch.int64))
    assert torch.isfinite(logits).all()


def test_generation_has_no_dropout_and_restores_the_mode(batch):
    torch.manual_seed(3)
    model = MobileTranslationModel(97, 24, n_heads=6, d_ff=40, dropout=0.5, max_seq_len=32).train()
    first = model.generate_with_cache(*batch, max_length=12)
    assert torch.equal(first, model.generate_with_cache(*batch, max_length=12))
    assert model.training
    assert model.encoder.dropout.training


def test_every_parameter_gets_a_gradient_and_the_tied_one_stays_tied(batch):
    model = MobileTranslationModel(97, 24, n_heads=6, d_ff=40, max_seq_len=32)
    target = torch.randint(4, 97, (3, 5))
    model(batch[0], target).logsumexp(dim=-1).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert model.decoder.lm_head.weight is model.encoder.embedding.weight


def test_untied_embeddings_are_three_matrices():
    model = MobileTranslationModel(97, 24, n_heads=6, tie_embeddings=False)
    matrices = {id(m.weight) for m in (model.encoder.embedding, model.decoder.embedding, model.decoder.lm_head)}
    assert len(matrices) == 3


def test_lengths_beyond_the_model_are_refused_with_their_values(small_model, batch):
    long = torch.full((2, 33), 9)
    with pytest.raises(LingoLiteError, match=r"source length 33 .* max_seq_len 32"):
        small_model(long, torch.ones(2, 1, dtype=torch.int64))
    with pytest.raises(LingoLiteError, match=r"target length 33 .* max_seq_len 32"):
        small_model(long[:, :5], long)
    with pytest.raises(LingoLiteError, match=r"max_length 33 .* max_seq_len 32"):
        small_model.generate(*batch, max_length=33)
    with pytest.raises(LingoLiteError, match="max_length 0"):
        small_model.generate_with_cache(*batch, max_length=0)
    with torch.no_grad():
        _, cache = small_model(long[:, :5], long[:, :32], use_cache=True)
    with pytest.raises(LingoLiteError, match=r"target length 33 .* max_seq_len 32"):
        small_model(long[:, :5], long[:, :1], past_key_values=cache, use_cache=True)


def test_shapes_that_do_not_fit_are_refused_with_their_values(small_model, batch):
    source_ids, mask = batch
    with pytest.raises(LingoLiteError, match=r"src_attention_mask has shape \(3, 6\), the source \(3, 7\)"):
        small_model(source_ids, source_ids, mask[:, :6])
    with pytest.raises(LingoLiteError, match=r"target ids have shape \(3, 0\)"):
        small_model(source_ids, source_ids[:, :0])
    with pytest.raises(LingoLiteError, match=r"source ids have shape \(7,\)"):
        small_model.generate(source_ids[0])


def test_a_model_is_made_from_its_configuration():
    config = Architecture(vocab_size=31, d_model=24, n_heads=6, n_kv_heads=3, d_ff=40, pad_token_id=5)
    with torch.device("meta"):
        model = MobileTranslationModel.from_config(config)
    assert msgspec.structs.asdict(model.config) == msgspec.structs.asdict(config)


def test_a_target_mask_hides_padding_on_the_left(small_model, batch):
    source_ids, mask = batch
    target = torch.randint(4, 97, (3, 5), generator=torch.Generator().manual_seed(1))
    other = target.clone()
    other[:, :2] = 11
    real = torch.tensor([[0, 0, 1, 1, 1]]).repeat(3, 1)
    with torch.no_grad():
        one = small_model(source_ids, target, mask, real)
        assert torch.equal(one[:, 2:], small_model(source_ids, other, mask, real)[:, 2:])
        assert not torch.equal(one[:, 2:], small_model(source_ids, target, mask)[:, 2:])
        assert torch.isfinite(one).all()
        _, cache = small_model(source_ids, target[:, :3], mask, real[:, :3], use_cache=True)
        step, _ = small_model(source_ids, target[:, 3:4], mask, real[:, :4], cache, use_cache=True)
    torch.testing.assert_close(step[:, 0], one[:, 3], atol=2e-5, rtol=0)
    with pytest.raises(LingoLiteError, match=r"tgt_attention_mask has shape \(3, 4\), the target \(3, 5\)"):
        small_model(source_ids, target, mask, real[:, :4])


def test_an_encoder_output_that_is_passed_is_not_computed_again(small_model, batch):
    source_ids, mask = batch
    target = torch.ones(3, 2, dtype=torch.int64)
    with torch.no_grad():
        zeros = torch.zeros(3, 7, 24)
        encoded = small_model.encoder(source_ids, mask)
        assert torch.equal(
            small_model(source_ids, target, mask, encoder_output=encoded), small_model(*batch[:1], target)
        )
        assert not torch.equal(
            small_model(source_ids, target, mask, encoder_output=zeros), small_model(source_ids, target)
        )


def test_the_loss_is_the_mean_cross_entropy_of_what_counts(small_model, batch):
    source_ids, mask = batch
    target = torch.tensor([[1, 5, 9, 2], [1, 7, 2, 0], [1, 2, 0, 0]])
    with torch.no_grad():
        log_probabilities = small_model(source_ids, target[:, :3], mask).log_softmax(-1)
        expected = [-log_probabilities[row, at, target[row, at + 1]] for row in range(3) for at in range(3 - row)]
        smooth = [-log_probabilities[row, at].mean() for row in range(3) for at in range(3 - row)]
        loss = small_model.compute_loss(source_ids, target, mask)
        torch.testing.assert_close(loss, torch.stack(expected).mean())
        smoothed = small_model.compute_loss(source_ids, target, mask, label_smoothing=0.2)
        torch.testing.assert_close(smoothed, 0.8 * loss + 0.2 * torch.stack(smooth).mean())
        padded = target.masked_fill(target == 0, 33)
        torch.testing.assert_close(small_model.compute_loss(source_ids, padded, mask, (target != 0).long()), loss)
    with pytest.raises(LingoLiteError, match=r"target ids have shape \(3, 1\)"):
        small_model.compute_loss(source_ids, target[:, :1])


def test_parameters_are_counted_once_and_a_configuration_makes_the_same_shape():
    for tie in (True, False):
        model = MobileTranslationModel(97, 24, n_heads=6, d_ff=40, max_seq_len=32, tie_embeddings=tie)
        counts = model.count_parameters()
        assert counts["total"] == sum(parameter.numel() for parameter in model.parameters())
        assert counts["encoder"] == sum(parameter.numel() for parameter in model.encoder.parameters())
        assert counts["decoder"] == sum(parameter.numel() for parameter in model.decoder.parameters())
        assert counts["shared_embeddings"] == (97 * 24 if tie else 0)
        assert MobileTranslationModel(**model.get_config()).config == model.config


def test_one_beam_is_greedy_search_and_more_find_what_is_no_less_probable(small_model, batch):
    with torch.no_grad():  # flatter distributions, so that the most probable next token is not always the best
        small_model.decoder.final_norm.weight.mul_(0.1)
    greedy = small_model.generate(*batch, max_length=12)
    one = small_model.generate_beam(*batch, max_length=12, num_beams=1)
    assert torch.equal(one, greedy)

    def log_probability(ids: torch.Tensor) -> torch.Tensor:
        log_probabilities = small_model(batch[0], ids[:, :-1], batch[1]).log_softmax(-1)
        return log_probabilities.gather(2, ids[:, 1:, None])[..., 0].sum(dim=1)

    many = small_model.generate_beam(*batch, max_length=12, num_beams=5, length_penalty=0.0)
    assert many.shape == greedy.shape, "nothing ends here, so that lengths are the same"
    with torch.no_grad():
        assert (log_probability(many) >= log_probability(greedy) - 1e-4).all()
        assert (log_probability(many) > log_probability(greedy) + 1e-3).any()
    with pytest.raises(LingoLiteError, match="max_length 1 is not between 2"):
        small_model.generate_beam(*batch, max_length=1)
    with pytest.raises(LingoLiteError, match="beam_size"):
        small_model.generate_beam(*batch, num_beams=0, max_length=8)


def test_other_start_and_end_tokens_are_used(small_model, batch):
    ids = small_model.generate(*batch, max_length=6, sos_token_id=9)
    assert ids[:, 0].tolist() == [9, 9, 9]
    end = int(ids[0, 2])
    for search in (small_model.generate, small_model.generate_with_cache, small_model.generate_beam):
        options = {"num_beams": 1} if search == small_model.generate_beam else {}
        found = search(*batch, max_length=6, sos_token_id=9, eos_token_id=end, **options)
        assert (found[0, int((found[0] == end).nonzero()[0]) + 1 :] == 0).all()
