"""One module a source; found by scanning, there is no list to edit."""
