"""Folders whose files are executed: who may write there decides, and above them too."""

import os
import stat
from types import SimpleNamespace

import pytest

from jaxadv.support import compilation, trust

ME, OTHER, GROUP = 1000, 1001, 50
STICKY = stat.S_ISVTX


class Folder:
    """A folder of some user with some rights, and those above it, the nearest first."""

    def __init__(self, mode: int, *above: "Folder", user: int = ME, group: int = GROUP):
        self.parents, self._mode, self._user, self._group = above, mode, user, group

    def stat(self) -> SimpleNamespace:
        if self._user < 0:
            raise PermissionError(13, "Permission denied")
        return SimpleNamespace(st_uid=self._user, st_gid=self._group, st_mode=self._mode)

    def __str__(self) -> str:
        return f"folder of {self._user}"


HOME, ROOT = Folder(0o755), Folder(0o755, user=0)


@pytest.fixture(autouse=True)
def me(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: ME)
    monkeypatch.setattr(trust, "_is_alone", lambda group: group == 7)


@pytest.mark.parametrize(
    "folder",
    [
        Folder(0o700, HOME, ROOT),
        Folder(0o755, HOME, ROOT),
        Folder(0o775, HOME, ROOT, group=7),  # a group of its own
        Folder(0o700, Folder(0o777 | STICKY, user=0), ROOT),  # in /tmp
        Folder(0o700, Folder(0o775 | STICKY, user=0), ROOT),
    ],
)
def test_folders_that_are_used(folder):
    assert trust.objection(folder) is None


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (Folder(0o777, HOME, ROOT), "anybody may write to 'folder of 1000'"),
        (Folder(0o777 | STICKY, HOME, ROOT), "anybody may write"),  # here others may add files
        (Folder(0o775, HOME, ROOT), "others of its group may write"),
        (Folder(0o700, HOME, ROOT, user=OTHER), "'folder of 1001' belongs to another user"),
        (Folder(0o755, HOME, ROOT, user=0), "belongs to another user"),
        (Folder(0o700, Folder(0o700, user=OTHER), ROOT), "belongs to another user"),
        (Folder(0o700, Folder(0o777), ROOT), "anybody may write"),  # who may rename what is in it
        (Folder(0o700, HOME, Folder(0o775, user=0)), "others of its group may write"),
        (Folder(0o700, Folder(0o755, user=-1), ROOT), "cannot be looked at (Permission denied)"),
    ],
)
def test_folders_that_are_not(folder, words):
    assert words in (trust.objection(folder) or "")


def test_without_users_nothing_is_objected(monkeypatch):
    monkeypatch.delattr(os, "getuid")
    assert trust.objection(Folder(0o777)) is None


def test_a_group_of_its_user_alone(monkeypatch):
    import grp
    import pwd

    monkeypatch.undo()
    monkeypatch.setattr(os, "getuid", lambda: ME)
    monkeypatch.setattr(pwd, "getpwuid", lambda user: SimpleNamespace(pw_gid=GROUP, pw_name="me"))
    members: list[str] = []
    monkeypatch.setattr(grp, "getgrgid", lambda group: SimpleNamespace(gr_mem=members))
    assert trust._is_alone(GROUP) and trust._is_alone(0) and not trust._is_alone(51)
    members += ["me"]
    assert trust._is_alone(GROUP)
    members += ["you"]
    assert not trust._is_alone(GROUP)


class TestTheCacheOfPrograms:
    """What the command line makes of --compilation_cache and of JAX's own variable."""

    @pytest.fixture(autouse=True)
    def real(self, monkeypatch):
        monkeypatch.undo()
        monkeypatch.setattr(trust, "seals_programs", False)
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
        monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        self.before = os.umask(0o022)
        yield
        os.umask(self.before)

    def used(self) -> str:
        return os.environ.get("JAX_COMPILATION_CACHE_DIR", "") if trust.seals_programs else ""

    def test_it_is_made_for_its_user_alone(self, tmp_path, capsys):
        os.umask(0)
        compilation.keep_programs(str(tmp_path / "a" / "b"))
        place = self.used()
        assert place.startswith(str(tmp_path / "a" / "b")) and not capsys.readouterr().err
        for folder in (place, f"{place}/sealed", f"{place}/traced"):
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700

    @pytest.mark.parametrize("inside", ["", "sealed", "traced"])
    def test_one_that_others_may_write_is_not_used(self, tmp_path, capsys, monkeypatch, inside):
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "c"))
        (tmp_path / "c" / inside).mkdir(parents=True)
        (tmp_path / "c" / inside).chmod(0o777)
        compilation.keep_programs("")
        (line,) = capsys.readouterr().err.splitlines()
        assert "compiled programs are not kept: anybody may write to" in line
        assert not self.used() and "JAX_COMPILATION_CACHE_DIR" not in os.environ

    def test_nor_one_behind_a_link_that_others_may_change(self, tmp_path, capsys, monkeypatch):
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        (tmp_path / "c").mkdir(mode=0o700)
        (tmp_path / "open" / "link").symlink_to(tmp_path / "c")
        (tmp_path / "to_open").symlink_to(tmp_path / "open")
        (tmp_path / "open" / "inside").mkdir(mode=0o700)
        for place in ("open/link", "to_open/inside"):
            monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / place))
            compilation.keep_programs("")
            assert "anybody may write to" in capsys.readouterr().err and not self.used()

    def test_one_that_cannot_be_made_is_not_a_fault(self, tmp_path, capsys):
        (tmp_path / "file").write_text("mine")
        compilation.keep_programs(str(tmp_path / "file" / "c"))
        assert not capsys.readouterr().err and not self.used()
