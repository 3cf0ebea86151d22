"""The validation pictures from the study's archive, under the study's names."""

import json
import os
from pathlib import Path

from jaxadv.data import validation
from jaxadv.fetching import addresses, tarball
from jaxadv.fetching.bring import MB, Brought
from jaxadv.fetching.folder import MARK, PICTURE, Folder, count_pictures, marked
from jaxadv.support import files
from jaxadv.support.progress import Progress
from model_ports.errors import InputError

LARGEST = 2**26
"""Bytes that a picture may have; the largest of the validation set has about 15 million."""
UNFINISHED = ".unfinished"
"""The picture that is being written; a kill leaves it."""


def from_archive(brought: Brought, folder: Folder, *, progress: bool) -> int:
    """Unpack the pictures into DIR/pictures, which appears when it is whole.

    A picture that an interrupted call has unpacked is compared with the archive's, and written
    again if they differ. Files of other names are passed over.

    Args:
        brought: the archive, verified.
        folder: where they go.
        progress: show it on standard error.

    Returns:
        The number of pictures: 50,000, or as many as an archive has whose hash is the user's.

    Raises:
        InputError: the archive is damaged, has a picture twice, under a wrong label, or not all of
            them; or the disk is full. What is unpacked stays for the next call.
    """
    staging = folder.work / "pictures"
    try:
        if folder.pictures.exists():  # some of them were removed since
            os.replace(folder.pictures, staging)
        staging.mkdir(parents=True, exist_ok=True)
        for name in (MARK, UNFINISHED):
            (staging / name).unlink(missing_ok=True)
    except OSError as error:
        raise files.cannot_write(staging, error) from None
    labels = validation.study_labels()
    seen: set[int] = set()
    total = brought.path.stat().st_size // MB
    with Progress("unpack pictures", total, "MB", show=progress) as bar:
        for member in tarball.members(
            brought.path, report=lambda at: bar.advance(at // MB - bar.count)
        ):
            match = PICTURE.fullmatch(member.name)
            label, number = (int(match[1]), int(match[2])) if match else (0, 0)
            if not member.is_file or not 1 <= number <= validation.COUNT:
                continue
            if number in seen:
                raise InputError(f"{brought.path} has picture {number:08d} twice; give another")
            if label != labels[number - 1] + 1:
                raise InputError(
                    f"{brought.path} has {member.name}; the label of picture {number:08d} is "
                    f"{labels[number - 1] + 1} in the study's names: give another"
                )
            seen.add(number)
            _write(member, staging)
    _finish(brought, folder, staging, len(seen))
    return len(seen)


def _write(member: tarball.Member, folder: Path) -> None:
    if member.size > LARGEST:
        raise InputError(
            f"{member.path} has {member.size} bytes in the archive, {LARGEST} at most are expected "
            "of a picture; give another archive"
        )
    content = b"".join(member.blocks())
    path = folder / member.name
    temporary = folder / UNFINISHED
    try:
        if path.exists() and path.read_bytes() == content:
            return
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise files.cannot_write(path, error) from None


def _finish(brought: Brought, folder: Folder, staging: Path, count: int) -> None:
    """Raises InputError unless all pictures are there, and no others."""
    wanted = addresses.PICTURES if brought.recorded else count
    if not count or count != wanted:
        raise InputError(
            f"{brought.path} has {count} pictures named LABEL.NNNNNNNN.jpg, {wanted or 'some'} are "
            "needed; give another archive"
        )
    others = count_pictures(staging) - count
    if others:
        raise InputError(
            f"{staging} has {others} pictures that are not of {brought.path}; remove that folder, "
            "and give the same command again"
        )
    mark = marked(brought.sha256, count)
    try:
        (staging / MARK).write_text(json.dumps(mark) + "\n")
        os.replace(staging, folder.pictures)
        files.sync_folder(folder.to)
    except OSError as error:
        raise files.cannot_write(folder.pictures, error) from None
