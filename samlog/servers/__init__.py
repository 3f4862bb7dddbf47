"""Real servers as plain processes: a Kafka and an Elasticsearch for trying things and for tests.

Their artifacts come from Maven by coordinates and are cached below
``$XDG_CACHE_HOME/samlog/servers``. Needed on the machine: Java 17 or newer and, for the first
fetch, Maven. `start_kafka` and `start_elasticsearch` return when the server answers; the server
ends when it is closed, when the interpreter exits and when the starting process is killed.

They are for one machine: loopback only, one node, nothing replicated.
"""

from samlog.servers.elasticsearch import ElasticsearchServer, User, start_elasticsearch
from samlog.servers.kafka import KafkaServer, start_kafka
from samlog.servers.process import Server, ServerError

__all__ = [
    "ElasticsearchServer",
    "KafkaServer",
    "Server",
    "ServerError",
    "User",
    "start_elasticsearch",
    "start_kafka",
]
