"""An array in a message between processes: its shape and type in the message, its numbers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from lingolite_cli.workers.channel import Attachment

if TYPE_CHECKING:
    from lingolite_cli.arrays import Array

ElementType = Literal["bool", "int64", "float32"]


class SentArray(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An array of `shape`, at least one-dimensional, row by row; its numbers are not copied at either end."""

    shape: tuple[int, ...]
    type: ElementType
    numbers: Attachment

    @classmethod
    def of(cls, array: Array, kind: ElementType) -> SentArray:
        """To be sent as `kind`, before the array changes."""
        contiguous = np.ascontiguousarray(array, kind)
        return cls(shape=contiguous.shape, type=kind, numbers=Attachment(contiguous.reshape(-1).view(np.uint8).data))

    @property
    def array(self) -> Array:
        """What was sent; it cannot be written to."""
        return np.frombuffer(self.numbers.content, self.type).reshape(self.shape)
