"""``python -m samlog`` is the command ``samlog``."""

from samlog.cli.__main__ import main

if __name__ == "__main__":
    main()
