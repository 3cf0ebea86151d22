"""jaxadv on the command line: ``python run.py [COMMAND] [--flags]``; ``python run.py --help`` tells more."""

from jaxadv.support import machine

if __name__ == "__main__":
    machine.begin_with_large_pages()  # before anything else is loaded, which would be loaded twice
    from absl import app

    from jaxadv.commands import cli

    app.run(cli.main, flags_parser=cli.parse)
