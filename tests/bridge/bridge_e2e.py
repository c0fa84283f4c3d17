#!/usr/bin/env python3
"""Bindings on topics of their own, and bridges to a real mosquitto.

    bridge_e2e.py PROGRAM MOSQUITTO [TEST …]

Last line: JSON of the load tests: sent, lost, duplicated. Exit 1 if anything is wrong."""

import csv
import io
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from mqtt_wire import Client, Closed, publish_parts  # noqa: E402
from penstock import Penstock  # noqa: E402

MODEL = {"@context": "dtmi:dtdl:context;3", "@id": "dtmi:penstock:test:Counter;1", "@type": "Interface",
         "contents": [{"@type": "Telemetry", "name": "count", "schema": "long"},
                      {"@type": "Telemetry", "name": "level", "schema": "double"},
                      {"@type": "Command", "name": "reset"}]}
BINDING = {"name": "plant", "model": MODEL["@id"], "topic": "plant/{site}/{device}/data",
           "payload": {"time": "/t"},
           "elements": [{"element": "count", "from": "/n"}, {"element": "level", "from": "/l", "scale": 0.1}]}
BASE_MS = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp() * 1000)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mosquitto:
    """A broker of another make: its own folder, a fixed free port so that it can come back."""

    def __init__(self, program, folder, *lines, saves=False):
        self.program, self.folder, self.port, self.process = program, Path(folder), free_port(), None
        self.folder.mkdir(exist_ok=True)
        settings = [f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {self.folder}/",
                    "max_queued_messages 0", "autosave_interval 1" if saves else "autosave_interval 1800",
                    f"autosave_on_changes {str(saves).lower()}",
                    "max_inflight_messages 100", f"log_dest file {self.folder}/log", "user root", *lines]
        if not any(line.startswith(("password_file", "require_certificate")) for line in lines):
            settings.append("allow_anonymous true")
        (self.folder / "conf").write_text("\n".join(settings) + "\n")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen([self.program, "-c", str(self.folder / "conf")])
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"mosquitto did not start: {(self.folder / 'log').read_text()[-500:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)


def setup(server, *devices):
    server.post("/api/v1/sites", {"name": "plant"})
    server.post("/api/v1/models", MODEL)
    server.post("/api/v1/bindings", {"document": BINDING, "activate": True})
    tokens = {}
    for name in devices:
        made = server.post("/api/v1/devices", {"id": name, "site": "plant", "model": MODEL["@id"], "binding": "plant"})
        tokens[name] = made["credentials"]["token"]
    return tokens


def bridge(server, broker, **more):
    document = {"name": "hall", "host": "127.0.0.1", "port": broker.port,
                "subscribe": ["plant/#", "devices/+/telemetry", "devices/+/responses/#"],
                "publish": ["devices/+/commands/#"], "keep_alive_s": 5, **more}
    return server.post("/api/v1/bridges", document)


def status(server, name="hall"):
    return server.get(f"/api/v1/bridges/{name}")["status"]


def until_state(server, state, name="hall"):
    return server.until(f"the bridge is {state}: {status(server, name)}",
                        lambda: (lambda s: s if s["state"] == state else None)(status(server, name)))


def counts(server, twin):
    """All values of `count` in history."""
    server.wait_for_history()
    rows = server.call("POST", "/api/v1/query",
                       {"series": [{"twin": twin, "element": "count"}], "format": "csv",
                        "from": "2025-01-01T00:00:00Z", "to": "2040-01-01T00:00:00Z", "limit": 10000000}, raw=True)
    return [int(float(row["value"])) for row in csv.DictReader(io.StringIO(rows.decode()))]


def message(number):
    return json.dumps({"t": BASE_MS + number, "n": number, "l": number % 100})


# -- tests

def bound_topics(program, _, folder):
    """A device on our own endpoint speaks on its binding's topic, and on no other's."""
    server = Penstock(program, folder / "data")
    server.start()
    try:
        tokens = setup(server, "p1", "p2")
        device = Client(server.mqtt, "p1", "p1", tokens["p1"])
        assert server.get("/api/v1/messages?filter=plant/%23")["items"] == []
        device.publish("plant/north/p1/data", message(7), 1, 1)
        assert device.read()[0] == 0x40
        server.until("the sample is stored", lambda: counts(server, "p1") == [7])
        tapped = server.until("the tap heard it", lambda: server.get("/api/v1/messages?filter=plant/%23")["items"])
        assert tapped[0]["device"] == "p1" and json.loads(tapped[0]["payload"])["n"] == 7, tapped
        try:
            device.publish("plant/north/p2/data", message(8), 1, 2)
            device.read()
            raise AssertionError("a device spoke for another")
        except Closed:
            pass
        # What an application with grants sends for an unregistered device waits under discovery.
        made = server.post("/api/v1/applications", {"id": "gateway", "publish_filters": ["plant/#"]})
        gateway = Client(server.mqtt, "gateway", "gateway", made["credentials"]["token"])
        gateway.publish("plant/north/p9/data", message(1), 1, 1)
        gateway.publish("plant/north/p2/data", message(9), 1, 2)
        for _ in range(2):
            assert gateway.read()[0] == 0x40
        server.until("it is discovered", lambda: [d for d in server.get("/api/v1/discovery")["items"]
                                                  if d["device"] == "p9"])
        server.until("the gateway's other message is stored", lambda: counts(server, "p2") == [9])
        # A new version of the binding takes effect at once.
        changed = json.loads(json.dumps(BINDING))
        changed["topic"] = "hall/{device}/data"
        server.post("/api/v1/bindings", {"document": changed, "activate": True})
        device = Client(server.mqtt, "p1", "p1", tokens["p1"])
        device.publish("hall/p1/data", message(10), 1, 1)
        assert device.read()[0] == 0x40
        server.until("the new topic counts", lambda: sorted(counts(server, "p1")) == [7, 10])
    finally:
        server.stop()


def both_ways(program, mosquitto, folder):
    """Telemetry in, commands out, with MQTT 5 and 3.1.1; commands wait while the other broker is away."""
    broker = Mosquitto(mosquitto, folder / "broker").start()
    server = Penstock(program, folder / "data")
    server.start()
    try:
        setup(server, "p1")
        bridge(server, broker)
        until_state(server, "connected")
        for version in ("5", "3.1.1"):
            server.call("PATCH", "/api/v1/bridges/hall", {"mqtt": version})
            server.until("connected anew, to the session that was kept", lambda: status(server)["state"] == "connected"
                         and status(server)["session_present"])
            number = 1 if version == "5" else 2
            plant = Client(broker.address, "plant-" + version)
            plant.subscribe(1, ("devices/p1/commands/#", 1))
            plant.publish("plant/north/p1/data", message(number), 1, 2)
            assert plant.read()[0] == 0x40
            server.until("it came", lambda: number in counts(server, "p1"))
            sent = server.post("/api/v1/twins/p1/commands/reset", {})
            kind, body = plant.read()
            topic, packet, payload = publish_parts(kind, body)
            assert topic == "devices/p1/commands/reset", topic
            assert json.loads(payload)["request_id"] == sent["request_id"]
            plant.answer(0x40, packet)
            plant.publish("devices/p1/responses/reset", payload, 1, 3)
            plant.read()
            plant.disconnect()
        # One that comes while the broker is away waits on disk, over kill -9 too.
        plant = Client(broker.address, "plant-away", clean=False)
        plant.subscribe(1, ("devices/p1/commands/#", 1))
        plant.disconnect()
        broker.stop()
        until_state(server, "waiting")
        sent = server.post("/api/v1/twins/p1/commands/reset", {})
        server.kill()
        broker.start()
        server.start()
        until_state(server, "connected")
        plant = Client(broker.address, "plant-away", clean=False)
        kind, body = plant.read()
        assert json.loads(publish_parts(kind, body)[2])["request_id"] == sent["request_id"]
        unmatched = Client(broker.address, "stray")
        unmatched.publish("plant/nobody", "x", 1, 1)
        unmatched.read()
        shown = server.until("an unmatched topic shows",
                             lambda: (lambda s: s if s["unmatched"] else None)(status(server)))
        assert shown["unmatched_topic"] == "plant/nobody", shown
        server.call("DELETE", "/api/v1/bridges/hall")
        assert server.get("/api/v1/bridges")["items"] == []
    finally:
        server.stop()
        broker.stop()


def refusals(program, mosquitto, folder):
    """Wrong credentials, a broker that is down, and one that sends garbage: said in words, mended without restart."""
    passwords = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "penstock", "right"], check=True)
    broker = Mosquitto(mosquitto, folder / "broker", f"password_file {passwords}")
    server = Penstock(program, folder / "data")
    server.start()
    try:
        setup(server, "p1")
        bridge(server, broker, username="penstock", password="wrong")
        server.until("it says that nobody is there", lambda: "refused" in (status(server)["last_error"] or ""))
        broker.start()
        for version in ("3.1.1", "5"):
            server.call("PATCH", "/api/v1/bridges/hall", {"mqtt": version, "password": "wrong"})
            server.until("it says what is wrong", lambda: any(
                words in (status(server)["last_error"] or "") for words in ("password", "let this user")))
            server.call("PATCH", "/api/v1/bridges/hall", {"password": "right"})
            until_state(server, "connected")
            assert status(server)["last_error"] is None
        for noise in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 64, b"\x20\x02\x00\x00" + b"\x30\x01\x00",
                      b"\x20\x02\x00\x00" + b"\x10\x00", b"\x20\x03\x00\x00\x00\x32\x07\x00\x01a\x00\x00\x01\x01"):
            with socket.create_server(("127.0.0.1", 0)) as garbage:
                port = garbage.getsockname()[1]
                stop = threading.Event()

                def serve(listener=garbage, said=noise, ended=stop):
                    listener.settimeout(0.2)
                    while not ended.is_set():
                        try:
                            peer, _ = listener.accept()
                        except OSError:
                            continue
                        with peer:
                            peer.settimeout(5)
                            try:
                                peer.recv(4096)
                                peer.sendall(said)
                                peer.recv(4096)
                            except OSError:
                                pass

                thread = threading.Thread(target=serve)
                thread.start()
                server.call("PATCH", "/api/v1/bridges/hall", {"port": port})
                said = server.until(f"{noise!r} is refused",
                                    lambda: (lambda e: e if e and "refused" not in e else None)(
                                        status(server)["last_error"]))
                assert "broker" in said, said
                stop.set()
                thread.join()
        # A server that takes connections and says nothing.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            server.call("PATCH", "/api/v1/bridges/hall", {"port": silent.getsockname()[1]})
            server.until("silence is noticed", lambda: "did not answer" in (status(server)["last_error"] or ""), 40)
        server.call("PATCH", "/api/v1/bridges/hall", {"port": broker.port})
        until_state(server, "connected")
        # A broker that freezes is found by keep-alive, and used again once it wakes.
        broker.process.send_signal(19)
        server.until("the freeze is noticed", lambda: "not answered" in (status(server)["last_error"] or ""), 40)
        broker.process.send_signal(18)
        until_state(server, "connected")
    finally:
        if broker.process:
            broker.process.send_signal(18)
        server.stop()
        broker.stop()


def certificate(folder, name, issuer=None, subject="localhost"):
    key, request, out = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
    run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True)  # noqa: E731
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-out",
        str(request), "-subj", f"/CN={subject}")
    if issuer is None:
        run("x509", "-req", "-in", str(request), "-signkey", str(key), "-days", "2", "-out", str(out))
    else:
        names = folder / f"{name}.ext"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        run("x509", "-req", "-in", str(request), "-CA", str(folder / f"{issuer}.pem"), "-CAkey",
            str(folder / f"{issuer}.key"), "-CAcreateserial", "-days", "2", "-out", str(out), "-extfile", str(names))
    return out.read_text(), key.read_text()


def tls(program, mosquitto, folder):
    """TLS with an authority and a client certificate; an authority or a name that is not trusted is said."""
    ca, _ = certificate(folder, "ca", subject="test authority")
    other, _ = certificate(folder, "other", subject="other authority")
    certificate(folder, "server", "ca")
    own, key = certificate(folder, "client", "ca", subject="penstock")
    broker = Mosquitto(mosquitto, folder / "broker", f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem",
                       f"keyfile {folder}/server.key", "require_certificate true", "use_identity_as_username true")
    broker.start()
    server = Penstock(program, folder / "data")
    server.start()
    try:
        setup(server, "p1")
        made = bridge(server, broker, host="localhost", tls=True, ca_pem=other, certificate_pem=own, key_pem=key)
        assert made["has_key"] and "key_pem" not in made
        said = server.until("it says that it trusts nobody", lambda: status(server)["last_error"])
        assert "not trusted" in said, said
        server.call("PATCH", "/api/v1/bridges/hall", {"ca_pem": ca, "server_name": "elsewhere"})
        server.until("it says that the name is another",
                     lambda: "mismatch" in (status(server)["last_error"] or ""))
        server.call("PATCH", "/api/v1/bridges/hall", {"server_name": ""})
        shown = until_state(server, "connected")
        assert shown["certificate_expires"], shown
        server.kill()
        server.start()
        until_state(server, "connected")  # the sealed key came back
        sealed = (folder / "data" / "registry.db").read_bytes() + b"".join(
            p.read_bytes() for p in (folder / "data").glob("registry.db-*"))
        assert key.splitlines()[1].encode() not in sealed, "the key lies open in the registry"
        assert ((folder / "data" / "bridge.key").stat().st_mode & 0o777) == 0o600
    finally:
        server.stop()
        broker.stop()


class Plant(threading.Thread):
    """Publishes numbered messages to the other broker at QoS 1. What that broker has acknowledged and not saved when
    it is killed is lost with it: so the last `again` numbers are said once more when it is back."""

    BURST = 20  # numbers without an acknowledgement

    def __init__(self, broker, devices, make, again):
        super().__init__()
        self.broker, self.devices, self.make, self.again = broker, devices, make, again
        self.next, self.done, self.ended = 0, threading.Event(), False
        self.start()

    def run(self):
        while not self.done.is_set():
            try:
                client = Client(self.broker.address, "plant", timeout=5)
                self.next = max(0, self.next - self.again)
                self.pump(client)
            except (Closed, OSError):
                time.sleep(0.1)

    def pump(self, client):
        """Says burst after burst; each acknowledged before the next."""
        packet = 0
        while not self.done.is_set():
            for number in range(self.next, self.next + self.BURST):
                for device in self.devices:
                    packet = packet % 60000 + 1
                    client.publish(f"plant/north/{device}/data", self.make(number), 1, packet)
            for _ in range(self.BURST * len(self.devices)):
                client.read()
            self.next += self.BURST
            time.sleep(0.02)
        client.disconnect()


def under_load(program, mosquitto, folder, victim, seconds=12, with_time=True):
    """Kills one side again and again while messages flow; what must be in history is, and once."""
    rounds = random.Random(7)
    broker = Mosquitto(mosquitto, folder / "broker", saves=victim == "mosquitto").start()
    server = Penstock(program, folder / "data")
    server.start()
    devices = ["p1", "p2", "p3"]
    make = message if with_time else lambda number: json.dumps({"n": number, "l": 1})
    try:
        setup(server, *devices)
        bridge(server, broker, mqtt="5" if victim == "penstock" else "3.1.1")
        until_state(server, "connected")
        plant = Plant(broker, devices, make, again=Plant.BURST if victim == "mosquitto" else 0)
        end, kills = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            time.sleep((0.5 if victim == "penstock" else 1.5) + rounds.random())
            side = server if victim == "penstock" else broker
            side.kill()
            kills += 1
            time.sleep(0.2 * rounds.random())
            side.start()
            until_state(server, "connected")
        plant.done.set()
        plant.join()
        sent, lost, twice = 0, 0, 0
        for device in devices:
            server.until(f"{device}'s last message is there", lambda: plant.next - 1 in counts(server, device))
            stored = counts(server, device)
            sent += plant.next
            lost += len(set(range(plant.next)) - set(stored))
            twice += len(stored) - len(set(stored))
        return {"victim": victim, "own_time": with_time, "kills": kills, "sent": sent, "lost": lost,
                "duplicated": twice, "redelivered": status(server)["redelivered"]}
    finally:
        server.stop()
        broker.stop()


def main():
    program, mosquitto = sys.argv[1:3]
    wanted = sys.argv[3:]
    tests = {"bound_topics": bound_topics, "both_ways": both_ways, "refusals": refusals, "tls": tls}
    loads = {"penstock": ("penstock", True), "mosquitto": ("mosquitto", True), "no_time": ("penstock", False)}
    outcome = {"sent": 0, "lost": 0, "duplicated": 0}
    for name, test in tests.items():
        if wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="penstock-bridge-") as folder:
            test(program, mosquitto, Path(folder))
            print("passed", name, flush=True)
    for name, (victim, with_time) in loads.items():
        if wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="penstock-bridge-") as folder:
            one = under_load(program, mosquitto, Path(folder), victim, with_time=with_time)
            print(json.dumps(one), flush=True)
            for key in outcome:
                outcome[key] += one[key]
    print(json.dumps(outcome))
    return 1 if outcome["lost"] or outcome["duplicated"] else 0


if __name__ == "__main__":
    sys.exit(main())
