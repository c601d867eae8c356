"""Where the starter model is: an English-Danish bundle with its test set, dev set, licence and model card.

Owns the place. The wheel has it as data of `lingolite_cli`; in the source tree it lies beside the recipes that use it.
"""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.errors import ExitCode, LingoLiteError

STARTER_FILES = (
    "LICENSE",
    "README.md",
    "dev.en-da.tsv",
    "model/lingolite.json",
    "model/model.safetensors",
    "model/tokenizer.model",
    "test.en-da.tsv",
)
STARTER_LANGUAGES = ("en", "da")

_HOST = Path(__file__).parents[1]
_PLACES = (_HOST / "starter", _HOST.parent / "recipes" / "starter-en-da")


def starter_directory() -> Path:
    """The directory with `STARTER_FILES`.

    Raises:
        LingoLiteError: this installation has none.
    """
    for place in _PLACES:
        if all((place / name).is_file() for name in STARTER_FILES):
            return place
    raise LingoLiteError(
        "this installation has no starter model",
        hint="install the wheel of lingolite, or name a model of your own: `lingolite init --model DIR --test FILE`",
        exit_code=ExitCode.PLUGIN,
    )
