"""What servers must be able to do. Interfaces of other kinds of plugin are in `interfaces`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lingolite_cli.serving.sample import SampleLog
    from lingolite_cli.serving.service import TranslationService


class Server(Protocol):
    """Answers clients by a protocol. Made by `factory(options=OPTIONS)`."""

    def check(self) -> None:
        """Refuse what can be refused before a model is opened, such as an address that is taken.

        Raises:
            LingoLiteError: it cannot be served like this.
        """

    def serve(self, service: TranslationService, log: SampleLog | None) -> None:
        """Serve until the process is asked to end, and then until every request that was accepted is answered.

        Args:
            service: translates. It is used in one event loop.
            log: where requests are recorded, if anywhere: each as `TranslationService.sample` has it.
        """

    def close(self) -> None:
        """Free what `check` took. It is not used again."""
