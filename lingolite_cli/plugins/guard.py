"""Plugins as the host calls them: whatever leaves their code is an error of theirs.

Owns what becomes of exceptions of plugins. A plugin that calls `sys.exit`, or that loses a pipe, must not end the
command as if it had done its work.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from typing import Any

from lingolite_cli.errors import ExitCode, LingoLiteError, out_of_memory
from lingolite_cli.process.interruption import is_requested

HOST = "lingolite"
"""The distribution of the plugins that come with the host. An unexpected exception of these is a bug of the host."""


_MISSING: Any = object()


class Guarded:
    """An object of a plugin: its methods are called under `errors_of`, everything else is as it is.

    Args:
        made: the object.
        who: whose it is, for messages.
        is_host: whether it comes with the host.
    """

    def __init__(self, made: object, who: str, *, is_host: bool) -> None:
        self._made = made
        self._who = who
        self._is_host = is_host

    def __getattr__(self, name: str) -> Any:
        """An attribute of the object; called where it is not on this one, so that a method is wrapped once."""
        if name == "_made":  # while this is being copied or unpickled
            raise AttributeError(name)
        who, is_host = self._who, self._is_host
        with errors_of(who, is_host=is_host):
            found = getattr(self._made, name, _MISSING)
        if found is _MISSING:
            raise AttributeError(f"{who} has no attribute `{name}`")
        if not callable(found):
            return found

        @wraps(found)
        def call(*arguments: Any, **keywords: Any) -> Any:
            try:  # a context manager takes 2 µs to enter, and a step of a small model 120
                result = found(*arguments, **keywords)
            except BaseException:
                with errors_of(who, is_host=is_host):
                    raise
            return _guarded_items(result, who, is_host=is_host) if isinstance(result, Generator) else result

        self.__dict__[name] = call
        return call


def _guarded_items(items: Generator[Any, Any, Any], who: str, *, is_host: bool) -> Generator[Any, Any, None]:
    """What a method gives one by one, each taken under `errors_of`: its code runs when it is asked for the next."""
    with closing(items):
        while True:
            with errors_of(who, is_host=is_host):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


@contextmanager
def errors_of(who: str, *, is_host: bool) -> Iterator[None]:
    """Turn what a plugin's code raises into an error that names it.

    Errors that name their cause already pass, and so do real interruptions, memory that runs out, and what a disk or
    the rights to it forbid: these are told at the top. Of the host's own plugins, other exceptions pass as bugs.

    Args:
        who: the plugin, for messages.
        is_host: whether it comes with the host.

    Raises:
        LingoLiteError: with the exit code of a broken plugin.
    """
    try:
        yield
    except (LingoLiteError, MemoryError, GeneratorExit):
        raise
    except KeyboardInterrupt as error:
        if is_requested():
            raise
        raise _failure(who, error) from error
    except Exception as error:
        if _is_of_the_machine(error) or (is_host and not isinstance(error, BrokenPipeError)):
            raise
        raise _failure(who, error) from error
    except BaseException as error:  # SystemExit above all
        raise _failure(who, error) from error


def describe(error: BaseException) -> str:
    """An exception in one line."""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _failure(who: str, error: BaseException) -> LingoLiteError:
    return out_of_memory(error) or LingoLiteError(
        f"{who} failed: {describe(error)}",
        hint="`lingolite -v …` shows where; its author can mend it",
        exit_code=ExitCode.PLUGIN,
    )


def _is_of_the_machine(error: Exception) -> bool:
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
    return isinstance(error, OSError) and error.errno in numbers
