"""jaxadv from a checkout: ``python run.py [COMMAND] [--flags]``; the same as the installed ``jaxadv``."""

from jaxadv.__main__ import main

if __name__ == "__main__":
    main()
