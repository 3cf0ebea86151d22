"""Decides whether files in a folder may be executed: only its user may be able to write there."""

import os
import stat
from pathlib import Path

seals_programs = False
"""True if this process seals compiled programs (`jaxadv.core.kept`). The command line sets it."""


def objection(folder: Path) -> str | None:
    """Say why the files in a folder cannot be trusted.

    The folder must belong to this user. Every folder above it must belong to this user or to root.
    Nobody else may be able to write to any of them. A folder such as /tmp, where users cannot
    remove the files of others, is allowed above it.

    Args:
        folder: an absolute path.

    Returns:
        The reason, or None if the files can be trusted.
    """
    if not hasattr(os, "getuid"):  # Windows separates users by other means
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
    """Whether another user but root has made a file, who had entry to its folder once.

    Raises OSError.
    """
    return hasattr(os, "getuid") and file.stat().st_uid not in (os.getuid(), 0)


def _is_alone(group: int) -> bool:
    """True if the group is root's, or has no member but this user.

    Many systems make such groups.
    """
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.getuid())
        return group == 0 or (
            group == user.pw_gid and set(grp.getgrgid(group).gr_mem) <= {user.pw_name}
        )
    except KeyError:
        return False
