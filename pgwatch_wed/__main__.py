"""The program: ``db-analyze``, or ``python -m pgwatch_wed``."""

import signal

# Until the program can end in an orderly way, there is nothing to put in order: Ctrl-C just ends it.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from pgwatch_wed.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
