"""Windows events of every shipper to ECS: adapters, tables and mappers.

An adapter turns what one shipper sends into a `WindowsEvent`; `mapper.to_ecs` does the rest, the
same for all of them. The public page is the docstring of ``normalize/parsers/windows.py``.
"""
