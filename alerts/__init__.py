"""Detections to deduplicated, prioritised alerts on the CERT channel."""

PART_OF = "samlog"
