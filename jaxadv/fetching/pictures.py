"""Unpacks the validation pictures from the study's archive, under the study's names."""

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
"""The largest allowed picture in bytes. The largest of the validation set has about 15 million."""
UNFINISHED = ".unfinished"
"""The picture that is being written. It remains if the process is killed."""


def from_archive(brought: Brought, folder: Folder, *, progress: bool) -> int:
    """Unpack the pictures into DIR/pictures, which appears when it is complete.

    A picture that an interrupted call unpacked is compared with the archive's, and replaced if they
    differ. Files with other names are ignored.

    Args:
        brought: the verified archive.
        folder: the folder for the pictures.
        progress: True to show progress on standard error.

    Returns:
        The number of pictures: 50,000, or what the archive has if its hash is the user's.

    Raises:
        InputError: if the archive is damaged, if a picture is missing, in it twice or has a wrong
            label, or if the disk is full. Unpacked pictures stay for the next call.
    """
    staging = folder.work / "pictures"
    try:
        if folder.pictures.exists():  # but pictures in it are missing
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
            label = int(match[1]) if match else 0
            number = int(match[2]) if match else 0
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
            f"{member.path} has {member.size} bytes in the archive; a picture of at most {LARGEST} "
            "is expected: give another archive"
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
    """Move the pictures to their final folder if they are complete, and no others are there."""
    wanted = addresses.PICTURES if brought.recorded else count
    if not count or count != wanted:
        raise InputError(
            f"{brought.path} has {count} pictures named LABEL.NNNNNNNN.jpg, {wanted or 'some'} are "
            "needed; give another archive"
        )
    others = count_pictures(staging) - count
    if others:
        raise InputError(
            f"{staging} has {others} pictures that are not in {brought.path}; remove that folder, "
            "and give the same command again"
        )
    mark = marked(brought.sha256, count)
    try:
        (staging / MARK).write_text(json.dumps(mark) + "\n")
        os.replace(staging, folder.pictures)
        files.sync_folder(folder.to)
    except OSError as error:
        raise files.cannot_write(folder.pictures, error) from None
