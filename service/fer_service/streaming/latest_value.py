"""A slot for one item, where a newer item replaces an older one."""

import asyncio
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LatestValue(Generic[Item]):
    """Passes the newest item from one producer to one consumer of an event loop, without polling."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._filled = asyncio.Event()

    def put(self, item: Item) -> Item | None:
        """Store an item and return the one that it replaces, if any."""
        dropped = self.remove()
        self._items.append(item)
        self._filled.set()
        return dropped

    async def take(self) -> Item:
        """Wait for an item and remove it from the slot."""
        while not self._items:  # the item may have been removed before this continues
            await self._filled.wait()
        self._filled.clear()
        return self._items.pop()

    def remove(self) -> Item | None:
        """Empty the slot and return its item, if any."""
        self._filled.clear()
        return self._items.pop() if self._items else None
