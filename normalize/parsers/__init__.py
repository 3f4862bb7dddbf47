"""One log source a file; `normalize.registry` finds them by scanning."""
