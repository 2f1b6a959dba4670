"""The map between text ids, the only ones that people see, and dense indices, the only ones that arrays know."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


class IdMap:
    """Text ids in byte order, packed so that a model file carries them and a look-up needs no dictionary.

    Attributes:
        blob: uint8, all ids in UTF-8, one after the other.
        offsets: int64 (n + 1,), where each id begins in `blob`.
    """

    def __init__(self, blob: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self.blob = blob
        self.offsets = offsets

    @classmethod
    def from_sorted(cls, texts: Iterable[str]) -> "IdMap":
        """Pack distinct ids that are already in byte order."""
        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, IdMap)
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.blob, other.blob)
        )

    __hash__ = None  # type: ignore[assignment]

    def text(self, index: int) -> str:
        """Return the id at a dense index."""
        return self._bytes(index).decode()

    def texts(self) -> list[str]:
        """Return all ids in order."""
        blob, offsets = self.blob.tobytes(), self.offsets.tolist()
        return [blob[start:stop].decode() for start, stop in pairwise(offsets)]

    def index(self, text: str) -> int | None:
        """Return the dense index of an id by binary search, or None where it is unknown."""
        wanted = text.encode(errors="surrogatepass")  # bytes no map holds, so that undecodable input is just unknown
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._bytes(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self._bytes(low) == wanted else None

    def _bytes(self, index: int) -> bytes:
        return self.blob[self.offsets[index] : self.offsets[index + 1]].tobytes()
