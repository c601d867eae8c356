"""Values that no model has, in configurations, archives and links: each is refused by its name, before anything is made
of it. Files that are damaged as a whole are in `test_marian.py` and `test_hugging_face_files.py`."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lingolite_importers.hugging_face.importer import HuggingFaceImporter
from lingolite_importers.marian.importer import MarianImporter
from lingolite_importers.options import HuggingFaceOptions, MarianOptions

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.importing.imported import Imported
from lingolite_cli.importing.writing import check_imported
from tests.lingolite_importers.hugging_face_files import write_m2m100, write_opus_mt
from tests.lingolite_importers.marian_files import (
    attention_settings,
    configuration,
    student,
    write_container,
    write_npz,
    write_student,
)

MODEL, SPM, LEX, ARCHIVE = "model.enpt.intgemm.alphas.bin", "vocab.enpt.spm", "lex.50.50.enpt.s2t.bin", "model.enpt.npz"
NUM_PIECES = 149


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of each kind."""
    root = tmp_path_factory.mktemp("models")
    write_opus_mt(root / "opus")
    write_m2m100(root / "m2m100", languages=["en", "pt"])
    write_student(root / "student", multiplier=90.0)
    shutil.copytree(root / "student", root / "archive")
    (root / "archive" / MODEL).unlink()
    parameters = student(NUM_PIECES, is_recurrent=False)
    write_npz(root / "archive" / ARCHIVE, parameters, configuration(NUM_PIECES, **attention_settings()))
    return root


@pytest.fixture
def copied(models: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies one of them."""
    return lambda name: Path(shutil.copytree(models / name, tmp_path / name))


def _read(directory: Path, **options: Any) -> Imported:
    is_marian = directory.name in ("student", "archive")
    importer = (
        MarianImporter(options=MarianOptions(**options))
        if is_marian
        else HuggingFaceImporter(options=HuggingFaceOptions(**options))
    )
    imported = importer.read(directory)
    check_imported(imported, where=directory)
    return imported


def _refused(directory: Path, message: str, **options: Any) -> None:
    with pytest.raises(LingoLiteError) as refused:
        _read(directory, **options)
    assert message in refused.value.message
    assert refused.value.hint, refused.value.message


@pytest.mark.parametrize("name", ["student", "archive", "opus", "m2m100"])
def test_what_is_not_damaged_is_read(copied: Callable[[str], Path], name: str) -> None:
    assert _read(copied(name)).languages == ("en", "pt")


OF_CONFIG: list[tuple[str, str, object, str]] = [
    ("opus", "model_type", ["marian"], "has a model of the type ['marian']"),
    ("opus", "activation_function", ["relu"], "has the activation ['relu']"),
    ("opus", "d_model", 10**18, "has d_model 1000000000000000000, not a size"),
    ("opus", "d_model", 1 << 20, "positions.divisor must be between 1 and 131,072"),
    ("opus", "encoder_layers", 10**6, "n_encoder_layers must be at most 1,000"),
    ("opus", "dropout", None, "has dropout None, not a number"),
    ("opus", "tie_word_embeddings", "false", "has tie_word_embeddings 'false', not true or false"),
    ("opus", "scale_embedding", 1, "has scale_embedding 1, not true or false"),
    ("opus", "eos_token_id", 10**9, "special ids lie outside the vocabulary"),
    ("opus", "bad_words_ids", 5, "bad_words_ids"),
    ("opus", "bad_words_ids", [[10**9]], "never_generated has the id 1000000000, outside the vocabulary"),
    ("opus", "bad_words_ids", [[-1]], "never_generated has the id -1, outside the vocabulary"),
    ("opus", "num_beams", 10**9, "generates with num_beams 1000000000"),
    ("opus", "num_beams", "4", "generates with num_beams 4"),
    ("opus", "max_length", "x", "generates with max_length x, which is not a number of tokens"),
    ("opus", "min_new_tokens", -5, "generates with min_new_tokens -5, which is not a number of tokens"),
    ("m2m100", "vocab_size", 1 << 24, "claims a vocabulary of 16,777,216, and the embedding has"),
    ("m2m100", "pad_token_id", None, "has pad_token_id None, not an id"),
    ("m2m100", "pad_token_id", 10**9, "positions.offset must be between 0 and 131,072"),
]


@pytest.mark.parametrize(("model", "key", "value", "message"), OF_CONFIG)
def test_a_value_of_config_json(
    copied: Callable[[str], Path], model: str, key: str, value: object, message: str
) -> None:
    directory = copied(model)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, key: value}))
    _refused(directory, message)


def test_an_id_of_added_tokens_that_only_looks_like_digits_is_not_one(copied: Callable[[str], Path]) -> None:
    directory = copied("m2m100")
    file = directory / "tokenizer_config.json"
    table = json.loads(file.read_text())
    table["added_tokens_decoder"] |= {"²": {"content": "x"}, "9" * 5000: {"content": "y"}}
    file.write_text(json.dumps(table))
    assert _read(directory).languages == ("en", "pt")
    table["added_tokens_decoder"]["16777215"] = {"content": "z"}
    file.write_text(json.dumps(table))
    _refused(directory, "has a vocabulary of 16,777,216 pieces, and the model")


def test_half_a_character_in_a_vocabulary(copied: Callable[[str], Path]) -> None:
    directory = copied("opus")
    text = (directory / "vocab.json").read_text()
    (directory / "vocab.json").write_text(text.replace('"</s>"', '"\\ud800"'))
    _refused(directory, "vocab.json is not JSON")


def test_an_index_of_lists(copied: Callable[[str], Path]) -> None:
    directory = copied("opus")
    (directory / "model.safetensors").unlink()
    (directory / "model.safetensors.index.json").write_text('{"weight_map": {"a": ["x"]}}')
    _refused(directory, "names no files beside it")


def test_a_name_of_a_language_that_no_manifest_takes(copied: Callable[[str], Path]) -> None:
    directory = copied("opus")
    file = directory / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "target_lang": "x" * 1000}))
    _refused(directory, "cannot become a bundle: Expected `str` of length <= 100 - at `$.languages[1]`")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"target_spm": SPM}, "target_spm is the SentencePiece model of targets beside one of sources"),
        ({"source_spm": "/dev/zero"}, "no such file: /dev/zero"),
        ({"source_spm": "elsewhere"}, "no such file: elsewhere"),
    ],
)
def test_an_option(copied: Callable[[str], Path], option: dict[str, str], message: str) -> None:
    _refused(copied("student"), message, **option)


@pytest.mark.parametrize("languages", ["en", "en-en", "en-pt-en", ":"])
def test_languages_that_are_not_two(languages: str) -> None:
    with pytest.raises(ValueError, match="languages must be two"):
        MarianOptions(languages=languages)


OF_YAML: list[tuple[str, object, str]] = [
    ("dim-emb", 10**9, "has dim-emb 1000000000, not a size"),
    ("enc-depth", 10**9, "has enc-depth 1000000000, not a size"),
    ("transformer-heads", 3, "n_heads 3 does not divide d_model 32"),
    ("tied-embeddings-all", "maybe", "has tied-embeddings-all 'maybe', which no bundle carries"),
    ("output-omit-bias", [1], "has output-omit-bias '[1]', which no bundle carries"),
]


@pytest.mark.parametrize(("key", "value", "message"), OF_YAML)
def test_a_value_of_special_model_yml(copied: Callable[[str], Path], key: str, value: object, message: str) -> None:
    directory = copied("student")
    write_container(directory / MODEL, student(NUM_PIECES), configuration(NUM_PIECES, **{key: value}), multiplier=90.0)
    _refused(directory, message)


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-45, float("inf"), float("nan")])
@pytest.mark.parametrize("weights", ["int8", "static", "float"])
def test_a_multiplier_or_an_alpha_whose_inverse_is_no_number(
    copied: Callable[[str], Path], value: float, weights: str
) -> None:
    directory = copied("student")
    number, message = (21.0, "not an alpha") if weights == "static" else (90.0, "have the multiplier")
    content = (directory / MODEL).read_bytes()
    (directory / MODEL).write_bytes(content.replace(struct.pack("<f", number), struct.pack("<f", value)))
    _refused(directory, message, weights=weights)


@pytest.mark.parametrize("settings", ["beam-size: [1]", "beam-size: 1000000000", "max-length-factor: .nan"])
def test_a_value_of_the_decoder(copied: Callable[[str], Path], settings: str) -> None:
    directory = copied("student")
    (directory / "config.intgemm8bitalpha.yml").write_text(settings)
    _refused(directory, "the configuration of the decoder beside")


def _packed(directory: Path, change: Callable[[dict[str, bytes]], object]) -> bytearray:
    """The archive with changed entries, deflated."""
    with zipfile.ZipFile(directory / ARCHIVE) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return bytearray(packed.getvalue())


def _first_entry(content: bytearray, *, local: int, central: int, value: int) -> bytearray:
    """The archive with one byte of the headers of its first entry set."""
    content[content.index(b"PK\x03\x04") + local] = value
    content[content.index(b"PK\x01\x02") + central] = value
    return content


def _claims_shape(entries: dict[str, bytes]) -> None:
    header = io.BytesIO()
    claim = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
    np.lib.format.write_array_header_1_0(header, claim)
    entries["Wemb.npy"] = header.getvalue() + b"\0" * 100


ARCHIVES: dict[str, tuple[Callable[[Path], bytearray], str]] = {
    "a password": (lambda d: _first_entry(_packed(d, len), local=6, central=8, value=1), "not an .npz of Marian"),
    "LZMA": (lambda d: _first_entry(_packed(d, len), local=8, central=10, value=14), "not an .npz of Marian"),
    "bzip2": (lambda d: _first_entry(_packed(d, len), local=8, central=10, value=12), "not an .npz of Marian"),
    "4 TB": (lambda d: _packed(d, _claims_shape), "not an .npz of Marian"),
    "text": (
        lambda d: _packed(d, lambda entries: entries.update({"Wemb.npy": b"text"})),
        "the type bytes, not a float",
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive(copied: Callable[[str], Path], name: str) -> None:
    directory = copied("archive")
    change, message = ARCHIVES[name]
    (directory / ARCHIVE).write_bytes(change(directory))
    _refused(directory, message)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32(copied: Callable[[str], Path]) -> None:
    directory = copied("archive")
    parameters = {**student(NUM_PIECES, is_recurrent=False), "Wemb": np.full((NUM_PIECES, 32), 1e300)}
    write_npz(directory / ARCHIVE, parameters, configuration(NUM_PIECES, **attention_settings()))
    _refused(directory, "has a number that is not finite")


@pytest.mark.parametrize(
    ("model", "file"), [("opus", "target.spm"), ("opus", "source.spm"), ("student", SPM), ("archive", SPM)]
)
def test_text_in_the_place_of_a_sentencepiece_model_is_named(
    copied: Callable[[str], Path], model: str, file: str
) -> None:
    directory = copied(model)
    (directory / file).write_text("not a model\n")
    _refused(directory, f"{directory / file} is not a SentencePiece model")


@pytest.mark.parametrize(
    ("model", "file"),
    [("opus", "tokenizer_config.json"), ("opus", "vocab.json"), ("opus", "target_vocab.json"), ("student", LEX)],
)
@pytest.mark.parametrize("to", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_no_file_that_is_missing(
    copied: Callable[[str], Path], model: str, file: str, to: str
) -> None:
    directory = copied(model)
    (directory / file).unlink(missing_ok=True)
    (directory / file).symlink_to(directory / (file if to == "itself" else "copied-without-it"))
    _refused(directory, f"{directory / file} is a link to a file that is not there")
