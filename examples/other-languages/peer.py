"""A peer in Python that needs nothing but Python: the wire of PAIR v0 over tcp.

    node examples/two-nodes/node.mjs 0 tcp://127.0.0.1:45454
    python3 examples/other-languages/peer.py 1 127.0.0.1 45454

With the package pynng it would be pynng.Pair0(dial='tcp://127.0.0.1:45454').
"""

import socket
import struct
import sys
import time

# Zero, "SP", version 0, the protocol PAIR v0, and a reserved word.
HEADER = bytes([0, 0x53, 0x50, 0, 0, 0x10, 0, 0])


def read(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError("the peer hung up")
        data += part
    return data


def send(connection, body):
    # The length, eight bytes with the highest first. Over ipc a byte 1 comes before it.
    connection.sendall(struct.pack(">Q", len(body)) + body)


def receive(connection):
    (size,) = struct.unpack(">Q", read(connection, 8))
    return read(connection, size)


node, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
with socket.create_connection((host, port)) as connection:
    # Both sides send their header at once.
    connection.sendall(HEADER)
    if read(connection, len(HEADER)) != HEADER:
        raise SystemExit("the peer does not speak PAIR v0")
    for i in range(3):
        send(connection, f"message {i} from node {node}".encode())
        print(f"node {node} received", receive(connection).decode())
        time.sleep(0.1)
