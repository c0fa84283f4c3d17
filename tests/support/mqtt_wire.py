"""A small MQTT client for end-to-end tests: one blocking socket, packets one by one, so that a test knows
exactly what was acknowledged when the server died."""

import socket
import struct


class Closed(Exception):
    """The server ended the connection (or was killed)."""


def _text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def _packet(first, body):
    out, length = bytearray([first]), len(body)
    while True:
        out.append(length % 128 | (128 if length > 127 else 0))
        length //= 128
        if not length:
            return bytes(out) + body


class Client:
    """MQTT 3.1.1. REQUIRES: one thread."""

    def __init__(self, address, client_id, username=None, password=None, clean=True, timeout=10):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        flags = (2 if clean else 0) | (0x80 if username else 0) | (0x40 if password else 0)
        body = _text("MQTT") + bytes([4, flags]) + struct.pack(">H", 60) + _text(client_id)
        if username:
            body += _text(username)
        if password:
            body += _text(password)
        self.send(_packet(0x10, body))
        kind, answer = self.read()
        if kind != 0x20 or answer[1] != 0:
            raise Closed(f"CONNACK {answer!r}")
        self.session_present = answer[0] == 1

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def _need(self, count):
        while len(self.buffer) < count:
            try:
                piece = self.socket.recv(65536)
            except TimeoutError:
                raise
            except OSError as error:
                raise Closed(str(error)) from error
            if not piece:
                raise Closed("end of stream")
            self.buffer += piece

    def read(self):
        """The next packet: first byte and body."""
        self._need(2)
        length, shift, at = 0, 0, 1
        while True:
            self._need(at + 1)
            length |= (self.buffer[at] & 127) << shift
            shift += 7
            at += 1
            if not self.buffer[at - 1] & 128:
                break
        self._need(at + length)
        first, body = self.buffer[0], bytes(self.buffer[at : at + length])
        del self.buffer[: at + length]
        return first, body

    def publish(self, topic, payload, qos, packet_id, retain=False, dup=False):
        body = _text(topic) + (struct.pack(">H", packet_id) if qos else b"")
        data = payload.encode() if isinstance(payload, str) else payload
        self.send(_packet(0x30 | (8 if dup else 0) | qos << 1 | (1 if retain else 0), body + data))

    def answer(self, kind, packet_id):
        self.send(_packet(kind, struct.pack(">H", packet_id)))

    def subscribe(self, packet_id, *filters):
        self.send(_packet(0x82, struct.pack(">H", packet_id) + b"".join(_text(f) + bytes([q]) for f, q in filters)))
        while True:
            kind, body = self.read()
            if kind == 0x90:
                return body[2:]
            self.early = getattr(self, "early", []) + [(kind, body)]

    def disconnect(self):
        self.send(_packet(0xE0, b""))
        self.close()


def publish_parts(first, body):
    """Topic, packet id (None at QoS 0) and payload of a PUBLISH."""
    length = struct.unpack(">H", body[:2])[0]
    at, qos = 2 + length, first >> 1 & 3
    packet_id = struct.unpack(">H", body[at : at + 2])[0] if qos else None
    return body[2 : 2 + length].decode(), packet_id, body[at + (2 if qos else 0) :]
