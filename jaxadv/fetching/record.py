"""DIR/fetched.json: what was brought, from where, with which hashes, and when."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxadv.support import files

NAME = "fetched.json"


class Record:
    """The file, read if it is there; a file that cannot be read counts as empty."""

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
        """Add facts to a section, with the time, and write the file. Raises InputError."""
        self.content[section] |= facts
        files.write_atomically(self.path, (json.dumps(self.content, indent=2) + "\n").encode())

    def add_network(self, name: str, meta: Mapping[str, Any]) -> None:
        """Add what a network's checkpoint says of itself. Raises InputError."""
        keys = ("source", "source_sha256", "sha256", "converter")
        facts = {key: meta[key] for key in keys} | {"archive": meta["archive"]["sha256"]}
        self.add("networks", {name: facts | {"at": now()}})


def now() -> str:
    """The time as UTC in ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
