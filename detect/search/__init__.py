"""Rules as queries over stored events, in Lucene syntax: the other half of "stream = search"."""
