"""What LingoLite's users call, as they wrote it: each call stands here word by word, on a checkpoint of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import Outcome

from lingolite_cli import (
    MobileTranslationModel,
    apply_dynamic_quantization,
    apply_static_quantization,
    convert_qat_model,
    evaluate_model,
    export_full_model,
    load_bundle,
    prepare_model_for_qat,
    save_bundle,
)
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError

Command = Callable[..., Outcome]

src_input_ids = torch.tensor([[6, 4, 31, 40, 9, 2, 7, 5], [6, 4, 12, 2, 7, 5, 0, 0]])
src_attention_mask = (src_input_ids != 0).long()
tgt_input_ids = torch.tensor([[1, 40, 9, 2], [1, 33, 2, 0]])
tgt_attention_mask = (tgt_input_ids != 0).long()
calibration_data_loader = [
    {
        "src_input_ids": src_input_ids,
        "src_attention_mask": src_attention_mask,
        "tgt_input_ids": tgt_input_ids,
        "tgt_attention_mask": tgt_attention_mask,
    }
] * 2


@pytest.fixture(scope="module")
def model() -> MobileTranslationModel:
    torch.manual_seed(4)
    return MobileTranslationModel(
        vocab_size=97,
        d_model=32,
        n_encoder_layers=2,
        n_decoder_layers=1,
        n_heads=4,
        n_kv_heads=2,
        d_ff=48,
        max_seq_len=512,
        dropout=0.0,
        tie_embeddings=True,
        pad_token_id=0,
    ).eval()


@pytest.fixture
def here(model: MobileTranslationModel, small_tokenizer: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which commands run, as a training left it: no project."""
    (project / "lingolite.toml").unlink()
    content = {"model_state_dict": model.state_dict(), "config": model.get_config(), "step": 7}
    torch.save(content, project / "model_best.pt")
    (project / "tokenizer").mkdir()
    (project / "tokenizer" / "translation_tokenizer.model").write_bytes(small_tokenizer.read_bytes())
    (project / "test.en").write_text("the cat sat on a mat\na dog ran\nred house\n")
    (project / "test.da").write_text("katten sad på en måtte\nen hund løb\nrødt hus\n")
    monkeypatch.chdir(project)
    return project


def test_generation(model: MobileTranslationModel) -> None:
    plain = model.generate(src_input_ids=src_input_ids, max_length=16)
    cached = model.generate_with_cache(
        src_input_ids=src_input_ids, src_attention_mask=src_attention_mask, max_length=16
    )
    assert torch.equal(plain, cached)
    assert plain[:, 0].tolist() == [1, 1]
    beams = model.generate_beam(
        src_input_ids=src_input_ids,
        src_attention_mask=src_attention_mask,
        max_length=16,
        num_beams=4,
        length_penalty=1.0,
        sos_token_id=1,
        eos_token_id=2,
    )
    assert beams.shape[0] == 2


def test_forward_with_every_argument(model: MobileTranslationModel) -> None:
    with torch.no_grad():
        logits = model(src_input_ids, tgt_input_ids, src_attention_mask, tgt_attention_mask)
        first, past_key_values = model(
            src_input_ids,
            tgt_input_ids[:, :2],
            src_attention_mask,
            tgt_attention_mask[:, :2],
            past_key_values=None,
            use_cache=True,
            encoder_output=None,
        )
        encoder_output = model.encoder(src_input_ids, src_attention_mask)
        rest, _ = model(
            src_input_ids=src_input_ids,
            tgt_input_ids=tgt_input_ids[:, 2:],
            src_attention_mask=src_attention_mask,
            tgt_attention_mask=tgt_attention_mask,
            past_key_values=past_key_values,
            use_cache=True,
            encoder_output=encoder_output,
        )
    torch.testing.assert_close(torch.cat((first, rest), dim=1)[0], logits[0], atol=2e-5, rtol=0)


def test_loss_counts_and_configuration(model: MobileTranslationModel) -> None:
    loss = model.compute_loss(src_input_ids, tgt_input_ids, src_attention_mask, tgt_attention_mask, label_smoothing=0.0)
    assert loss.ndim == 0
    assert loss.item() > 0
    assert model.count_parameters()["total"] == sum(parameter.numel() for parameter in model.parameters())
    assert model.get_config()["vocab_size"] == 97


def test_evaluation_of_a_checkpoint(here: Path) -> None:
    result = evaluate_model(
        model_path="model_best.pt",
        tokenizer_path="tokenizer/",
        source_file="test.en",
        target_file="test.da",
        batch_size=32,
        use_cache=True,
    )
    assert {"bleu", "chrf", "bleu_1", "bleu_2", "bleu_3", "bleu_4"} <= result.keys()
    assert result["num_samples"] == 3
    assert result["backend"] == "cached"
    assert (
        evaluate_model("model_best.pt", source_file="test.en", target_file="test.da", use_cache=False)["backend"]
        == "eager"
    ), "the tokenizer beside the checkpoint is found"
    with pytest.raises(LingoLiteError, match="contradict"):
        evaluate_model("model_best.pt", source_file="test.en", target_file="test.da", use_cache=False, backend="cached")


def test_export_of_a_checkpoint_gives_the_paths_of_its_parts(here: Path) -> None:
    exported_paths = export_full_model(
        model_path="model_best.pt", output_dir="exported", max_seq_len=512, optimize=True
    )
    for name in ("encoder", "decoder", "encoder_optimized", "decoder_optimized"):
        assert exported_paths[name] == Path("exported") / f"{name}.onnx"
        assert exported_paths[name].is_file()
    plain = export_full_model(model_path=Path("model_best.pt"), output_dir=Path("plain"), optimize=False)
    with pytest.raises(LingoLiteError, match="has no file `encoder_optimized`"):
        plain["encoder_optimized"]


def test_dynamic_quantization(model: MobileTranslationModel, small_tokenizer: Path, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    int8 = apply_dynamic_quantization(model, dtype=torch.qint8)
    assert int8.encoder.embedding.weight.dtype == torch.int8
    half = apply_dynamic_quantization(model, dtype=torch.float16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float16}
    with torch.no_grad():
        logits = model(src_input_ids, tgt_input_ids)
        rounded = half(src_input_ids, tgt_input_ids)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, logits, atol=2e-2, rtol=0)
    assert not torch.equal(rounded, logits)
    assert half.generate_with_cache(src_input_ids=src_input_ids, max_length=8).shape[0] == 2
    assert half.decoder.lm_head.weight is half.encoder.embedding.weight
    saved = save_bundle(half, tmp_path / "half", tokenizer=small_tokenizer)
    assert saved.manifest.format == "bundle-fp16"
    with torch.no_grad():
        assert torch.equal(load_bundle(tmp_path / "half")(src_input_ids, tgt_input_ids), rounded)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(LingoLiteError, match=r"dynamic quantization to torch\.bfloat16 is not supported"):
        apply_dynamic_quantization(model, dtype=torch.bfloat16)


def test_weights_beyond_float16_are_refused(model: MobileTranslationModel) -> None:
    large = MobileTranslationModel(**model.get_config())
    with torch.no_grad():
        large.encoder.final_norm.weight[0] = 70000
    with pytest.raises(LingoLiteError, match=r"`encoder.final_norm.weight` does not fit into float16: .* 70000"):
        apply_dynamic_quantization(large, dtype=torch.float16)


@pytest.mark.parametrize("qconfig", ["fbgemm", "qnnpack"])
def test_static_quantization(model: MobileTranslationModel, qconfig: str) -> None:
    quantized = apply_static_quantization(model, calibration_data_loader, qconfig=qconfig)
    scales = quantized.encoder.layers[0].ffn.gate_proj.weight_scale
    assert len(scales.unique()) == 1 if qconfig == "qnnpack" else len(scales.unique()) > 1
    with torch.no_grad():
        logits = model(src_input_ids, tgt_input_ids)
        error = (quantized(src_input_ids, tgt_input_ids) - logits).abs().mean() / logits.std()
    assert error < 0.2


def test_padding_does_not_calibrate_and_wrong_data_is_refused(model: MobileTranslationModel) -> None:
    padded = [
        {
            name: torch.nn.functional.pad(tensor, (0, 5), value=0 if "mask" in name else 50)
            for name, tensor in batch.items()
        }
        for batch in calibration_data_loader
    ]
    one, other = (apply_static_quantization(model, data) for data in (calibration_data_loader, padded))
    for (name, scale), (_, same) in zip(one.named_buffers(), other.named_buffers(), strict=True):
        if name.endswith("input_scale"):
            torch.testing.assert_close(scale, same, atol=0, rtol=1e-3)
    for data, message in (
        ([], "there is no batch"),
        ([{"input_ids": src_input_ids}], "batch 1 of the calibration data has no src_input_ids and no tgt_input_ids"),
        (["a sentence"], "has a str where a batch should be"),
    ):
        with pytest.raises(LingoLiteError, match=message):
            apply_static_quantization(model, data)
    with pytest.raises(LingoLiteError, match="unknown qconfig `x86`"):
        apply_static_quantization(model, calibration_data_loader, qconfig="x86")


def test_a_training_loop_of_ones_own_on_a_prepared_model(model: MobileTranslationModel) -> None:
    qat_model = prepare_model_for_qat(model, qconfig="fbgemm")
    optimizer = torch.optim.SGD(qat_model.parameters(), lr=0.5)
    losses = []
    for _ in range(4):
        loss = qat_model.compute_loss(
            src_input_ids=src_input_ids,
            tgt_input_ids=tgt_input_ids,
            src_attention_mask=src_attention_mask,
            tgt_attention_mask=tgt_attention_mask,
            label_smoothing=0.1,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert convert_qat_model(qat_model).quantization is not None


def test_the_command_evaluates_a_checkpoint(here: Path, lingolite: Command) -> None:
    arguments = (
        "eval --model model_best.pt --tokenizer tokenizer/ --source test.en --target test.da --output results.json "
        "--batch-size 64 --max-length 128 --max-samples 1000 --no-cache --save-translations translations.jsonl"
    ).split()
    outcome = lingolite(*arguments)
    assert outcome.code == 0
    assert "model_best.pt is a checkpoint" in outcome.err
    assert json.loads((here / "results.json").read_text())["num_samples"] == 3
    assert len((here / "translations.jsonl").read_text().splitlines()) == 3
    (bundle,) = (here / ".lingolite" / "cache" / "imported").glob("[0-9a-f]*")
    weights = Artifact.open(bundle).weights_path
    weights.chmod(0o644)
    weights.write_bytes(b"")
    again = lingolite(*arguments)
    assert again.code == 0, "a damaged bundle is imported again"
    assert Artifact.open(bundle).manifest.format == "bundle"


def test_checkpoints_without_a_tokenizer_and_artifacts_with_one_are_refused(
    here: Path, tiny: Artifact, lingolite: Command
) -> None:
    (here / "tokenizer").rename(here / "elsewhere")
    before = sorted(here.iterdir())
    missing = lingolite("translate", "the cat", "--model", "model_best.pt")
    assert missing.code == 2
    assert "a checkpoint needs its tokenizer" in missing.err
    assert "--tokenizer PATH" in missing.err
    both = lingolite("translate", "the cat", "--model", str(tiny.path), "--tokenizer", "elsewhere")
    assert both.code == 2
    assert "artifacts have a tokenizer of their own" in both.err
    alone = lingolite("translate", "the cat", "--tokenizer", "elsewhere")
    assert alone.code == 2
    assert "--tokenizer without --model" in alone.err
    assert sorted(here.iterdir()) == before
