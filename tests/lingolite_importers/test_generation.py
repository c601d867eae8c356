"""Imported models generate the tokens that transformers generates, greedily and with a beam of 4.

transformers divides a score by a power of the length and LingoLite by GNMT's penalty, so both are asked without one.
transformers stops at as many ended hypotheses as it has beams when it is told to (`early_stopping`), as LingoLite does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from lingolite_torch.backends import CachedBackend
from lingolite_torch.options import TorchOptions

from lingolite_cli.decoding.search import search
from lingolite_cli.tokenization.opening import open_tokenizer
from tests.lingolite_importers.test_against_transformers import FAMILIES, bundle_of, randomized

pytestmark = [pytest.mark.transformers, pytest.mark.filterwarnings("ignore")]
NUM_SOURCES, LENGTH = 40, 12


def _likely_end(model: Any, source: np.ndarray, mask: np.ndarray) -> int:
    """The token that greedy search comes to after the most different numbers of tokens: a good end for a test."""
    import torch

    rows = model.generate(
        input_ids=torch.from_numpy(source),
        attention_mask=torch.from_numpy(mask).long(),
        generation_config=_generation(model, max_new_tokens=LENGTH),
    ).tolist()
    first: dict[int, set[int]] = {}
    for row in rows:
        for token in set(row[2:]) - set(row[:2]) - {0, 1, 2, 3}:
            first.setdefault(token, set()).add(row.index(token))
    return max(first, key=lambda token: len(first[token]))


def _far_from_uniform(model: Any) -> Any:
    """The same with larger matrices: what is generated then depends on the source and on what was generated before."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embed" not in name and "shared" not in name and "lm_head" not in name:
                parameter.mul_(2.5)
    return model


def _generation(model: Any, **settings: Any) -> Any:
    import transformers

    ids = {name: getattr(model.config, name) for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")}
    # The cache of transformers 4 has as many layers as a T5 encoder, and this decoder has more.
    return transformers.GenerationConfig(**ids, use_cache=False, **settings)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in FAMILIES if "bytes" not in name},
    "tokens that are never generated": ("marian", {"bad_words_ids": [[id] for id in range(9, 60)]}),
    "suppressed tokens": ("t5", {"suppress_tokens": list(range(9, 60))}),
    "a forced end": ("marian", {"forced_eos_token_id": "end"}),
    "a forced first token": ("marian", {"forced_bos_token_id": 17}),
    "a forced first token of t5": ("t5", {"forced_bos_token_id": 17}),
    "new tokens": ("marian", {"max_new_tokens": 9}),
    "a shortest length": ("marian", {"min_length": 8}),
    "shortest and longest with a language": ("nllb", {"min_new_tokens": 5, "max_new_tokens": 9}),
}


def _sources(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Ids [N, 7] and their mask; every other source is shorter."""
    source = np.random.default_rng(1).integers(4, model.config.vocab_size - 1, (NUM_SOURCES, 7))
    mask = np.ones(source.shape, np.bool_)
    mask[::2, 5:], source[::2, 5:] = False, model.config.pad_token_id
    return source, mask


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("name", CASES)
def test_tokens_are_those_of_transformers(tmp_path: Path, name: str, num_beams: int) -> None:
    import torch

    family, settings = CASES[name]
    make, sizes, languages = FAMILIES[family]
    directory = tmp_path / "model"
    directory.mkdir()
    model = _far_from_uniform(randomized(make(directory, **sizes)[0]))
    source, mask = _sources(model)
    model.config.eos_token_id = _likely_end(model, source, mask)
    length = {} if "max_new_tokens" in settings else {"max_length": 21 + LENGTH}
    search_settings: dict[str, Any] = {}
    if num_beams > 1:
        search_settings = {"num_beams": num_beams, "length_penalty": 0.0, "early_stopping": True}
        # Without a penalty the shortest hypothesis is often the best one.
        length |= {} if "min_new_tokens" in settings else {"min_length": 6}
    settings = {key: model.config.eos_token_id if value == "end" else value for key, value in settings.items()}
    model.generation_config = _generation(model, **{**search_settings, **length, **settings})
    model.save_pretrained(directory)
    bundle = bundle_of(directory, tmp_path / "bundle", family)
    ids = open_tokenizer(bundle).decoding_ids(languages)
    with torch.no_grad():
        theirs = model.generate(
            input_ids=torch.from_numpy(source),
            attention_mask=torch.from_numpy(mask).long(),
            **({"forced_bos_token_id": ids.prefix[0]} if ids.prefix else {}),
        ).tolist()
    options = msgspec.structs.replace(bundle.manifest.decoding, length_penalty=0.0)
    assert options.beam_size == num_beams
    backend = CachedBackend(bundle, options=TorchOptions(), threads=1)
    ours = search(backend, source, mask, ids=ids, options=options)
    found = [list(best[0].tokens) for best in ours]

    def text_ids(tokens: list[int]) -> list[int]:
        """Without what stands for no text."""
        kept = tokens[: tokens.index(ids.end)] if ids.end in tokens else tokens
        return [id for id in kept if id != ids.pad]

    first = 1 + len(ids.prefix)
    assert [text_ids(tokens) for tokens in found] == [text_ids(row[first:]) for row in theirs]
    assert len({len(text_ids(tokens)) for tokens in found}) > 1
