"""Implements a hook that is none."""

from lingolite_cli.plugins.hookspecs import hookimpl


@hookimpl
def lingolite_backend() -> list[str]:
    """The host's hook is called `lingolite_backends`."""
    return []
