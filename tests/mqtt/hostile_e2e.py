#!/usr/bin/env python3
"""Clients that misbehave, one after another, against one server: each has a sane outcome, the server's memory stays
bounded, and a well-behaved client is served all the while.

    tests/mqtt/hostile_e2e.py build/release/penstock
"""
import os
import pathlib
import random
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from mqtt_wire import Client, Closed, publish_parts  # noqa: E402
from penstock import Penstock  # noqa: E402

PROGRAM = os.environ.get("PENSTOCK_BINARY", "build/release/penstock")
MIB = 1 << 20


def raw(address):
    host, port = address.rsplit(":", 1)
    out = socket.create_connection((host, int(port)), timeout=60)
    out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return out


def until_closed(peer):
    """All that the server still says before it closes."""
    out = b""
    while True:
        try:
            piece = peer.recv(65536)
        except ConnectionResetError:
            return out
        if not piece:
            return out
        out += piece


CONNECT_5 = bytes.fromhex("10 10 0004 4D515454 05 02 0000 00 0003 726177")


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="penstock-hostile-")
        cls.server = Penstock(PROGRAM, pathlib.Path(cls.folder.name, "data"), "--allow-anonymous")
        cls.server.start()
        cls.good = Client(cls.server.mqtt, "good", timeout=60)
        cls.good.subscribe(1, ("good", 1))

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def setUp(self):
        self.before = self.resident()

    def tearDown(self):
        self.serve_the_good()
        self.assertEqual(self.server.get("/api/v1/health")["status"], "ok")

    def resident(self):
        text = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024

    def serve_the_good(self):
        self.good.publish("good", "still here", 1, 1)
        seen = set()
        while seen != {0x30, 0x40}:
            kind, body = self.good.read()
            seen.add(kind & 0xF0)
            if kind & 0xF0 == 0x30:
                self.good.answer(0x40, publish_parts(kind, body)[1])

    def grown(self):
        return self.resident() - self.before

    def test_a_packet_of_256_mib(self):
        peer = raw(self.server.mqtt)
        peer.sendall(CONNECT_5)
        peer.recv(1000)
        try:
            peer.sendall(b"\x30\xff\xff\xff\x7f" + b"\0\1t\0")
            for _ in range(256):
                peer.sendall(bytes(MIB))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it need not take all of it
        self.assertLess(self.grown(), 64 * MIB)

    def test_the_reason_arrives_before_the_close(self):
        peer = raw(self.server.mqtt)
        peer.sendall(CONNECT_5)
        peer.recv(1000)
        peer.sendall(b"\x30\xff\xff\xff\x7f" + bytes(200_000))
        self.assertEqual(until_closed(peer), b"\xe0\x01\x95")

    def test_a_topic_with_nul(self):
        for packet in (b"\x30\x05\0\3a\0b", b"\x82\x09\0\1\0\0\3a\0b\0"):
            peer = raw(self.server.mqtt)
            peer.sendall(CONNECT_5)
            peer.recv(1000)
            peer.sendall(packet)
            self.assertEqual(until_closed(peer), b"\xe0\x01\x81")

    def test_a_subscriber_that_never_reads(self):
        lazy = Client(self.server.mqtt, "lazy")
        lazy.subscribe(1, ("flood/#", 1))
        publisher = Client(self.server.mqtt, "flood", timeout=60)
        payload = bytes(32_000)
        for i in range(4000):  # 128 MB
            publisher.publish("flood/0", payload, 0, 0)
            publisher.publish("flood/1", payload[:1000], 1, i + 1)
        acknowledged = 0
        while acknowledged < 4000:
            acknowledged += publisher.read()[0] == 0x40
        self.assertLess(self.grown(), 150 * MIB)
        self.assertGreater(self.server.metric("penstock_mqtt_dropped_total"), 0)
        lazy.close()
        publisher.close()

    def test_a_publisher_that_never_reads_its_acknowledgements(self):
        deaf = Client(self.server.mqtt, "deaf")
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 30_000_000:  # until the server does not read any more
                deaf.publish("deaf", "x", 1, 1 + sent % 65_000)
                sent += 10
        except (TimeoutError, Closed):
            pass
        self.assertLess(self.grown(), 100 * MIB)
        deaf.close()

    def test_a_hundred_thousand_topics(self):
        many = Client(self.server.mqtt, "many", timeout=60)
        count, window, open_ = 100_000, 500, 0
        for i in range(count):
            many.publish(f"many/{i % 100}/{i}", "x", 1, 1 + i % 65_000, retain=True)
            open_ += 1
            while open_ >= window:
                open_ -= many.read()[0] == 0x40
        while open_:
            open_ -= many.read()[0] == 0x40
        self.assertLess(self.grown(), 200 * MIB)
        reader = Client(self.server.mqtt, "reader", timeout=60)
        reader.subscribe(1, ("many/7/+", 0))
        early = len(getattr(reader, "early", []))
        for _ in range(count // 100 - early):
            self.assertEqual(reader.read()[0], 0x31)
        # One more than fits: told, not dropped in silence.
        peer = raw(self.server.mqtt)
        peer.sendall(CONNECT_5)
        peer.recv(1000)
        peer.sendall(bytes.fromhex("33 09 0004 6D6F7265 0001 00") )
        peer.sendall(bytes.fromhex("33 0A 0004 6D6F7265 0002 00 78"))
        answer = b""
        while len(answer) < 10:
            answer += peer.recv(1000)
        self.assertIn(b"\0\2\x97", answer)
        for i in range(count):  # gone again, so that the others start from the same
            many.publish(f"many/{i % 100}/{i}", "", 0, 0, retain=True)
        reader.close()
        many.disconnect()

    def test_half_a_connect_is_not_waited_for(self):
        peers = [raw(self.server.mqtt) for _ in range(300)]
        for peer in peers:
            peer.sendall(CONNECT_5[:7])
        self.serve_the_good()
        for peer in peers:
            self.assertEqual(until_closed(peer), b"")
            peer.close()

    def test_noise(self):
        dice = random.Random(7)
        for address in (self.server.mqtt, self.server.ready["ws"]):
            for i in range(300):
                peer = raw(address)
                noise = dice.randbytes(dice.randrange(1, 2000))
                try:
                    peer.sendall(CONNECT_5 + noise if i % 2 else noise)
                    peer.shutdown(socket.SHUT_WR)
                    until_closed(peer)
                except OSError:
                    pass
                peer.close()


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2, warnings="ignore")
