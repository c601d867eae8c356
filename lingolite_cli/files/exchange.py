"""Two paths exchanged in one step, where the system can: at no moment is one of them missing.

Owns the system calls. What is done where there is none is the caller's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Of Linux's renameat2(2)."""
_RENAME_SWAP = 2
"""Of macOS' renamex_np(2)."""


def exchange(first: Path, second: Path) -> bool:
    """Let two paths of one file system, which both exist, change places.

    Returns:
        Whether that was done; not where the system or the file system cannot.
    """
    import ctypes  # 5 ms that most commands need not pay for

    if sys.platform == "linux":
        name, arguments = "renameat2", (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    elif sys.platform == "darwin":
        name, arguments = "renamex_np", (os.fsencode(first), os.fsencode(second), _RENAME_SWAP)
    else:
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    return call is not None and call(*arguments) == 0
