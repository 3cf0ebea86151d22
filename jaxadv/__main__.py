"""The program: ``jaxadv [COMMAND] [--flags]``, ``python -m jaxadv`` and, in a checkout, ``python
run.py``.
"""

import sys
from pathlib import Path

from jaxadv.support import ending


def main() -> None:
    """Run the command that ``sys.argv`` names."""
    if Path(sys.argv[0]).name == "__main__.py":  # python -m jaxadv
        sys.argv[0] = "jaxadv"
    ending.repair_streams()  # before any file is opened
    from absl import app

    from jaxadv.commands import cli

    ending.catch_signals()
    app.run(cli.main, flags_parser=cli.parse)


if __name__ == "__main__":
    main()
