"""Writes DIR/fetched.json: what was fetched, from where, with which hashes, and when."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxadv.support import files

NAME = "fetched.json"


class Record:
    """The record in a folder. A missing or unreadable file counts as an empty record."""

    def __init__(self, folder: Path):
        self.path = folder / NAME
        try:
            content = json.loads(self.path.read_text())
        except files.UNREADABLE:
            content = {}
        self.content: dict[str, dict[str, Any]] = {}
        for section in ("archives", "networks", "pictures"):
            entry = content.get(section) if isinstance(content, dict) else None
            self.content[section] = entry if isinstance(entry, dict) else {}

    def add(self, section: str, facts: dict[str, Any]) -> None:
        """Add facts to a section, and write the file.

        Args:
            section: "archives", "networks" or "pictures".
            facts: the facts by name.

        Raises:
            InputError: if the file cannot be written.
        """
        self.content[section] |= facts
        files.write_atomically(self.path, (json.dumps(self.content, indent=2) + "\n").encode())

    def add_network(self, name: str, meta: Mapping[str, Any]) -> None:
        """Add a network.

        Args:
            name: the network.
            meta: the metadata of its checkpoint.

        Raises:
            InputError: if the file cannot be written.
        """
        keys = ("source", "source_sha256", "sha256", "converter")
        facts = {key: meta[key] for key in keys} | {"archive": meta["archive"]["sha256"]}
        self.add("networks", {name: facts | {"at": now()}})


def now() -> str:
    """The current time in UTC, in ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
