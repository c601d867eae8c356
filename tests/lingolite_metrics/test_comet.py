"""COMET by a checkpoint of a few thousand random weights: against the package's own loader and prediction.

The package needs versions of others that the rest of the tests does not run with: in an environment of its own,
`pip install -e ".[comet,test]"` and `pytest -n 0 tests/lingolite_metrics/test_comet.py`.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from lingolite_metrics.options import CometOptions

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins.registry import load_registry

HAS_COMET = importlib.util.find_spec("comet") is not None
needs_comet = pytest.mark.skipif(not HAS_COMET, reason="unbabel-comet is not installed")
SOURCES = ["Open the file", "A cat", "The quick brown fox jumps over the lazy dog", "No"]
REFERENCES = ["Åbn filen", "En kat", "Den hurtige brune ræv springer over den dovne hund", "Nej"]
HYPOTHESES = ["Åbn fil", "En kat", "Den hurtige ræv over hund", ""]

pytestmark = pytest.mark.filterwarnings("ignore")  # of the package's own imports


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import pytorch_lightning
    import torch
    import yaml
    from comet.models import RegressionMetric
    from transformers import XLMRobertaConfig

    root = tmp_path_factory.mktemp("comet") / "tiny-da"
    tokenizer = character_tokenizer()
    tokenizer.save_pretrained(root / "encoder")
    XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=90,
    ).save_pretrained(root / "encoder")
    torch.manual_seed(3)
    settings = {"pretrained_model": str(root / "encoder"), "hidden_sizes": [14, 6], "layer": "mix"}
    model = RegressionMetric(**settings, load_pretrained_weights=False, local_files_only=True)
    (root / "checkpoints").mkdir()
    path = root / "checkpoints" / "model.ckpt"
    torch.save(
        {
            "state_dict": model.state_dict(),
            "hyper_parameters": dict(model.hparams),
            "pytorch-lightning_version": pytorch_lightning.__version__,
        },
        path,
    )
    plain = {**dict(model.hparams), "class_identifier": "regression_metric"}
    (root / "hparams.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


def character_tokenizer() -> Any:
    """A tokenizer whose pieces are characters."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import XLMRobertaTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    characters = sorted({"▁", *"".join([*SOURCES, *REFERENCES, *HYPOTHESES])} - {" "})
    pieces = [(piece, -1.0) for piece in [*special, *characters, "<mask>"]]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer)


def make(path: Path, **options: Any) -> Any:
    from lingolite_metrics.neural import Comet

    return Comet(options=CometOptions(checkpoint=str(path), **options))


def copy(checkpoint: Path, directory: Path) -> Path:
    shutil.copytree(checkpoint.parents[1], directory / "other")
    return directory / "other" / "checkpoints" / "model.ckpt"


def test_the_files_that_scores_depend_on_are_told(tmp_path: Path) -> None:
    path, settings = tmp_path / "tiny" / "checkpoints" / "model.ckpt", tmp_path / "tiny" / "hparams.yaml"
    encoder = [tmp_path / "encoder" / name for name in ("config.json", "tokenizer.json")]
    for file in (path, settings, *encoder):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert CometOptions(checkpoint=str(path)).files() == [path, settings]
    options = CometOptions(checkpoint=str(path), encoder=str(tmp_path / "encoder"))
    assert sorted(options.files()) == sorted([path, settings, *encoder])


@needs_comet
def test_scores_are_those_of_the_package(checkpoint: Path) -> None:
    from comet import load_from_checkpoint

    samples = [
        {"src": source, "mt": hypothesis, "ref": reference}
        for source, hypothesis, reference in zip(SOURCES, HYPOTHESES, REFERENCES, strict=True)
    ]
    model = load_from_checkpoint(str(checkpoint), local_files_only=True)
    expected = model.predict(samples, gpus=0, progress_bar=False, num_workers=1)
    metric = make(checkpoint, batch_size=3)
    statistics = metric.statistics(HYPOTHESES, [REFERENCES], sources=SOURCES)
    assert len(set(expected.scores)) == 4, "scores that are alike would compare nothing"
    np.testing.assert_allclose(statistics[:, 0], 100 * np.array(expected.scores), atol=1e-4)
    score = metric.score(HYPOTHESES, [REFERENCES], sources=SOURCES)
    assert score.value == pytest.approx(100 * expected.system_score, abs=1e-4)
    assert score.signature.startswith("nrefs:1|model:tiny-da|sha256:")


@needs_comet
def test_several_references_count_alike(checkpoint: Path) -> None:
    metric = make(checkpoint)
    alone = [metric.score(HYPOTHESES, [stream], sources=SOURCES).value for stream in (REFERENCES, REFERENCES[::-1])]
    both = metric.score(HYPOTHESES, [REFERENCES, REFERENCES[::-1]], sources=SOURCES)
    assert alone[0] != alone[1]
    assert both.value == pytest.approx(sum(alone) / 2, abs=1e-4)
    with pytest.raises(LingoLiteError, match="4 hypotheses against 3"):
        metric.score(HYPOTHESES, [REFERENCES], sources=SOURCES[:3])


@needs_comet
def test_nothing_is_downloaded(checkpoint: Path, tmp_path: Path) -> None:
    path = copy(checkpoint, tmp_path)
    settings = path.parents[1] / "hparams.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace(str(checkpoint.parents[1] / "encoder"), "xlm-roberta-large"), encoding="utf-8")
    with pytest.raises(LingoLiteError, match="of the encoder xlm-roberta-large is not on this machine"):
        make(path)
    named = make(path, encoder=str(checkpoint.parents[1] / "encoder"))
    expected = make(checkpoint).score(HYPOTHESES, [REFERENCES], sources=SOURCES).value
    assert named.score(HYPOTHESES, [REFERENCES], sources=SOURCES).value == expected


@needs_comet
def test_code_in_a_checkpoint_is_never_run(checkpoint: Path, tmp_path: Path) -> None:
    import torch

    path = copy(checkpoint, tmp_path)
    contents = torch.load(path, weights_only=True)
    torch.save({**contents, "hyper_parameters": Hostile(tmp_path / "written")}, path)
    with pytest.raises(LingoLiteError, match="code from a checkpoint is never run"):
        make(path)
    assert not (tmp_path / "written").exists()


class Hostile:
    """Would make a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@needs_comet
def test_checkpoint_that_does_not_fit_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    import torch

    path = copy(checkpoint, tmp_path)
    contents = torch.load(path, weights_only=True)
    removed = contents["state_dict"].pop("estimator.ff.0.weight")
    torch.save(contents, path)
    with pytest.raises(LingoLiteError, match=r"lacks estimator\.ff\.0\.weight"):
        make(path)
    torch.save(
        {**contents, "state_dict": {**contents["state_dict"], "estimator.ff.0.weight": removed, "x": removed}}, path
    )
    with pytest.raises(LingoLiteError, match="has x, which the network has not"):
        make(path)
    settings = path.parents[1] / "hparams.yaml"
    settings.write_text(settings.read_text().replace("regression_metric", "unified_metric"))
    with pytest.raises(LingoLiteError, match="of the kind unified_metric"):
        make(path)


def test_checkpoint_that_is_not_there_is_refused_with_the_options(tmp_path: Path) -> None:
    def given(**options: Any) -> CometOptions:
        return msgspec.convert(options, CometOptions)

    with pytest.raises(msgspec.ValidationError, match="missing required field `checkpoint`"):
        given()
    with pytest.raises(msgspec.ValidationError, match="nothing is downloaded"):
        given(checkpoint=str(tmp_path / "model.ckpt"))
    path = tmp_path / "checkpoints" / "model.ckpt"
    path.parent.mkdir()
    path.touch()
    with pytest.raises(msgspec.ValidationError, match=r"there is no hparams\.yaml"):
        given(checkpoint=str(path))
    (tmp_path / "hparams.yaml").touch()
    assert given(checkpoint=str(path)).batch_size == 16
    with pytest.raises(msgspec.ValidationError, match="no such directory"):
        given(checkpoint=str(path), encoder=str(tmp_path / "none"))


@pytest.mark.skipif(HAS_COMET, reason="unbabel-comet is installed")
def test_missing_package_is_a_clear_message() -> None:
    with pytest.raises(LingoLiteError, match="comet") as raised:
        load_registry().resolve("metric", "comet")
    assert raised.value.exit_code is ExitCode.PLUGIN
    assert 'pip install "lingolite[comet]"' in str(raised.value.hint)
