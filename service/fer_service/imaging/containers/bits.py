"""Unsigned integers of any number of bits, as headers of video codecs have them."""

from fer_service.contract.errors import UndecodableImage


class Bits:
    """Reads integers, the highest bit first."""

    def __init__(self, data: bytes, name: str) -> None:
        """Begin at the first bit.

        Args:
            data: The bytes of a header.
            name: What the header is, for messages.
        """
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)
        self._name = name

    def read(self, count: int) -> int:
        """Return the next `count` bits.

        Raises:
            UndecodableImage: fewer are left.
        """
        self._left -= count
        if self._left < 0:
            raise UndecodableImage(f"the {self._name} is truncated")
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """Return the next number in Exp-Golomb code: zeros, a one, and as many bits as there were zeros.

        Raises:
            UndecodableImage: fewer bits are left, or the number has more than 32 bits.
        """
        zeros = 0
        while not self.read(1):
            zeros += 1
        if zeros > 32:
            raise UndecodableImage(f"the {self._name} is damaged")
        return (1 << zeros) - 1 + self.read(zeros)
