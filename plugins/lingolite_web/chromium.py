"""Where Chromium is on this machine, found without starting anything.

Owns the names of its program. Which of those that are found a browser is started from is decided by
`lingolite_web.browser`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium_on_path() -> str | None:
    """The program on the path."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def what_is_lacking() -> str | None:
    """That there is no Chromium, in words; None where there is one."""
    if chromium_on_path() is not None or any(_playwright_browsers().glob("chromium*")):
        return None
    return "there is no Chromium; `playwright install chromium` brings one"


def _playwright_browsers() -> Path:
    """Where Playwright keeps the browsers that it installed."""
    chosen = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    if chosen and chosen != "0":
        return Path(chosen)
    caches = {"darwin": Path.home() / "Library/Caches", "win32": Path.home() / "AppData/Local"}
    return caches.get(sys.platform, Path.home() / ".cache") / "ms-playwright"
