"""Records of the Linux audit system: reading one, joining those of one event, mapping to ECS.

The public pages are the docstrings of ``normalize/parsers/auditd.py`` and ``auditd_manager.py``.
"""
