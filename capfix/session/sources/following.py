"""Following interfaces that come and go: from what happens to links to what the sources do.

The kernel is listened to with asyncio, as pyroute2 has it, in a thread of its own; what is heard is acted upon in the
capture's loop.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence

from capfix.kernel.link_events import LinkEvents
from capfix.kernel.links import LinkEvent
from capfix.runtime.loop import Loop
from capfix.session.sources.attachment import Attachment
from capfix.session.sources.packet import PacketSource


class Follower:
    """Tells which source is to be attached to which link, and which is to be detached from its own.

    A source that has an interface already is not told of it again. All is told in `loop`.
    """

    def __init__(
        self,
        loop: Loop,
        sources: Sequence[PacketSource],
        attach: Callable[[PacketSource, LinkEvent], None],
        detach: Callable[[PacketSource, LinkEvent], None],
        renew: Callable[[PacketSource, LinkEvent], None],
        caught_up: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """`renew` is called when something about the attached link may be different, `caught_up` once: when all links
        that are there at the beginning have been looked at, and `on_failure` when the kernel tells no more of them.
        """
        self._loop = loop
        self._attachments = [(source, Attachment(source.name)) for source in sources]
        self._attach = attach
        self._detach = detach
        self._renew = renew
        self._caught_up = caught_up
        self._is_caught_up = False
        self._on_failure = on_failure
        self._events_loop = asyncio.new_event_loop()
        self._following = self._events_loop.create_task(self._follow())
        self._thread = threading.Thread(target=self._run, name="capfix-links", daemon=True)

    def start(self) -> None:
        """Begin to follow the links of this network namespace."""
        self._thread.start()

    def close(self) -> None:
        """Follow them no more."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._events_loop.call_soon_threadsafe(self._following.cancel)
        self._thread.join()

    def _run(self) -> None:
        """Have asyncio run until nobody follows any more. In a thread of its own."""
        try:
            self._events_loop.run_until_complete(self._following)
        except asyncio.CancelledError:
            pass
        except Exception as exc:  # in a thread nobody else would hear of it
            self._loop.call_soon_threadsafe(self._on_failure, exc)
        finally:
            self._events_loop.close()

    async def _follow(self) -> None:
        async with LinkEvents() as events:
            async for links in events:
                self._loop.call_soon_threadsafe(self._take, links)

    def _take(self, links: list[LinkEvent]) -> None:
        for link in links:
            self._apply(link)
        if not self._is_caught_up:
            self._is_caught_up = True
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
