"""Folders whose files are executed: only its user may be able to write there."""

import os
import stat
from pathlib import Path

seals_programs = False
"""Whether compiled programs are sealed in this process (`jaxadv.core.kept`), as the command line wants."""


def objection(folder: Path) -> str | None:
    """Why files in a folder cannot be trusted, in words; None if they can.

    It, and every folder above it, must belong to this user or to root, and nobody else may write there. In folders that anybody may
    write but where nobody can remove others' files, such as /tmp, this holds for what is below them.
    """
    if not hasattr(os, "getuid"):  # Windows keeps users apart otherwise
        return None
    inside = True
    for place in (folder, *folder.parents):
        try:
            state = place.stat()
        except OSError as error:
            return f"{str(place)!r} cannot be looked at ({error.strerror or error})"
        if state.st_uid not in (os.getuid(), 0) or (inside and state.st_uid != os.getuid()):
            return f"{str(place)!r} belongs to another user"
        sticky = not inside and state.st_mode & stat.S_ISVTX
        if state.st_mode & stat.S_IWOTH and not sticky:
            return f"anybody may write to {str(place)!r}"
        if state.st_mode & stat.S_IWGRP and not sticky and not _is_alone(state.st_gid):
            return f"others of its group may write to {str(place)!r}"
        inside = False
    return None


def belongs_to_another(file: Path) -> bool:
    """Whether another user but root has made a file, who had entry to its folder once. Raises OSError."""
    return hasattr(os, "getuid") and file.stat().st_uid not in (os.getuid(), 0)


def _is_alone(group: int) -> bool:
    """Whether a group is root's, or has this user alone, as many systems make one for each user."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.getuid())
        return group == 0 or (
            group == user.pw_gid and set(grp.getgrgid(group).gr_mem) <= {user.pw_name}
        )
    except KeyError:
        return False
