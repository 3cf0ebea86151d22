"""The files in docs/cluster run as they stand: their shell is a shell's, their YAML is YAML, and their
commands have flags that are there.
"""

import re
import shlex
import subprocess
from pathlib import Path

from absl import flags
from absl.testing import flagsaver

from jaxadv.commands import cli

CLUSTER = Path(__file__).parents[2] / "docs" / "cluster"


def joins(words: list[str]) -> None:
    """The command is one of evaluate, and joins."""
    with flagsaver.flagsaver():
        cli.parse(words)
        assert words[:2] == ["jaxadv", "evaluate"]
        assert flags.FLAGS["join"].value and flags.FLAGS["out"].value


def test_slurm():
    path = CLUSTER / "slurm.sh"
    subprocess.run(["sh", "-n", path], check=True)
    text = path.read_text()
    options = re.findall(r"^#SBATCH --([a-z-]+)(?:=\S+)?$", text, re.MULTILINE)
    assert {"array", "requeue", "signal"} <= set(options) and text.startswith("#!/bin/sh\n")
    command = text[text.index("exec ") :].replace("\\\n", " ").replace("$SHARED", "/shared")
    joins(shlex.split(command)[1:])


def test_kubernetes():
    text = (CLUSTER / "kubernetes.yaml").read_text()
    command = re.findall(r"^            - ([^:\n]+)$", text, re.MULTILINE)
    joins(command)
    fields = dict(re.findall(r"^  (\w+): (\S+)$", text, re.MULTILINE))
    assert fields["completionMode"] == "Indexed"
    assert fields["completions"] == fields["parallelism"]
    assert not re.search("\t", text)
