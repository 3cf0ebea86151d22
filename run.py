"""jaxadv on the command line: ``python run.py [COMMAND] [--flags]``; ``python run.py --help`` tells more."""

from absl import app

from jaxadv.commands import cli, machine

if __name__ == "__main__":
    machine.begin_with_large_pages()
    app.run(cli.main, flags_parser=cli.parse)
