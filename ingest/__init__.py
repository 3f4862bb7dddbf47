"""Collectors: read logs where they are born and put the bytes on samlog.raw.<unit>."""

PART_OF = "samlog"
