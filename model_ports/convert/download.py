"""The checkpoints that TF-Slim published, from their public addresses: fetched, verified, unpacked, nothing executed.

Each address is the one that its publisher's page names. A checksum stands there only where an independent packager has
published it; otherwise what arrives is held against its announced length, the archive's own checksum, and the weight map.
AlexNet has no entry, because its public file is a pickle; the DenseNets', because theirs have no plain address.
"""

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from model_ports.errors import InputError

Report = Callable[[int, int | None], None]
"""Called with the bytes received so far, and their number in the end where it is known."""


class Address(NamedTuple):
    """A gzipped tar archive with one checkpoint."""

    url: str
    sha256: str | None = None  # of the archive


_SLIM = "http://download.tensorflow.org/models/"  # github.com/tensorflow/models, research/slim/README.md of 2018
_HTTPS = "https://storage.googleapis.com/download.tensorflow.org/models/"  # nasnet: the same page
_MOBILENETS = _HTTPS + "mobilenet_v1_2018_02_22/"  # TensorFlow Lite's table of models; checksums: Yocto recipes that package them

ADDRESSES = {
    "vgg_16": Address(_SLIM + "vgg_16_2016_08_28.tar.gz"),
    "vgg_19": Address(_SLIM + "vgg_19_2016_08_28.tar.gz"),
    "inception_v1": Address(_SLIM + "inception_v1_2016_08_28.tar.gz"),
    "inception_v2": Address(_SLIM + "inception_v2_2016_08_28.tar.gz"),
    "inception_v3": Address(_SLIM + "inception_v3_2016_08_28.tar.gz"),
    "inception_v4": Address(_SLIM + "inception_v4_2016_09_09.tar.gz"),
    "inception_resnet_v2": Address(_SLIM + "inception_resnet_v2_2016_08_30.tar.gz"),
    "resnet_v2_50": Address(_SLIM + "resnet_v2_50_2017_04_14.tar.gz"),
    "resnet_v2_101": Address(_SLIM + "resnet_v2_101_2017_04_14.tar.gz"),
    "resnet_v2_152": Address(_SLIM + "resnet_v2_152_2017_04_14.tar.gz"),
    "mobilenet_v1_025": Address(
        _MOBILENETS + "mobilenet_v1_0.25_128.tgz", "34c52de7562259f66399993ef5ea222cc625d2e6f6f886a01fdc6cc99a0c7ee6"
    ),
    "mobilenet_v1_050": Address(
        _MOBILENETS + "mobilenet_v1_0.5_160.tgz", "fb01b76ca1fb053e5f98d297e21c6c53d0d9f6a8b02ad2e88ac22b33b2adf729"
    ),
    "mobilenet_v1_100": Address(
        _MOBILENETS + "mobilenet_v1_1.0_224.tgz", "1ccb74dbd9c5f7aea879120614e91617db9534bdfaa53dfea54b7c14162e126b"
    ),
    "nasnet_large": Address(_HTTPS + "nasnet-a_large_04_10_2017.tar.gz"),
}

LIMIT = 2**31  # bytes of an archive, and of what it unpacks to; the largest has about 0.7 GB
_BLOCK = 2**18
_TIMEOUT = 30  # seconds without a byte
_CHECKPOINT = re.compile(r"([\w.-]+\.ckpt)(?:-\d+)?(\.index|\.data-\d{5}-of-\d{5})?")


def source(model: str, folder: str | Path, *, report: Report = lambda received, total: None) -> Path:
    """Fetch and unpack the checkpoint of a network into `folder`; the path that `sources.find` reads. Raises InputError.

    What is there already is not fetched again.
    """
    if model not in ADDRESSES:
        raise InputError(f"no public address of {model}'s weights is known; known: {', '.join(ADDRESSES)}; give --source=FILE")
    return unpack(fetch(ADDRESSES[model], folder, report=report), Path(folder) / model)


def fetch(address: Address, folder: str | Path, *, report: Report = lambda received, total: None) -> Path:
    """The archive in `folder`, under its own name only when it is whole; <name>.part is continued. Raises InputError."""
    target = Path(folder) / PurePosixPath(address.url).name
    part, tag = target.with_name(target.name + ".part"), target.with_name(target.name + ".tag")
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _receive(address.url, part, tag, report)
            except urllib.error.HTTPError as error:
                if error.code != 416:  # the part has as many bytes as the file, or more
                    raise
                error.close()
                part.unlink(missing_ok=True)
                _receive(address.url, part, tag, report)
            _verify(address, part)
            os.replace(part, target)
            tag.unlink(missing_ok=True)
        elif address.sha256 is not None:
            _verify(address, target)
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"{address.url} is refused ({error.code} {error.reason}); get the file elsewhere and give --source=FILE") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        kept = f"{part.stat().st_size} bytes are kept, give the same command to go on" if part.exists() else "nothing was written"
        raise InputError(f"{address.url} cannot be reached ({reason}); {kept}, or give --source=FILE") from None
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror or error}); give another --weights_dir") from None
    return target


def _receive(url: str, part: Path, tag: Path, report: Report) -> None:
    """Bring `part` to the announced length; what is there is continued if the server still has that very file (by ETag)."""
    have = part.stat().st_size if part.exists() and tag.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": tag.read_text()} if have else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as answer:
        if answer.status != 206 or not (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdigit() else None
        if (total or 0) > LIMIT:
            raise InputError(f"{url} says to have {total} bytes, more than {LIMIT}; get the file elsewhere and give --source=FILE")
        same = answer.headers.get("ETag", "")
        if same and not same.startswith("W/"):
            tag.write_text(same)
        else:
            tag.unlink(missing_ok=True)
        with open(part, "ab" if have else "wb") as file:
            while block := answer.read(_BLOCK):
                have += len(block)
                if have > LIMIT:
                    raise InputError(f"{url} has more than {LIMIT} bytes; get the file elsewhere and give --source=FILE")
                file.write(block)
                report(have, total)
    if total is not None and have != total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _verify(address: Address, path: Path) -> None:
    if address.sha256 is None:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != address.sha256:
        path.unlink()
        raise InputError(
            f"{address.url} gave a file of SHA-256 {found}, not {address.sha256}; it was removed: try again or give --source=FILE"
        )


def unpack(archive: Path, folder: Path) -> Path:
    """The files of the one checkpoint in an archive, in `folder`, all or none; returns the prefix, or the file of version 1.

    Other members (graphs, mobile models) stay packed. Raises InputError for damage, and for members outside the folder.
    """
    if folder.exists():
        shutil.rmtree(folder)  # of an earlier call: an archive is unpacked in seconds
    workspace = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        extracted = (_extract(tar, member, workspace) for tar, member in _members(archive))
        prefixes = {prefix for prefix in extracted if prefix is not None}
        if len(prefixes) != 1:
            raise InputError(f"{archive} has {len(prefixes)} checkpoints; one is needed: unpack it yourself and give --source=FILE")
        os.replace(workspace, folder)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(f"{archive} is damaged or cut short ({error}); remove it and give the same command again") from None
    except OSError as error:
        raise InputError(f"{archive} cannot be unpacked ({error.strerror or error}); remove it and give the same command again") from None
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return folder / prefixes.pop()


def _members(archive: Path):
    left = LIMIT
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            parts = PurePosixPath(member.name)
            if parts.is_absolute() or ".." in parts.parts:
                raise InputError(f"{archive} has a member {member.name!r} outside its folder; nothing was unpacked: give another file")
            left -= member.size
            if left < 0:
                raise InputError(f"{archive} unpacks to more than {LIMIT} bytes; nothing was unpacked: give another file")
            yield tar, member


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str | None:
    """Write a file of a checkpoint under its bare name; its prefix, None for any other member."""
    name = PurePosixPath(member.name).name
    match = _CHECKPOINT.fullmatch(name)
    if not match or not member.isfile() or not (source := tar.extractfile(member)):
        return None
    with source as stream, open(folder / name, "xb") as file:
        shutil.copyfileobj(stream, file, _BLOCK)
    return name.removesuffix(match[2] or "")
