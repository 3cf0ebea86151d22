"""Loads pictures into arrays. Threads decode ahead; a cache on disk may keep decoded pictures."""

import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL

from jaxadv.data.cache import Shard, read_shard, write_shard
from jaxadv.data.pictures import Reading, Unusable, floats
from jaxadv.data.source import Source, fingerprint
from jaxadv.support import checks
from model_ports.errors import InputError

SHARD = 32
"""The number of pictures that are decoded, cached and returned together. With 128, conversion to
floats took longer and 2.4 times the memory."""


class Dropped(NamedTuple):
    """A picture that is left out."""

    image_id: int
    name: str
    label: int
    # "not RGB (mode L)", "unreadable (...)", "tiny (...)", "too large (...)", "narrow (...)"
    reason: str
    digest: str = ""  # SHA-256 of the file's bytes


class Batch(NamedTuple):
    """Pictures in the order of the selection, and the pictures that were left out."""

    images: np.ndarray  # (N, S, S, 3) float32 in [0, 1]
    labels: np.ndarray  # (N,) int32
    ids: np.ndarray  # (N,) int64
    dropped: list[Dropped]
    digests: list[str]  # N, SHA-256 of the decoded bytes; empty strings without `Source.content`


class Pictures:
    """A selection of a source, at one size. Iterate over it for batches.

    Args:
        source: the pictures.
        chosen: (n,) indices into the source.
        size: the side of the images, in pixels.
        reading: how pictures become images; the study's way if not given.
        cache: a folder for decoded pictures. Without one, pictures are decoded at each use.
        threads: how many threads decode; one per processor if not given.

    Raises:
        InputError: for an unknown preprocessing or an impossible number of threads.
    """

    def __init__(
        self,
        source: Source,
        chosen: np.ndarray,
        *,
        size: int,
        reading: Reading | None = None,
        cache: Path | None = None,
        threads: int | None = None,
    ):
        self.reading = reading or Reading()
        self.reading.check()
        self.threads = os.cpu_count() or 1 if threads is None else threads
        checks.count("threads", self.threads)
        self.source = source
        self.size = size
        self.cache = cache
        self._shards = [chosen[start : start + SHARD] for start in range(0, len(chosen), SHARD)]

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches of up to `SHARD` pictures. Meanwhile threads decode the next batches.

        Raises:
            InputError: if the cache cannot be written.
        """
        ahead = -(-2 * self.threads // SHARD)  # at least two pictures per thread
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                begun: list[Shard | list[Future]] = []
                for number, indices in enumerate(self._shards):
                    begun.append(
                        self._cached(number)
                        or [pool.submit(self._draw, index) for index in indices]
                    )
                    if number >= ahead:
                        yield self._finish(number - ahead, begun.pop(0))
                while begun:
                    yield self._finish(len(self._shards) - len(begun), begun.pop(0))
            finally:
                pool.shutdown(cancel_futures=True)

    def load(self) -> Batch:
        """Load all pictures into one batch, with 4 bytes per value: 1000 images of 224 x 224 take
        0.6 GB.
        """
        batches = list(self)
        if not batches:
            return Batch(
                np.zeros((0, self.size, self.size, 3), np.float32),
                np.zeros(0, np.int32),
                np.zeros(0, np.int64),
                [],
                [],
            )
        images, labels, ids, dropped, digests = zip(*batches, strict=True)
        return Batch(
            np.concatenate(images),
            np.concatenate(labels),
            np.concatenate(ids),
            sum(dropped, []),
            sum(digests, []),
        )

    def take(self, ids: np.ndarray, digests: Sequence[str] | None = None) -> np.ndarray:
        """Load images by their ids. No other image is read.

        Args:
            ids: (n,) ids of selected images that were not left out.
            digests: the SHA-256 of the bytes that each image was decoded from before, or None.

        Returns:
            (n, S, S, 3) float32 in [0, 1].

        Raises:
            InputError: for an id that was not selected, or a picture that is unusable or changed.
        """
        images = np.empty((len(ids), self.size, self.size, 3), np.float32)
        cached = {
            number: self._cached(number)
            for number in {self._place(image_id)[0] for image_id in ids}
        }

        def fill(row: int) -> None:
            number, place = self._place(ids[row])
            shard = cached[number]
            index = self._shards[number][place]
            if shard and place not in shard.reasons:
                picture = shard.images[shard.kept.index(place)]
                digest = shard.digests[place]
            else:
                picture, digest = self._draw(index)
            if digests is not None:
                check_digest(self.source, index, digests[row], digest)
            if isinstance(picture, str):
                raise InputError(
                    f"{self.source.names[index]!r} of data {self.source.name!r} is {picture}; put "
                    "it back as it was"
                )
            images[row] = floats(picture)

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(fill, range(len(ids))))
        return images

    def _place(self, image_id: int) -> tuple[int, int]:
        """The number of the shard that has an image, and the place of the image in it."""
        if int(image_id) not in self._positions:
            raise InputError(
                f"image {image_id} is not among those selected of data {self.source.name!r}; "
                "select as before"
            )
        return divmod(self._positions[int(image_id)], SHARD)

    @functools.cached_property
    def _positions(self) -> dict[int, int]:
        return {
            int(self.source.ids[index]): at
            for at, index in enumerate(index for shard in self._shards for index in shard)
        }

    def _draw(self, index: int) -> tuple[np.ndarray | str, str]:
        """A picture or the reason why it is left out, and its digest."""
        picture, digest = self.source.picture(int(index), self.size, self.reading)
        return (str(picture) if isinstance(picture, Unusable) else picture), digest

    def _finish(self, number: int, begun: Shard | list[Future]) -> Batch:
        source = self.source
        indices = self._shards[number]
        if isinstance(begun, Shard):
            shard = begun
        else:
            drawn, digests = zip(*(future.result() for future in begun), strict=True)
            shard = Shard.of(list(drawn), self.size, list(digests))
            if self.cache:
                write_shard(self.cache, self._name(number), shard, self._stamps(number))
        used = indices[shard.kept]
        dropped: list[Dropped] = []
        for place, reason in shard.reasons.items():
            index = int(indices[place])
            facts = int(source.ids[index]), source.names[index], int(source.labels[index])
            dropped.append(Dropped(*facts, reason, shard.digests[place]))
        digests = [shard.digests[place] for place in shard.kept]
        return Batch(floats(shard.images), source.labels[used], source.ids[used], dropped, digests)

    def _cached(self, number: int) -> Shard | None:
        return (
            read_shard(self.cache, self._name(number), self._stamps(number)) if self.cache else None
        )

    def _stamps(self, number: int) -> list[list[int]]:
        stamp = self.source.stamp
        return [stamp(int(index)) for index in self._shards[number]] if stamp else []

    def _name(self, number: int) -> str:
        """The name of a shard's files: a hash of everything that determines its pixels."""
        return fingerprint(
            self.source.fingerprint,
            self._shards[number].tolist(),
            self.size,
            *self.reading,
            PIL.__version__,
        )


def check_digest(source: Source, index: int, known: str, digest: str) -> None:
    """Check that a picture has not changed since a run classified it.

    Args:
        source: the source, for the message.
        index: the picture's index in it.
        known: the picture's SHA-256 at that time; empty if it is unknown.
        digest: the picture's SHA-256 now; empty if it is unreadable.

    Raises:
        InputError: if the two differ.
    """
    if known and known != digest:
        raise InputError(
            f"{source.names[index]!r} of data {source.name!r} is not what it was when the run "
            f"classified it (SHA-256 {known[:12]}... then, {digest[:12] or 'unreadable'}... now); "
            "put it back, or give another --out"
        )
