"""What the parts of the lab have in common: they are closed at the end of a `with` block."""

from types import TracebackType
from typing import Self


class Closing:
    """Closed when its `with` block is left."""

    def close(self) -> None:
        """Let go of what is held."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()
