"""Sigma rules over ECS events as they stream by."""

PART_OF = "samlog"
