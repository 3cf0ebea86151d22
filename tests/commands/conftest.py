"""What tests of the command line share."""

import pytest
from absl.testing import flagsaver

from jaxadv.commands import cli


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a command in this process, in an empty folder; it must refuse in one line, which is
    returned.
    """
    monkeypatch.chdir(tmp_path)

    def refuse(*arguments: str) -> str:
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as exit:
            cli.main(cli.parse(["run.py", *arguments]))
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
        assert exit.value.code == 2 and line.startswith("run.py: ")
        return line

    return refuse
