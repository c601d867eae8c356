"""Metrics choose by the target language what a word is, and say so where scores mean little."""

from __future__ import annotations

import importlib.machinery
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import sacrebleu
from command_line import Outcome
from lingolite_metrics.options import BleuOptions, ChrfOptions, TerOptions

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.plugins.specs import caution_of, defaults_for
from lingolite_cli.testing import tiny

Command = Callable[..., Outcome]
CHINESE = ["打开文件。", "保存当前文件", "关闭所有窗口", "删除这个页面", "新建一个文件夹"]


@pytest.fixture
def chinese(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with a model of English and Chinese, and a test set whose sources are their references."""
    monkeypatch.setattr(tiny, "LANGUAGES", ("en", "zh_Hans"))
    bundle = tiny.tiny_bundle(tmp_path / "chinese")
    (project / "model").rename(tmp_path / "old")
    bundle.path.rename(project / "model")
    for file in (project / "lingolite.toml", project / "recipes" / "small.toml"):
        file.write_text(file.read_text().replace('"da"', '"zh_Hans"'))
    texts = [f"{text}{number}" for text in CHINESE for number in range(8)]  # enough for a verdict
    (project / "test.tsv").write_text("".join(f"{text}\t{text}\n" for text in texts), encoding="utf-8")
    return project


@pytest.mark.parametrize(
    ("tag", "tokenize"),
    [
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zho_Hans", "zh"),
        ("cmn", "zh"),
        ("ja", "char"),
        ("jpn_Jpan", "char"),
        ("ko", "char"),
        ("th", "char"),
        ("khm", "char"),
        ("da", "13a"),
        ("pt-BR", "13a"),
        (None, "13a"),
    ],
)
def test_the_tokenizer_of_bleu_is_that_of_the_target(tag: str | None, tokenize: str) -> None:
    """Here, where no MeCab is installed."""
    metric = load_registry().resolve("metric", "bleu")
    assert metric.options_for(tag).get("tokenize", "13a") == tokenize
    score = metric.create(options=metric.options_for(tag)).score(CHINESE, [CHINESE])
    assert f"tok:{tokenize}|" in score.signature
    assert metric.options_for(tag, {"tokenize": "intl"}) == {"tokenize": "intl"}


def test_mecab_is_taken_where_it_is_installed_and_named_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LingoLiteError, match=r'`ja-mecab` is not installed; run `pip install "sacrebleu\[ja\]"`'):
        load_registry().resolve("metric", "bleu").options({"tokenize": "ja-mecab"})
    assert 'pip install "sacrebleu[ja]"' in str(caution_of(BleuOptions(tokenize="char"), "ja"))
    for module in ("MeCab", "ipadic"):
        (tmp_path / f"{module}.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.machinery.PathFinder.find_spec("MeCab") is not None
    assert defaults_for(BleuOptions, "ja", given={}) == {"tokenize": "ja-mecab"}
    assert defaults_for(BleuOptions, "ko", given={}) == {"tokenize": "char"}
    assert caution_of(BleuOptions(tokenize="ja-mecab"), "ja") is None


def test_ter_counts_characters_of_chinese_and_japanese_unless_told_otherwise() -> None:
    assert defaults_for(TerOptions, "zh", given={}) == {"asian_support": True, "normalized": True}
    assert defaults_for(TerOptions, "zh", given={"normalized": False}) == {}
    assert defaults_for(TerOptions, "th", given={}) == {}
    assert caution_of(TerOptions(asian_support=True, normalized=True), "ja") is None
    assert "few spaces" in str(caution_of(TerOptions(), "zh"))
    assert "few spaces" in str(caution_of(TerOptions(), "th"))


def test_languages_with_spaces_and_chrf_need_no_caution() -> None:
    for language in ("da", "pt", "ko"):
        assert caution_of(BleuOptions(), language) is None
        assert caution_of(TerOptions(), language) is None
    assert caution_of(ChrfOptions(), "zh") is None
    assert caution_of(BleuOptions(tokenize="zh"), "zh") is None
    assert 'set tokenize = "zh"' in str(caution_of(BleuOptions(), "zh"))


def test_eval_scores_a_chinese_target_as_sacrebleu_does(with_echo: Command, chinese: Path) -> None:
    outcome = with_echo("eval", "--metrics", "bleu,ter", "--json")
    assert outcome.code == 0, outcome.err
    assert "tok:zh|" in outcome.json["signatures"]["bleu"]
    assert "asian:yes" in outcome.json["signatures"]["ter"]
    texts = [line.split("\t")[1] for line in (chinese / "test.tsv").read_text(encoding="utf-8").splitlines()]
    expected = sacrebleu.corpus_bleu(texts, [texts], tokenize="zh")
    assert (outcome.json["bleu"], outcome.json["sys_len"]) == (pytest.approx(expected.score), expected.sys_len)
    assert "warning" not in outcome.err


def test_the_tokenizer_is_part_of_what_a_lock_and_a_cache_hold(with_echo: Command, chinese: Path) -> None:
    assert with_echo("run", "recipes/small.toml", "--lock").code == 0
    assert "tok:zh|" in (chinese / "recipes" / "small.lock.toml").read_text()
    again = with_echo("eval", "--metrics", "bleu", "--json").json
    settings = chinese / "lingolite.toml"
    settings.write_text(settings.read_text() + '[defaults.evaluate.metric_options.bleu]\ntokenize = "13a"\n')
    other = with_echo("eval", "--metrics", "bleu", "--json")
    assert (again["bleu"], other.json["bleu"]) == (pytest.approx(100.0), 0.0)
    assert "tok:13a|" in other.json["signatures"]["bleu"]
    assert "bleu: tokenizer `13a` takes text between spaces for one word" in other.err


def test_text_whose_script_is_not_that_of_its_tag_is_told_of(with_echo: Command, project: Path) -> None:
    (project / "test.tsv").write_text("".join(f"{text}\t{text}\n" for text in CHINESE), encoding="utf-8")
    outcome = with_echo("eval", "--metrics", "bleu")
    assert outcome.code == 0
    assert "bleu: tokenizer `13a`" in outcome.err


@pytest.mark.parametrize(
    ("languages", "tokenizer"), [(None, "zh"), ("en-zh_Hans", "zh"), ("en-ja", "char"), ("en-da", "13a")]
)
def test_compare_knows_the_target_by_option_or_script(
    lingolite: Command, project: Path, languages: str | None, tokenizer: str
) -> None:
    files = [project / "perfect.jsonl", project / "wrong.jsonl"]
    for file, hypotheses in zip(files, (CHINESE, ["完全错误的输出"] * 5), strict=True):
        records = [
            {
                **{"index": index, "source": "Open", "references": [text], "hypothesis": hypothesis},
                **{"tokens": [4, 2], "score": -1.0, "is_truncated": False, "is_finished": True},
            }
            for index, (text, hypothesis) in enumerate(zip(CHINESE, hypotheses, strict=True))
        ]
        file.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    option = [] if languages is None else ["--languages", languages]
    outcome = lingolite("compare", *files, "--metrics", "bleu", "--json", *option)
    assert outcome.code == 0, outcome.err
    (comparison,) = outcome.json["comparisons"]
    before = comparison["differences"][0]["reference"]
    assert f"tok:{tokenizer}|" in comparison["signatures"]["bleu"]
    assert before == pytest.approx(0.0 if tokenizer == "13a" else 100.0)


def test_compare_of_runs_takes_the_language_that_they_recorded(with_echo: Command, chinese: Path) -> None:
    assert with_echo("run", "recipes/small.toml").code == 0
    (run,) = (chinese / "runs" / "small").glob("2*")
    comparisons = with_echo("compare", run, run, "--metrics", "bleu", "--json").json["comparisons"]
    assert all("tok:zh|" in comparison["signatures"]["bleu"] for comparison in comparisons)
