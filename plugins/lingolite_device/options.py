"""Options of the exporter and of the backend, and the name of the format; cheap to import."""

from __future__ import annotations

from pathlib import Path

import msgspec

FORMAT = "device"
CARRIED = ("coreml", "litert", "onnx")
"""Formats whose files a device bundle can carry."""


class DeviceExportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes with the model files.

    Attributes:
        zip: write one file, `app.zip`, in the place of the files that it holds.
        sentences: a text file with the sentences of the goldens, one a line. Default: a few sentences in the source
            language, and some that tokenizers stumble over.
        source_language: of the goldens. Default: the first language that the model translates from.
        target_language: of the goldens. Default: the first that it translates to from there.
        backend: that computes the goldens. Default: the first that runs the model files.
    """

    zip: bool = False
    sentences: str | None = None
    source_language: str | None = None
    target_language: str | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        if (self.source_language is None) != (self.target_language is None):
            raise ValueError("source_language and target_language are given together, or neither")

    def files(self) -> list[Path]:
        """The text of the goldens, if one is named."""
        return [] if self.sentences is None else [Path(self.sentences)]


class DeviceBackendOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model files are run.

    Attributes:
        backend: that runs them. Default: the first that runs their format.
    """

    backend: str | None = None
