"""A reference that does not translate is named with its numbers; one that does is not, whatever its language."""

from __future__ import annotations

import pytest

from lingolite_cli.evaluation.faults import TranslatedSentence
from lingolite_cli.evaluation.plausibility import doubts

DANISH = [
    f"Filen nummer {word} kunne ikke åbnes på den anden maskine." for word in "en to tre fire fem seks syv".split()
]
CHINESE = ["打开文件", "保存所有文件", "关闭窗口然后再打开", "新建文件夹", "文件无法打开", "请重新启动计算机"]
LABELS = ["Åbn filen", "Gem filen", "Luk vinduet", "Ny mappe"]


def system(references: list[str], hypotheses: list[str], *, finished: bool = True) -> list[TranslatedSentence]:
    return [
        TranslatedSentence(f"source number {number}", [reference], hypothesis, finished)
        for number, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True))
    ]


@pytest.mark.parametrize("references", [DANISH, CHINESE, LABELS], ids=["danish", "chinese", "labels"])
def test_translations_that_share_something_with_their_references_are_plausible(references: list[str]) -> None:
    assert doubts(system(references, references)) == []
    assert doubts(system(references, [text[: 2 * len(text) // 3] for text in references])) == []


@pytest.mark.parametrize("references", [DANISH, CHINESE, LABELS], ids=["danish", "chinese", "labels"])
def test_scores_near_zero_are_doubted(references: list[str]) -> None:
    (found,) = doubts(system(references, ["qvx wzk"] * len(references)))
    assert found.startswith("BLEU 0.00 and chrF ")
    assert "near zero" in found


def test_broken_translations_are_counted_by_kind() -> None:
    found = doubts(system(DANISH, [*DANISH[:5], "", "file file file file file file file file"]))
    assert found == [
        "2 of 7 translations (29%, more than 10%) have a fault of a broken system: 1 loops, 1 empty",
    ]
    unfinished = doubts(system(DANISH, DANISH, finished=False))
    assert "7 of 7 translations (100%, more than 10%)" in unfinished[0]


def test_a_few_faults_are_no_doubt() -> None:
    references = DANISH * 3
    assert doubts(system(references, [*references[:-2], "", ""])) == []
