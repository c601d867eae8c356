"""The executor of this machine."""

from lingolite_cli.testing import ExecutorContract


class TestLocal(ExecutorContract):
    plugin = "local"
