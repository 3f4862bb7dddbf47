"""Raw log bytes to flat ECS events."""

PART_OF = "samlog"
