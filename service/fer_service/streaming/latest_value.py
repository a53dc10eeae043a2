"""A place for one thing: what is put there replaces what nobody has taken yet."""

import asyncio
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LatestValue(Generic[Item]):
    """Holds the newest item alone, between one that puts and one that takes on an event loop; nothing polls."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._filled = asyncio.Event()

    def put(self, item: Item) -> Item | None:
        """Offer an item; returns the older one that is dropped for it, if nobody has taken that."""
        dropped = self.remove()
        self._items.append(item)
        self._filled.set()
        return dropped

    async def take(self) -> Item:
        """The newest item, as soon as there is one."""
        await self._filled.wait()
        self._filled.clear()
        return self._items.pop()

    def remove(self) -> Item | None:
        """The item that waits, if one does; nothing waits then."""
        self._filled.clear()
        return self._items.pop() if self._items else None
