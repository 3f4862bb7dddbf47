"""Our tables from Sigma's logsources and fields to normalised events, one module a product.

`SOURCES` are for normalised events, `RAW_SOURCES` for events as they were sent.
"""

from detect.logsource import Source
from detect.mappings import (
    aws,
    identity,
    kubernetes,
    linux,
    microsoft,
    network,
    vmware,
    web,
    windows,
    zeek,
)

SOURCES: tuple[Source, ...] = (
    *windows.SOURCES,
    *linux.SOURCES,
    *vmware.SOURCES,
    *web.SOURCES,
    *aws.SOURCES,
    *zeek.SOURCES,
    *network.SOURCES,
    *identity.SOURCES,
    *kubernetes.SOURCES,
    *microsoft.SOURCES,
)

RAW_SOURCES: tuple[Source, ...] = windows.RAW_SOURCES
