"""The sentences behind a report: how they are read, paired, scored, packed and grouped by length."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import msgspec
import pytest
from lingolite_reports.html import render_html
from lingolite_reports.lengths import buckets, lengths_table
from lingolite_reports.sentences import Pairing, pack_texts, pairings, run_texts
from sacrebleu.metrics import CHRF

from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import RunManifest
from tests.lingolite_reports.conftest import SENTENCES


@pytest.fixture
def pairing(manifest: RunManifest, run_directory: Path) -> Pairing:
    (found,) = pairings(manifest, run_texts(manifest, run_directory))
    return found


def unpacked(packed: dict[str, object]) -> dict[str, list[str]]:
    """What each system said, as the page's script reads it."""
    (text,) = packed["texts"]  # type: ignore[misc]
    first = next(iter(text["systems"].values()))["hypotheses"]
    return {
        name: [first[place] if said == 0 else said for place, said in enumerate(system["hypotheses"])]
        for name, system in text["systems"].items()
    }


def test_what_was_verified_is_paired(pairing: Pairing) -> None:
    assert (pairing.reference, pairing.candidate) == ("baseline", "shipped")
    assert pairing.text.sources == [row[0] for row in SENTENCES]
    assert pairing.text.languages == ("en", "da")


def test_scores_are_sentence_chrf(pairing: Pairing) -> None:
    metric = CHRF()
    for place, name in ((2, "baseline"), (3, "shipped")):
        expected = [metric.sentence_score(row[place], [row[1]]).score for row in SENTENCES]
        assert pairing.text.systems[name].scores == pytest.approx(expected, abs=1e-9)
    assert pairing.deltas[0] == 0
    assert pairing.deltas[1] < 0 < pairing.deltas[2]


def test_faults_are_those_of_each_system(pairing: Pairing) -> None:
    assert "numbers" not in pairing.text.systems["baseline"].faults.get(6, [])
    assert {"numbers", "loops"} <= set(pairing.text.systems["shipped"].faults[6])


def test_without_a_verification_systems_are_held_against_the_first(manifest: RunManifest, run_directory: Path) -> None:
    steps = [step for step in manifest.steps if not isinstance(step.result, VerifyResult)]
    bare = msgspec.structs.replace(manifest, steps=steps)
    (found,) = pairings(bare, run_texts(bare, run_directory))
    assert (found.reference, found.candidate) == ("baseline", "shipped")


def test_one_system_or_none_gives_no_text(small_manifest: RunManifest, run_directory: Path, tmp_path: Path) -> None:
    assert run_texts(small_manifest, run_directory) == []
    assert run_texts(small_manifest, tmp_path / "elsewhere") == []
    assert pack_texts([]) is None


def test_packed_sentences_are_all_there(pairing: Pairing) -> None:
    packed = pack_texts([pairing])
    assert packed is not None
    assert packed["pairs"] == [[0, "baseline", "shipped"]]
    assert packed["texts"][0]["numbers"] == list(range(1, 8))
    assert unpacked(packed) == {"baseline": [row[2] for row in SENTENCES], "shipped": [row[3] for row in SENTENCES]}
    assert packed["texts"][0]["systems"]["shipped"]["hypotheses"][0] == 0, "said by both: not stored twice"


def test_of_a_large_text_those_that_differ_most_are_kept(pairing: Pairing) -> None:
    packed = pack_texts([pairing], most_bytes=2000)
    assert packed is not None
    (text,) = packed["texts"]
    assert text["total"] == 7
    assert 2 in text["numbers"]
    assert 6 not in text["numbers"], "ten thousand characters"
    assert text["numbers"] == sorted(text["numbers"])
    assert len(json.dumps(packed, ensure_ascii=False)) < 2600


def test_page_says_that_it_holds_a_part_of_the_text(
    manifest: RunManifest, run_directory: Path, whole_source: str
) -> None:
    assert "sentences whose scores differ most" not in whole_source
    cut = render_html(manifest, run_texts(manifest, run_directory), most_bytes=2000)
    assert "This page includes the 6 of 7 sentences" in cut


def test_quality_by_length_is_the_mean_of_the_bucket(pairing: Pairing) -> None:
    found = {bucket.words: bucket for bucket in buckets(pairing)}
    lengths = [len(row[0].split()) for row in SENTENCES]
    short = [index for index, length in enumerate(lengths) if length <= 5]
    bucket = found["1 to 5"]
    assert bucket.num_sentences == len(short)
    assert bucket.reference == pytest.approx(fmean(pairing.text.systems["baseline"].scores[i] for i in short))
    assert bucket.delta == pytest.approx(fmean(pairing.deltas[i] for i in short))
    assert sum(each.num_sentences for each in found.values()) == len(SENTENCES)


def test_interval_of_the_mean_is_the_normal_one(pairing: Pairing) -> None:
    short = [place for place, row in enumerate(SENTENCES) if len(row[0].split()) <= 5] * 3
    text = msgspec.structs.replace(
        pairing.text,
        sources=[pairing.text.sources[place] for place in short],
        systems={
            name: msgspec.structs.replace(system, scores=[system.scores[place] for place in short])
            for name, system in pairing.text.systems.items()
        },
    )
    deltas = [pairing.deltas[place] for place in short]
    mean = sum(deltas) / len(deltas)
    variance = sum((delta - mean) ** 2 for delta in deltas) / (len(deltas) - 1)
    (bucket,) = buckets(msgspec.structs.replace(pairing, text=text))
    assert bucket.high == pytest.approx(mean + 1.96 * (variance / len(deltas)) ** 0.5, rel=1e-3)
    assert bucket.low is not None
    assert bucket.low + bucket.high == pytest.approx(2 * mean)
    assert buckets(pairing)[0].high is None, "of too few sentences there is none"


def test_table_by_length_has_every_bucket(pairing: Pairing) -> None:
    table = lengths_table([pairing])
    assert table is not None
    assert [row[1] for row in table.rows] == ["1 to 5", "6 to 10"]
    assert lengths_table([]) is None
