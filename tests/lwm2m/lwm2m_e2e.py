#!/usr/bin/env python3
"""LwM2M, end to end: the client on libcoap (lwm2m_peer) against the built server, over UDP, DTLS with keys, DTLS with
certificates, and TCP: registration, management, observation, composite operations, Send, bootstrap, firmware, queue
mode, and what hostile or unlucky clients do.

    lwm2m_e2e.py PROGRAM LWM2M_PEER [unittest arguments]"""

import base64
import json
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from penstock import Penstock  # noqa: E402

PROGRAM, PEER = sys.argv[1:3]
WAIT_S = 60
MODEL = {"@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"], "@id": "dtmi:penstock:test:Sensor;1",
         "@type": "Interface", "contents": [
             {"@type": ["Telemetry", "Temperature"], "name": "temperature", "schema": "double", "unit": "degreeCelsius"},
             {"@type": ["Telemetry", "Pressure"], "name": "pressure", "schema": "double", "unit": "bar"}]}
BINDING = {"name": "sensor", "protocol": "lwm2m", "model": MODEL["@id"], "elements": [
    {"element": "temperature", "from": "/3303/0/5700"}, {"element": "pressure", "from": "/3323/0/5700", "unit": "bar"}]}
FIRMWARE = b"PENSTOCK-FIRMWARE 2.1\n" + bytes(range(256)) * 80


class Peer:
    """The client's process; its events, in order."""

    def __init__(self, server, endpoint, *arguments):
        self.events, self.arrived = [], threading.Condition()
        self.process = subprocess.Popen([PEER, "--server", server, "--endpoint", endpoint, *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        for line in self.process.stdout:
            with self.arrived:
                self.events.append(json.loads(line))
                self.arrived.notify_all()

    def do(self, name, **command):
        self.process.stdin.write((json.dumps({"do": name, **command}) + "\n").encode())
        self.process.stdin.flush()

    def until(self, event, seconds=WAIT_S, **members):
        """The first event of this name with these members that nobody has waited for yet; it is taken out."""
        def find():
            for i, one in enumerate(self.events):
                if one["event"] == event and all(one.get(k) == v for k, v in members.items()):
                    return self.events.pop(i)
            return None
        with self.arrived:
            end = time.monotonic() + seconds
            while (found := find()) is None:
                if not self.arrived.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise AssertionError(f"no {event} {members} within {seconds} s; last: {self.events[-8:]}")
            return found

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stdin.close()


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def certificates(folder):
    """An authority, a server's certificate for localhost, and one for the device "cert-1"."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "ca.key",
            "-out", folder / "ca.pem", "-days", "3", "-subj", "/CN=Test authority")
    for name, subject, more in (("server", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1\n"),
                                ("device", "cert-1", "extendedKeyUsage=clientAuth\n"),
                                ("stranger", "cert-2", "extendedKeyUsage=clientAuth\n")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / f"{name}.key",
                "-out", folder / f"{name}.csr", "-subj", f"/CN={subject}")
        (folder / f"{name}.ext").write_text(more)
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                "-CAcreateserial", "-days", "3", "-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.pem")


class Lwm2m(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="penstock-lwm2m-")
        cls.files = Path(cls.folder.name)
        certificates(cls.files)
        cls.server = Penstock(PROGRAM, cls.files / "data", "--tls-certificate", str(cls.files / "server.pem"), "--tls-key",
                              str(cls.files / "server.key"), "--tls-client-ca", str(cls.files / "ca.pem"), "--lwm2m-bootstrap",
                              keep_ports=True, listeners=("http", "mqtt", "ws", "coap", "coaps", "coap_tcp"))
        cls.server.start()
        cls.server.post("/api/v1/sites", {"name": "plant"})
        cls.server.post("/api/v1/models", MODEL)
        cls.server.post("/api/v1/bindings", {"document": BINDING, "activate": True})

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def setUp(self):
        self.peers = []

    def tearDown(self):
        for peer in self.peers:
            peer.close()

    def device(self, name):
        self.server.post("/api/v1/devices", {"id": name, "site": "plant", "model": MODEL["@id"], "protocol": "lwm2m",
                                             "binding": "sensor"})
        return name

    def peer(self, scheme, endpoint, *arguments):
        address = self.server.ready[{"coap": "coap", "coaps": "coaps", "coap+tcp": "coap_tcp"}[scheme]]
        made = Peer(f"{scheme}://{address}", endpoint, *arguments)
        self.peers.append(made)
        return made

    def registered(self, scheme, endpoint, *arguments):
        made = self.peer(scheme, endpoint, *arguments)
        made.do("register")
        made.until("registered")
        return made

    def with_key(self, endpoint, *arguments):
        key = self.server.post("/api/v1/lwm2m/credentials", {"endpoint": endpoint})
        return self.registered("coaps", endpoint, "--identity", key["identity"], "--key", key["key_hex"], *arguments)

    def client(self, endpoint):
        return self.server.get(f"/api/v1/lwm2m/clients/{endpoint}")

    def known(self, endpoint):
        return any(c["endpoint"] == endpoint for c in self.server.get("/api/v1/lwm2m/clients?limit=1000")["items"])

    def operate(self, endpoint, operation, *paths, **more):
        return self.server.post(f"/api/v1/lwm2m/clients/{endpoint}/operations",
                                {"operation": operation, "paths": list(paths), "wait_s": 30, **more})

    def values(self, operation):
        self.assertEqual(operation["status"], "done", operation)
        return {one["path"]: one["value"] for one in operation["values"]}

    def history(self, device, element):
        answer = self.server.post("/api/v1/query", {"series": [{"twin": device, "element": element}], "from": "-365d",
                                                    "to": "now"})
        series = answer["series"][0]
        return list(zip(series["t"], series["v"] if "v" in series else series["value"]))

    def until_history(self, device, element, count):
        return self.server.until(f"{count} samples of {device}/{element}",
                                 lambda: len(found := self.history(device, element)) >= count and found)

    # Registration.

    def test_registers_updates_and_goes_over_udp(self):
        self.device("udp-1")
        peer = self.registered("coap", "udp-1", "--lifetime", "120")
        client = self.client("udp-1")
        self.assertEqual((client["transport"], client["lifetime_s"], client["known"]), ("udp", 120, True))
        self.assertIn("/3303/0", [o["path"] for o in client["objects"]])
        peer.do("update", query=["lt=77"])
        self.assertEqual(peer.until("updated")["code"], 204)
        self.server.until("the lifetime", lambda: self.client("udp-1")["lifetime_s"] == 77)
        peer.do("deregister")
        self.assertEqual(peer.until("deregistered")["code"], 202)
        self.server.until("it is gone", lambda: not self.known("udp-1"))

    def test_a_lifetime_that_ends_ends_the_registration(self):
        self.device("brief")
        self.registered("coap", "brief", "--lifetime", "1").close()
        self.peers.clear()
        self.server.until("it is gone", lambda: not self.known("brief"))

    def test_over_tcp(self):
        self.device("tcp-1")
        self.registered("coap+tcp", "tcp-1", "--binding", "T")
        self.assertEqual(self.client("tcp-1")["transport"], "tcp")
        self.assertEqual(self.values(self.operate("tcp-1", "read", "/3/0/0")), {"/3/0/0": "Penstock works"})

    def test_dtls_with_a_key(self):
        self.device("psk-1")
        self.with_key("psk-1")
        client = self.client("psk-1")
        self.assertEqual((client["transport"], client["identity"]), ("dtls", "psk-1"))
        self.assertEqual(self.values(self.operate("psk-1", "read", "/3/0/0")), {"/3/0/0": "Penstock works"})

    def test_a_key_is_for_its_endpoint_only(self):
        key = self.server.post("/api/v1/lwm2m/credentials", {"endpoint": "psk-mine"})
        self.device("psk-other")
        liar = self.peer("coaps", "psk-other", "--identity", key["identity"], "--key", key["key_hex"])
        liar.do("register")
        self.assertIn(liar.until("refused")["code"], (400, 403))
        wrong = self.peer("coaps", "psk-mine", "--identity", key["identity"], "--key", "00" * 16)
        wrong.do("register")
        wrong.until("broken")
        self.assertFalse(self.known("psk-mine"))

    def test_dtls_with_a_certificate(self):
        self.device("cert-1")
        f = self.files
        self.registered("coaps", "cert-1", "--ca", str(f / "ca.pem"), "--certificate", str(f / "device.pem"), "--private-key",
                        str(f / "device.key"))
        self.assertIn("x509", self.client("cert-1")["identity"])

    def test_a_certificate_is_for_its_name_only(self):
        self.device("cert-3")
        f = self.files
        liar = self.peer("coaps", "cert-3", "--ca", str(f / "ca.pem"), "--certificate", str(f / "stranger.pem"),
                         "--private-key", str(f / "stranger.key"))
        liar.do("register")
        self.assertIn(liar.until("refused")["code"], (400, 403))

    # Device management.

    def test_reads_in_every_format(self):
        self.device("read-1")
        peer = self.registered("coap", "read-1")
        for name, number in (("tlv", 11542), ("senml-json", 110), ("senml-cbor", 112)):
            found = self.values(self.operate("read-1", "read", "/3/0", format=name))
            self.assertEqual(found["/3/0/1"], "Interoperability peer", name)
            self.assertEqual(found["/3/0/7/1"], 5000, name)
            peer.until("asked", method="GET", path="/3/0", accept=number)
        found = self.values(self.operate("read-1", "read", "/3303/0/5700", format="text"))
        self.assertEqual(found, {"/3303/0/5700": 21.5})
        composite = self.values(self.operate("read-1", "read", "/3303/0/5700", "/3/0/9"))
        self.assertEqual(composite, {"/3303/0/5700": 21.5, "/3/0/9": 100})
        peer.until("asked", method="FETCH")

    def test_writes_executes_creates_deletes_discovers(self):
        self.device("manage-1")
        peer = self.registered("coap", "manage-1")
        for name in ("text", "tlv", "senml-json", "senml-cbor"):
            self.assertEqual(self.operate("manage-1", "write", "/3303/0/5750", value=f"by {name}", format=name)["status"], "done")
            self.assertEqual(self.values(self.operate("manage-1", "read", "/3303/0/5750")), {"/3303/0/5750": f"by {name}"})
        refused = self.operate("manage-1", "write", "/3/0/0", value="mine")
        self.assertEqual((refused["status"], refused["code"]), ("failed", "4.05"))
        self.assertEqual(self.operate("manage-1", "execute", "/3303/0/5605", arguments="0='x'")["status"], "done")
        self.assertEqual(peer.until("executed")["arguments"], "0='x'")
        self.assertEqual(self.operate("manage-1", "create", "/3303/7", value={"5750": "new"})["status"], "done")
        links = {one["path"] for one in self.operate("manage-1", "discover", "/3303")["links"]}
        self.assertTrue({"/3303/0", "/3303/7", "/3303/7/5750"} <= links, links)
        self.assertEqual(self.operate("manage-1", "delete", "/3303/7")["status"], "done")
        self.assertEqual(self.operate("manage-1", "read", "/3303/7")["code"], "4.04")
        self.assertEqual(self.operate("manage-1", "write-attributes", "/3303/0/5700", attributes={"pmin": 1, "pmax": 60})["status"], "done")
        links = {one["path"]: one["attributes"] for one in self.operate("manage-1", "discover", "/3303/0/5700")["links"]}
        self.assertEqual({k: float(v) for k, v in links["/3303/0/5700"].items()}, {"pmin": 1, "pmax": 60})

    # Values.

    def test_what_is_observed_becomes_history(self):
        self.device("observe-1")
        peer = self.registered("coap", "observe-1")
        self.server.until("observations", lambda: all(
            any(p in o["paths"] and o["state"] == "active" for o in self.client("observe-1")["observations"])
            for p in ("/3303/0/5700", "/3323/0/5700")))
        base = int(time.time()) - 100
        for i in range(20):
            peer.do("set", path="/3303/0/5700", value=20 + i / 10, time=base + i)
        got = self.until_history("observe-1", "temperature", 20)
        self.assertEqual({round(v, 6) for _, v in got} & {round(20 + i / 10, 6) for i in range(20)},
                         {round(20 + i / 10, 6) for i in range(20)})

    def test_sends_of_several_samples_each_with_its_time(self):
        self.device("send-1")
        peer = self.registered("coap", "send-1")
        base = int(time.time()) - 1000
        for number, form in enumerate((110, 112)):
            peer.do("send", id=number, format=form, records=[
                {"path": "/3323/0/5700", "value": 5 + i / 100, "time": base + number * 100 + i} for i in range(50)])
            self.assertEqual(peer.until("sent", id=number)["code"], 204)
        got = self.until_history("send-1", "pressure", 100)
        self.assertEqual(len(set(got)), len(got))

    def test_kill_9_of_the_server_loses_no_acknowledged_send(self):
        self.device("crash-1")
        peer = self.with_key("crash-1")
        base = int(time.time()) - 1000
        for i in range(60):
            peer.do("send", id=i, records=[{"path": "/3303/0/5700", "value": i, "time": base + i}])
            if i == 20:
                self.server.kill()
                self.server.start()
        for i in range(60):
            peer.until("sent", id=i, code=204, seconds=120)
        self.server.wait_for_history()
        got = [v for _, v in self.until_history("crash-1", "temperature", 60) if v == int(v)]
        self.assertEqual(sorted(set(got) & set(range(60))), list(range(60)))

    # Networks and attackers.

    def test_another_port_after_a_nat_forgot(self):
        self.device("nat-1")
        peer = self.registered("coap", "nat-1")
        before = self.client("nat-1")["address"]
        peer.do("port")
        port = peer.until("port")["port"]
        peer.do("update")
        peer.until("updated")
        self.server.until("the new address", lambda: self.known("nat-1") and self.client("nat-1")["address"].endswith(f":{port}"))
        self.assertNotEqual(before, self.client("nat-1")["address"])
        self.assertEqual(self.values(self.operate("nat-1", "read", "/3/0/0")), {"/3/0/0": "Penstock works"})

    def test_a_new_handshake_from_the_same_port(self):
        self.device("hand-1")
        peer = self.with_key("hand-1")
        for same in (True, False):
            peer.do("reconnect", same_port=same)
            peer.until("registered")
            self.assertEqual(self.values(self.operate("hand-1", "read", "/3/0/0")), {"/3/0/0": "Penstock works"})
        self.assertEqual(len([c for c in self.server.get("/api/v1/lwm2m/clients?limit=1000")["items"] if c["endpoint"] == "hand-1"]), 1)

    def test_a_replayed_datagram_changes_nothing(self):
        self.device("replay-1")
        self.device("replay-2")
        for peer, name in ((self.registered("coap", "replay-1"), "replay-1"), (self.with_key("replay-2"), "replay-2")):
            peer.do("send", id=1, records=[{"path": "/3303/0/5700", "value": 33.5, "time": time.time() - 50}])
            peer.until("sent", id=1, code=204)
            sends = self.client(name)["sends"]
            for _ in range(5):
                peer.do("replay")
                peer.until("replay")
            peer.do("send", id=2, records=[{"path": "/3303/0/5700", "value": 34.5, "time": time.time() - 40}])
            peer.until("sent", id=2, code=204)
            self.assertEqual(self.client(name)["sends"], sends + 1)

    def test_a_gigabyte_is_refused_early(self):
        self.device("flood-1")
        peer = self.registered("coap", "flood-1")
        peer.do("flood", path=["dp"], bytes=1 << 30)
        ended = peer.until("flooded", seconds=120)
        self.assertEqual(ended["code"], 413)
        self.assertLess(ended["blocks"], 2048)
        peer.do("send", id=1, records=[{"path": "/3303/0/5700", "value": 1.5}])
        peer.until("sent", id=1, code=204)

    def test_a_sleeper_is_asked_when_it_wakes(self):
        self.device("sleep-1")
        peer = self.registered("coap", "sleep-1", "--queue", "--lifetime", "600")
        self.assertTrue(self.client("sleep-1")["queue"])
        peer.do("sleep")
        peer.until("sleep")
        self.server.until("it sleeps", lambda: not self.client("sleep-1")["awake"], seconds=150)
        waiting = self.server.post("/api/v1/lwm2m/clients/sleep-1/operations",
                                   {"operation": "read", "paths": ["/3/0/2"], "wait_s": 0})
        self.assertEqual(waiting["status"], "waiting")
        peer.do("wake")
        done = self.server.until("the answer", lambda: (o := self.server.get(
            f"/api/v1/lwm2m/clients/sleep-1/operations/{waiting['id']}"))["status"] == "done" and o)
        self.assertEqual(self.values(done), {"/3/0/2": "SN-0001"})

    # Bootstrap and firmware.

    def test_bootstrap(self):
        self.device("boot-1")
        coaps = self.server.ready["coaps"]
        self.server.call("PUT", "/api/v1/lwm2m/bootstrap/boot-1", {"document": {
            "server_uri": f"coaps://{coaps}", "security": "psk", "lifetime_s": 99}})
        key = self.server.post("/api/v1/lwm2m/credentials", {"endpoint": "boot-1", "identity": "boot-1-factory", "bootstrap": True})
        peer = Peer("", "boot-1", "--bootstrap", f"coaps://{coaps}", "--bootstrap-identity", key["identity"],
                    "--bootstrap-key", key["key_hex"])
        self.peers.append(peer)
        peer.do("bootstrap")
        self.assertEqual(peer.until("bootstrapped")["lifetime"], 99)
        peer.until("registered")
        self.assertEqual((self.client("boot-1")["transport"], self.client("boot-1")["lifetime_s"]), ("dtls", 99))

    def firmware(self, endpoint, **start):
        self.server.post(f"/api/v1/lwm2m/clients/{endpoint}/firmware", start)
        path = f"/api/v1/lwm2m/clients/{endpoint}/firmware"
        return self.server.until("the update", lambda: (f := self.server.get(path))["step"] in ("done", "failed") and f, seconds=120)

    def test_firmware_pushed_and_pulled(self):
        for method in ("push", "pull"):
            name = self.device(f"firmware-{method}")
            peer = self.registered("coap", name)
            ended = self.firmware(name, package_base64=base64.b64encode(FIRMWARE).decode(), method=method)
            self.assertEqual(ended["step"], "done", ended)
            self.assertEqual(peer.until("package")["bytes"], len(FIRMWARE))
            self.server.until("the new version", lambda: self.known(name) and self.values(
                self.operate(name, "read", "/5/0/7")) == {"/5/0/7": "2.1"})

    def test_a_bad_package_fails_with_its_reason(self):
        name = self.device("firmware-bad")
        self.registered("coap", name)
        ended = self.firmware(name, package_base64=base64.b64encode(b"not a package").decode(), method="push")
        self.assertEqual(ended["step"], "failed", ended)
        self.assertTrue(ended["result"] or ended["detail"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
