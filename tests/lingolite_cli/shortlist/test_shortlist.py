"""Learning a shortlist, its file, and the target tokens that it gives to sources."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.shortlist.candidates import CandidateChooser
from lingolite_cli.shortlist.learning import LearningOptions, learn_shortlist, measure_coverage
from lingolite_cli.shortlist.shortlist import NO_TOKEN, Details, Shortlist, read_shortlist
from lingolite_cli.testing import tiny_tokenizer
from lingolite_cli.testing.tiny import IDS, SENTENCES, TRANSLATIONS
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer

PAIRS = list(zip(SENTENCES, TRANSLATIONS, strict=True))
DETAILS = Details(languages=("en", "da"), tokenizer="ab" * 32, method="by hand", num_pairs=3)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tiny.model"
    path.write_bytes(tiny_tokenizer())
    return read_tokenizer(path)


def learned(tokenizer: Tokenizer, pairs: list[tuple[str, str]] = PAIRS, **options: int) -> Shortlist:
    return learn_shortlist(
        pairs, tokenizer, digest="ab" * 32, languages=("en", "da"), options=LearningOptions(**options)
    )


def plain_model1(
    pairs: list[tuple[str, str]], tokenizer: Tokenizer, *, iterations: int
) -> dict[tuple[int, int], float]:
    """t(target | source) by the loops of the textbook (Koehn 2010, figure 4.3), over sets; -1 is the empty word."""
    sides = [({*tokenizer.encode(source), -1}, {*tokenizer.encode_target(target)}) for source, target in pairs]
    table = {(s, t): 1.0 for source, target in sides for s in source for t in target}
    for _ in range(iterations):
        counts = dict.fromkeys(table, 0.0)
        for source, target in sides:
            for t in target:
                total = sum(table[s, t] for s in source)
                for s in source:
                    counts[s, t] += table[s, t] / total
        totals: dict[int, float] = {}
        for (s, _), count in counts.items():
            totals[s] = totals.get(s, 0.0) + count
        table = {(s, t): count / totals[s] for (s, t), count in counts.items()}
    return table


def test_candidates_are_the_best_of_ibm_model_1(tokenizer: Tokenizer) -> None:
    table = plain_model1(PAIRS, tokenizer, iterations=3)
    shortlist = learned(tokenizer, num_candidates=4)
    checked = 0
    for source in {s for s, _ in table if s >= 0}:
        row = [id for id in shortlist.candidates[source].tolist() if id != NO_TOKEN]
        assert row[0] == source
        found = [table[source, target] for target in row if (source, target) in table]
        best = sorted((p for (s, t), p in table.items() if s == source), reverse=True)[: len(found)]
        if source not in row[1:] and (source, source) not in table:
            np.testing.assert_allclose(found, best, rtol=1e-9)
            checked += 1
    assert checked > 10


def test_every_sentence_may_end_be_spelled_and_use_frequent_tokens(tokenizer: Tokenizer) -> None:
    shortlist = learned(tokenizer, num_frequent=2)
    always = set(shortlist.frequent.tolist())
    used = {id for _, target in PAIRS for id in tokenizer.encode_target(target)}
    assert always >= {IDS.end} | (used & tokenizer.spelling_ids)
    assert len(always - tokenizer.spelling_ids - {IDS.end}) == 2
    assert not set(shortlist.candidates.ravel().tolist()) & tokenizer.source_control_ids


def test_the_text_that_it_was_learned_from_is_covered(tokenizer: Tokenizer) -> None:
    full = measure_coverage(learned(tokenizer), PAIRS, tokenizer)
    assert (full.num_sentences, full.token_share, full.sentence_share) == (len(PAIRS), 1.0, 1.0)
    assert 0 < full.mean_target_tokens < full.vocab_size
    poor = measure_coverage(learned(tokenizer, num_candidates=1, num_frequent=0), PAIRS, tokenizer)
    assert poor.token_share < 1
    assert poor.mean_target_tokens < full.mean_target_tokens


def test_pairs_are_spread_over_the_text(tokenizer: Tokenizer) -> None:
    pairs = [PAIRS[0]] * 10 + [PAIRS[1]] * 10
    shortlist = learned(tokenizer, pairs, max_pairs=2)
    assert shortlist.details.num_pairs == 2
    assert measure_coverage(shortlist, PAIRS[:2], tokenizer).token_share == 1.0


def test_the_same_text_gives_the_same_bytes_and_they_are_read_back(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for name in ("first", "second"):
        learned(tokenizer).write(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    found, expected = read_shortlist(tmp_path / "first"), learned(tokenizer)
    assert found.details == expected.details
    np.testing.assert_array_equal(found.frequent, expected.frequent)
    np.testing.assert_array_equal(found.candidates, expected.candidates)


def test_text_without_pairs_and_unknown_languages_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(LingoLiteError, match="no pair to learn from"):
        learned(tokenizer, [])
    with pytest.raises(LingoLiteError, match="does not know the language `xx`"):
        learn_shortlist(PAIRS, tokenizer, digest="", languages=("en", "xx"), options=LearningOptions())


@pytest.mark.parametrize(
    ("frequent", "candidates"),
    [
        ([2, 1], [[0], [1], [2]]),
        ([3], [[0], [1], [2]]),
        ([1], [[0], [1], [3]]),
        ([], [[0], [1], [2]]),
        ([1], [0, 1, 2]),
    ],
    ids=["disorder", "no such frequent token", "no such candidate", "nothing", "shape"],
)
def test_damaged_files_are_refused(tmp_path: Path, frequent: list[int], candidates: list[list[int]]) -> None:
    arrays = np.array(frequent, np.int32), np.array(candidates, np.int32)
    Shortlist(details=DETAILS, frequent=arrays[0], candidates=arrays[1]).write(tmp_path / "made")
    with pytest.raises(LingoLiteError, match="is not a shortlist that this version reads"):
        read_shortlist(tmp_path / "made")


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(3)}, tmp_path / "weights")
    (tmp_path / "cut").write_bytes((tmp_path / "weights").read_bytes()[:20])
    for name in ("weights", "cut"):
        with pytest.raises(LingoLiteError, match="is not a shortlist"):
            read_shortlist(tmp_path / name)
    with pytest.raises(LingoLiteError, match="no such file"):
        read_shortlist(tmp_path / "missing")


def test_each_row_has_candidates_of_its_own_and_others_fill_it_up() -> None:
    none = NO_TOKEN
    candidates = np.array([[none, none], [5, none], [2, 4], [6, 5], [none, none], [1, 1], [3, none]], np.int32)
    shortlist = Shortlist(details=DETAILS, frequent=np.array([4], np.int32), candidates=candidates)
    ids, mask = np.array([[1, 0, 3], [2, 3, 6]]), np.array([[True, True, False], [True, False, True]])
    found = CandidateChooser(shortlist).choose(ids, mask)
    assert found.ids.tolist() == [[0, 4, 5], [2, 3, 4]]
    assert found.is_own.tolist() == [[False, True, True], [True, True, True]]
    alone = CandidateChooser(shortlist).choose(ids[:1], mask[:1])
    assert (alone.ids.tolist(), alone.is_own.tolist()) == ([[4, 5]], [[True, True]])
    assert CandidateChooser(shortlist).choose(ids[:0], mask[:0]).ids.shape == (0, 0)


def test_candidates_are_filled_up_to_a_multiple_in_each_row_by_itself(tmp_path: Path) -> None:
    """As in Marian: the lowest ids that the sentence lacks."""
    file = tmp_path / "shortlist.safetensors"
    details = msgspec.structs.replace(DETAILS, multiple_of=4)
    candidates = np.array([[5, NO_TOKEN], [2, 7], [8, NO_TOKEN], [NO_TOKEN] * 2, *[[NO_TOKEN] * 2] * 6], np.int32)
    Shortlist(details=details, frequent=np.array([0, 1], np.int32), candidates=candidates).write(file)
    chooser = CandidateChooser(read_shortlist(file))
    rows = [[0, 2], [1, 1], [3, 3]]  # 0 1 5 8 are four; 0 1 2 7 are four; 0 1 are filled with 2 and 3
    together = chooser.choose(np.array(rows, np.int64), np.ones((3, 2), np.bool_))
    expected = [[0, 1, 5, 8], [0, 1, 2, 7], [0, 1, 2, 3]]
    assert together.ids.tolist() == expected
    assert together.is_own.all()
    alone = [chooser.choose(np.array([row], np.int64), np.ones((1, 2), np.bool_)).ids[0].tolist() for row in rows]
    assert alone == expected
    three = chooser.choose(np.array([[0, 1]], np.int64), np.ones((1, 2), np.bool_))  # 0 1 2 5 7, and three more
    assert three.ids.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]


def test_a_vocabulary_that_is_no_multiple_is_used_up(tmp_path: Path) -> None:
    details = msgspec.structs.replace(DETAILS, multiple_of=8)
    candidates = np.full((5, 1), NO_TOKEN, np.int32)
    shortlist = Shortlist(details=details, frequent=np.array([0], np.int32), candidates=candidates)
    chosen = CandidateChooser(shortlist).choose(np.array([[1]], np.int64), np.ones((1, 1), np.bool_))
    assert chosen.ids.tolist() == [[0, 1, 2, 3, 4]]


def test_a_multiple_that_is_none_is_refused(tmp_path: Path) -> None:
    details = msgspec.structs.replace(DETAILS, multiple_of=0)
    candidates = np.full((5, 1), NO_TOKEN, np.int32)
    file = tmp_path / "shortlist.safetensors"
    Shortlist(details=details, frequent=np.array([0], np.int32), candidates=candidates).write(file)
    with pytest.raises(LingoLiteError, match="is not a shortlist"):
        read_shortlist(file)
