"""Hugging Face directories in all the forms that weights come in, and those that are damaged or not what they seem."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Outcome, contents
from safetensors.numpy import load_file, save_file

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing import ImporterContract
from lingolite_cli.tokenization.opening import open_tokenizer
from tests.lingolite_importers.hugging_face_files import write_m2m100, write_nllb, write_opus_mt

Command = Callable[..., Outcome]
WEIGHTS, PICKLE, INDEX = "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"


class TestHuggingFace(ImporterContract):
    plugin = "hugging-face"

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        write_opus_mt(tmp_path / "opus")
        return tmp_path / "opus"


def _pickled(directory: Path, state: object) -> None:
    (directory / WEIGHTS).unlink()
    torch.save(state, directory / PICKLE)


def _tensors(directory: Path) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in load_file(directory / WEIGHTS).items()}


def _sharded(directory: Path, *, is_pickled: bool) -> Path:
    """The weights in two files and an index; the last file."""
    tensors = load_file(directory / WEIGHTS)
    (directory / WEIGHTS).unlink()
    names = sorted(tensors)
    ending, stem = ("bin", "pytorch_model") if is_pickled else ("safetensors", "model")
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = directory / f"{stem}-0000{number}-of-00002.{ending}"
        if is_pickled:
            torch.save({name: torch.from_numpy(tensors[name]) for name in part}, file)
        else:
            save_file({name: tensors[name] for name in part}, file)
        weight_map |= dict.fromkeys(part, file.name)
    (directory / f"{stem}.{ending}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return file


def test_pickles_and_shards_give_the_weights_of_one_file(lingolite: Command, tmp_path: Path) -> None:
    forms: dict[str, Callable[[Path], object]] = {
        "one": lambda directory: None,
        "pickle": lambda directory: _pickled(directory, _tensors(directory)),
        "shards": lambda directory: _sharded(directory, is_pickled=False),
        "pickled shards": lambda directory: _sharded(directory, is_pickled=True),
    }
    written = {}
    for name, change in forms.items():
        write_opus_mt(tmp_path / name)
        change(tmp_path / name)
        outcome = lingolite("import", tmp_path / name, "--out", tmp_path / f"{name}-bundle")
        assert outcome.code == 0, outcome.err
        written[name] = contents(tmp_path / f"{name}-bundle")["model.safetensors"]
    assert len(set(written.values())) == 1


class _Runs:
    """Writes a file when it is read by a pickle that runs code."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._file,)


def _old_pickle(directory: Path, state: object) -> None:
    (directory / WEIGHTS).unlink()
    (directory / PICKLE).write_bytes(pickle.dumps(state))


def _empty_archive(directory: Path) -> None:
    (directory / WEIGHTS).unlink()
    with zipfile.ZipFile(directory / PICKLE, "w") as archive:
        archive.writestr("nothing", b"")


def _renamed(directory: Path, name: str) -> None:
    """An index that leads elsewhere."""
    _sharded(directory, is_pickled=False)
    (directory / INDEX).write_text(json.dumps({"weight_map": {"model.shared.weight": name}}))


def _twice(directory: Path) -> None:
    last = _sharded(directory, is_pickled=False)
    save_file({**load_file(last), "final_logits_bias": np.zeros((1, 3), np.float32)}, last)
    first = directory / "model-00001-of-00002.safetensors"
    save_file({**load_file(first), "final_logits_bias": np.zeros((1, 3), np.float32)}, first)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "code": (lambda d: _pickled(d, {**_tensors(d), "x": _Runs(d / "ran")}), "objects in a pickle would run code"),
    "code alone": (lambda d: _pickled(d, _Runs(d / "ran")), "objects in a pickle would run code"),
    "code in an old pickle": (lambda d: _old_pickle(d, _Runs(d / "ran")), "cannot be read"),
    "a pickle of something else": (lambda d: _pickled(d, ["text"]), "is not a state dict"),
    "a pickle of texts": (lambda d: _pickled(d, {"model.shared.weight": "text"}), "is not a state dict"),
    "an archive without a pickle": (_empty_archive, "cannot be read"),
    "a pickle that is cut short": (
        lambda d: (_pickled(d, _tensors(d)), (d / PICKLE).write_bytes((d / PICKLE).read_bytes()[:-99])),
        "pytorch_model.bin",
    ),
    "a lazy tensor of another type": (
        lambda d: _pickled(d, {name: one.to(torch.int32) for name, one in _tensors(d).items()}),
        "pytorch_model.bin",
    ),
    "a missing shard": (lambda d: _sharded(d, is_pickled=False).unlink(), "is missing, which"),
    "a missing pickled shard": (lambda d: _sharded(d, is_pickled=True).unlink(), "is missing, which"),
    "a shard elsewhere": (lambda d: _renamed(d, "../model.safetensors"), "names no files beside it"),
    "an index of nothing": (
        lambda d: (_sharded(d, is_pickled=False), (d / INDEX).write_text("{}")),
        "names no files beside it",
    ),
    "a tensor in two shards": (_twice, "has the tensor final_logits_bias, which another file has too"),
    "no weights": (lambda d: (d / WEIGHTS).unlink(), "has no model.safetensors and no pytorch_model.bin"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_weights_are_refused_and_no_code_of_theirs_runs(lingolite: Command, tmp_path: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    directory = tmp_path / "opus"
    write_opus_mt(directory)
    damage(directory)
    before = contents(directory)
    outcome = lingolite("import", directory, "--out", tmp_path / "out")
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert contents(directory) == before, "a file that the code in a pickle would write"
    assert not (tmp_path / "out").exists()


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "repetition": ({"repetition_penalty": 1.2}, "generates with repetition_penalty 1.2, which no bundle carries"),
    "n-grams": ({"no_repeat_ngram_size": 3}, "generates with no_repeat_ngram_size 3"),
    "sampling": ({"do_sample": True}, "generates with do_sample True"),
    "words of several tokens": ({"bad_words_ids": [[4, 5]]}, "bad_words_ids of several tokens"),
    "a first token that does not exist": ({"forced_bos_token_id": 9000}, "forced_bos_token_id 9000"),
}


@pytest.mark.parametrize("place", ["config.json", "generation_config.json"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_search_that_no_bundle_carries_is_refused_by_name(
    lingolite: Command, tmp_path: Path, name: str, place: str
) -> None:
    settings, message = REFUSED[name]
    in_config = place == "config.json"
    write_opus_mt(tmp_path / "opus", **(settings if in_config else {}))
    if not in_config:
        (tmp_path / "opus" / place).write_text(json.dumps(settings))
    outcome = lingolite("import", tmp_path / "opus", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "out").exists()


def test_lengths_are_those_of_the_text(lingolite: Command, tmp_path: Path) -> None:
    """transformers counts the start, and an end that is forced; a file for generation says all of it."""
    settings = {"max_length": 40, "min_length": 3, "forced_eos_token_id": 0, "num_beams": 3}
    write_opus_mt(tmp_path / "old", **settings)
    write_opus_mt(tmp_path / "new", **settings)
    (tmp_path / "new" / "generation_config.json").write_text(json.dumps({"max_length": 30}))
    found = []
    for name in ("old", "new"):
        assert lingolite("import", tmp_path / name, "--out", tmp_path / f"{name}-bundle").code == 0
        decoding = Artifact.open(tmp_path / f"{name}-bundle").manifest.decoding
        found.append((decoding.beam_size, decoding.min_length, decoding.max_length))
    assert found == [(3, 2, 38), (1, 0, 29)]


def test_languages_choose_the_target_token_and_unknown_ones_are_refused(lingolite: Command, tmp_path: Path) -> None:
    write_opus_mt(tmp_path / "opus", tags=["por", "glg"])
    assert lingolite("import", tmp_path / "opus", "--out", tmp_path / "bundle").code == 0
    bundle = Artifact.open(tmp_path / "bundle")
    assert bundle.manifest.languages == ("en", "por", "glg")
    tokenizer = open_tokenizer(bundle)
    sources = [tokenizer.encode_source("A fox.", ("en", to), max_length=64).ids for to in ("por", "glg")]
    assert [tokenizer.source_pieces[ids[0]] for ids in sources] == [">>por<<", ">>glg<<"]
    for languages, message in (("en-deu", "does not translate to `deu`"), ("por-glg", "does not translate from `por`")):
        refused = lingolite("translate", "A fox.", "--model", bundle.path, "--languages", languages, cwd=tmp_path)
        assert refused.code == 2
        assert message in refused.err
    options = ["--max-length", "8", "--backend", "cached"]
    for to in ("por", "glg"):
        chosen = ["--model", bundle.path, "--languages", f"en-{to}"]
        outcome = lingolite("translate", "A fox.", *chosen, *options, cwd=tmp_path)
        assert outcome.code == 0, outcome.err


@pytest.mark.parametrize(
    ("write", "languages"),
    [(write_nllb, ("eng_Latn", "por_Latn", "glg_Latn")), (write_m2m100, ("en", "pt", "gl"))],
    ids=["nllb", "m2m100"],
)
def test_a_model_of_many_languages_goes_through_the_commands_in_any_direction_or_in_the_one_that_it_was_imported_for(
    lingolite: Command, tmp_path: Path, write: Callable[..., None], languages: tuple[str, str, str]
) -> None:
    write(tmp_path / "model", languages=languages)
    pair = ":".join(languages[:2])
    twice = ("--option", f"languages={languages[0]}:{languages[0]}")
    refused = lingolite("import", tmp_path / "model", "--out", "twice", *twice, cwd=tmp_path)
    assert (refused.code, "languages must be two" in refused.err) == (2, True), refused.err
    for name, options in (("all", []), ("one", ["--option", f"languages={pair}"])):
        done = lingolite("import", tmp_path / "model", "--out", name, *options, cwd=tmp_path)
        assert done.code == 0, done.err
    assert Artifact.open(tmp_path / "all").manifest.languages == languages
    assert Artifact.open(tmp_path / "one").manifest.languages == languages[:2]
    (tmp_path / "text.en").write_text("A fox.\n")
    calibrated = ["quantize", "--method", "static-int8", "--calibration", "text.en", "--out", "static"]
    refused = lingolite(*calibrated, "--model", "all", cwd=tmp_path)
    assert refused.code == 2
    assert "does not say its languages, and the model knows 3" in refused.err
    assert "--languages with a command" in refused.err
    exported = lingolite("export", "--model", "one", "--out", "onnx", cwd=tmp_path)
    assert exported.code == 0, exported.err
    asked = ["translate", "A fox.", "--max-length", "8"]
    texts = [
        lingolite(*asked, "--model", "onnx", cwd=tmp_path),
        lingolite(*asked, "--model", "all", "--backend", "cached", "--languages", pair, cwd=tmp_path),
    ]
    assert [text.code for text in texts] == [0, 0], [text.err for text in texts]
    assert texts[0].out == texts[1].out != ""
    (tmp_path / "test.tsv").write_text(f"A fox.\t{texts[0].out.strip()}\n")
    scored = lingolite("eval", "--model", "onnx", "--source", "test.tsv", "--max-length", "8", cwd=tmp_path)
    assert scored.code == 0, scored.err
    assert "100.00" in scored.out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("languages=eng_Latn:por_Latin", "no token for the language `por_Latin`"),
        ("languages=en-pt", "no token for the language `en`"),
        ("text_prefix=translate: ", "puts no text before a source"),
    ],
)
def test_options_that_a_model_does_not_have_are_refused(
    lingolite: Command, tmp_path: Path, option: str, message: str
) -> None:
    write_nllb(tmp_path / "nllb", languages=["eng_Latn", "por_Latn"])
    refused = lingolite("import", tmp_path / "nllb", "--out", "bundle", "--option", option, cwd=tmp_path)
    assert refused.code == 2
    assert message in refused.err
    assert not (tmp_path / "bundle").exists()
