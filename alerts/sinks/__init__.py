"""One sink a file, named after the protocol or product."""
