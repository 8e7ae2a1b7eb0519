"""Prints the SHA-256 of files as the Rust client hdfs-native reads them: read.py hdfs://HOST:PORT PATH..."""
import hashlib
import sys

from hdfs_native import Client

client = Client(sys.argv[1])
for path in sys.argv[2:]:
    with client.read(path) as f:
        print(hashlib.sha256(bytes(f.read())).hexdigest(), path)
