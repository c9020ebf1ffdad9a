"""Following interfaces that come and go: from what happens to links to what the sources do."""

from collections.abc import Callable, Sequence

from capfix.attachment import Attachment, LinkEvent
from capfix.kernel.link_events import LinkEvents
from capfix.session.source import PacketSource


class Follower:
    """Tells which source is to be attached to which link, and which is to be detached from its own.

    `run` goes on until it is cancelled. A source that has an interface already is not told of it again.
    """

    def __init__(
        self,
        sources: Sequence[PacketSource],
        attach: Callable[[PacketSource, LinkEvent], None],
        detach: Callable[[PacketSource, LinkEvent], None],
        renew: Callable[[PacketSource, LinkEvent], None],
        caught_up: Callable[[], None],
    ) -> None:
        """`renew` is called when something about the attached link may be different, and `caught_up` once: when all
        links that are there at the beginning have been looked at.
        """
        self._attachments = [(source, Attachment(source.name)) for source in sources]
        self._attach = attach
        self._detach = detach
        self._renew = renew
        self._caught_up = caught_up

    async def run(self) -> None:
        """Follow the links of this network namespace.

        Raises:
            CaptureError: the kernel does not tell of them.
        """
        async with LinkEvents() as events:
            is_first = True
            async for batch in events:
                for event in batch:
                    self._apply(event)
                if is_first:
                    is_first = False
                    self._drop_the_absent()
                    self._caught_up()

    def _apply(self, event: LinkEvent) -> None:
        for source, attachment in self._attachments:
            change = attachment.apply(event)
            for link in change.gone:
                self._detach(source, link)
            for link in change.come:
                if link.ifindex not in source.attached:
                    self._attach(source, link)
            if not change and event.present and event.ifindex in source.attached:
                self._renew(source, event)

    def _drop_the_absent(self) -> None:
        """Detach sources whose interface went between the start of the capture and the first list of links."""
        for source, attachment in self._attachments:
            present = {link.ifindex for link in attachment.present}
            for ifindex in sorted(source.attached - present):
                self._detach(source, LinkEvent(ifindex, source.name_of(ifindex), False, False, 0))
