"""jaxadv on the command line: ``python run.py [COMMAND] [--flags]``; ``python run.py --help`` tells more."""

from absl import app

from jaxadv.commands import cli

if __name__ == "__main__":
    app.run(cli.main, flags_parser=cli.parse)
