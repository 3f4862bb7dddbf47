"""The shared kernel of samlog: event shapes, bus, store, step loop, configuration, command line."""

__version__ = "0.1.0"
