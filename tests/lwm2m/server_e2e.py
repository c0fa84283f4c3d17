#!/usr/bin/env python3
"""The LwM2M server with a client of another make (lwm2m_peer, on libcoap): registration, observations, operations, Send,
bootstrap and firmware over UDP, DTLS with a key and with a certificate, and TCP; kill -9; another address; a flood.
    server_e2e.py PENSTOCK LWM2M_PEER"""

import base64
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
from penstock import Penstock  # noqa: E402

MODEL = {"@context": "dtmi:dtdl:context;3", "@id": "dtmi:test:lwm2m:Sensor;1", "@type": "Interface", "contents": [
    {"@type": "Telemetry", "name": "temperature", "schema": "double"},
    {"@type": "Telemetry", "name": "pressure", "schema": "double"}]}
BINDING = {"name": "lwm2m-sensor", "protocol": "lwm2m", "model": MODEL["@id"], "elements": [
    {"element": "temperature", "from": "/3303/0/5700"}, {"element": "pressure", "from": "/3323/0/5700"}]}


class Peer:
    """A client and what it says."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events, self.seen = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def do(self, what, **more):
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()

    def wait(self, event, seconds=30, **fields):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                got = self.events.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                break
            self.seen.append(got)
            if got.get("event") == event and all(got.get(key) == value for key, value in fields.items()):
                return got
        raise AssertionError(f"no {event} {fields}; it said {self.seen[-20:]}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)


def check(truth, what):
    if not truth:
        raise AssertionError(what)


class Run:
    def __init__(self, program, peer, folder):
        self.peer_program, self.folder = peer, Path(folder)
        self.certificates()
        self.server = Penstock(program, self.folder / "data", "--lwm2m-bootstrap", "--tls-certificate", self.folder / "server.pem",
                               "--tls-key", self.folder / "server.key", "--tls-client-ca", self.folder / "ca.pem",
                               keep_ports=True, listeners=("http", "mqtt", "coap", "coaps", "coap_tcp", "coaps_tcp"))
        self.server.start()
        self.server.post("/api/v1/sites", {"name": "plant"})
        self.server.post("/api/v1/models", MODEL)
        self.server.post("/api/v1/bindings", {"document": BINDING, "activate": True})

    def openssl(self, *arguments):
        subprocess.run(["openssl", *[str(a) for a in arguments]], check=True, capture_output=True, cwd=self.folder)

    def certificates(self):
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        self.openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
        for name, subject, extra in (("server", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
                                     ("device", "certified", "subjectAltName=DNS:certified")):
            (self.folder / f"{name}.ext").write_text(extra)
            self.openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                         "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")

    def device(self, name):
        self.server.post("/api/v1/devices", {"id": name, "site": "plant", "model": MODEL["@id"], "protocol": "lwm2m",
                                             "binding": BINDING["name"]})

    def client(self, endpoint):
        try:
            return self.server.get(f"/api/v1/lwm2m/clients/{endpoint}")
        except RuntimeError:
            return None

    def operate(self, endpoint, operation, *paths, **more):
        return self.server.post(f"/api/v1/lwm2m/clients/{endpoint}/operations",
                                {"operation": operation, "paths": list(paths), **more})

    def value(self, device, element):
        for value in self.server.get(f"/api/v1/twins/{device}")["elements"]:
            if element in (value.get("key"), value.get("name"), value.get("element")):
                return value.get("value")
        return None

    def observed(self, endpoint):
        self.server.until("it is observed", lambda: (self.client(endpoint) or {}).get("observations") and all(
            one["state"] == "active" for one in self.client(endpoint)["observations"]))

    def operations(self, name):
        read = self.operate(name, "read", "/3/0")
        check(read["status"] == "done" and any(v["path"] == "/3/0/0" for v in read["values"]), read)
        composite = self.operate(name, "read", "/3303/0/5700", "/3323/0/5700")
        check(composite["status"] == "done" and len(composite["values"]) == 2, composite)
        written = self.operate(name, "write", "/3/0/14", value="+05:00")
        check(written["status"] == "done", written)
        check(self.operate(name, "read", "/3/0/14")["values"][0]["value"] == "+05:00", "the offset was not written")
        both = self.operate(name, "write", "/", value={"/3/0/14": "+06:00"})
        check(both["status"] == "done", both)
        links = self.operate(name, "discover", "/3")
        check(links["status"] == "done" and any(link["path"] == "/3/0/0" for link in links["links"]), links)
        attributes = self.operate(name, "write-attributes", "/3/0/9", attributes={"pmin": 5, "pmax": 50})
        check(attributes["status"] == "done", attributes)
        missing = self.operate(name, "read", "/3/0/9999")
        check(missing["status"] == "failed" and missing["code"] == "4.04", missing)

    def exercise(self, name, uri, *security):
        print(f"-- {name} at {uri}", flush=True)
        peer = Peer(self.peer_program, "--server", uri, "--endpoint", name, "--lifetime", "120", *map(str, security))
        try:
            peer.do("register")
            peer.wait("registered")
            self.observed(name)
            peer.do("set", path="/3303/0/5700", value=23.5)
            self.server.until("the value is live", lambda: self.value(name, "temperature") == 23.5)
            self.operations(name)
            peer.do("send", id=7, records=[{"path": "/3323/0/5700", "value": 4.25}])
            peer.wait("sent", id=7, code=204)
            self.server.until("what was sent is live", lambda: self.value(name, "pressure") == 4.25)
            executed = self.operate(name, "execute", "/3303/0/5605")
            check(executed["status"] == "done" or executed["code"] in ("4.04", "4.05"), executed)
            peer.do("update")
            peer.wait("updated", code=204)
            self.firmware(name, peer)
        finally:
            peer.close()

    def firmware(self, name, peer):
        for method in ("push", "pull"):
            package = f"PENSTOCK-FIRMWARE 2.{len(method)}.{method}\n".encode() + b"firmware" * 1000
            self.server.post(f"/api/v1/lwm2m/clients/{name}/firmware",
                             {"package_base64": base64.b64encode(package).decode(), "method": method})
            peer.wait("package", seconds=60, bytes=len(package))

            def over():
                job = self.server.get(f"/api/v1/lwm2m/clients/{name}/firmware")
                return job if job["step"] in ("done", "failed") else None
            job = self.server.until("the update is over", over, 90)
            check(job["step"] == "done", job)
            print(f"   firmware by {method}: {job['detail']}", flush=True)
            self.server.until("it is back", lambda: self.client(name), 60)

    def restart(self, name, uri, *security):
        print("-- kill -9", flush=True)
        peer = Peer(self.peer_program, "--server", uri, "--endpoint", name, "--lifetime", "300", *map(str, security))
        try:
            peer.do("register")
            peer.wait("registered")
            self.observed(name)
            self.server.kill()
            self.server.start()
            check(self.client(name) is not None, "the registration is gone")
            if security:  # its session died with the server; a device finds out by its silence, or begins anew
                peer.do("reconnect")
                peer.wait("registered", seconds=90)
                self.observed(name)
            peer.do("update")
            peer.wait("updated", code=204, seconds=90)
            self.observed(name)
            peer.do("set", path="/3303/0/5700", value=31.5)
            self.server.until("the value is live", lambda: self.value(name, "temperature") == 31.5)
            peer.do("port")
            peer.wait("port")
            peer.do("update")
            peer.wait("updated", code=204, seconds=90)
            check(self.client(name)["address_changes"] >= 1, "another address was not seen")
            peer.do("flood", path=["rd"], bytes=1 << 30)
            flooded = peer.wait("flooded", seconds=60)
            check(flooded["code"] == 413 and flooded["blocks"] < 100, flooded)
        finally:
            peer.close()

    def bootstrap(self):
        print("-- bootstrap", flush=True)
        name = "fresh"
        self.device(name)
        factory = self.server.post("/api/v1/lwm2m/credentials",
                                   {"endpoint": name, "identity": "factory-fresh", "bootstrap": True})
        self.server.call("PUT", f"/api/v1/lwm2m/bootstrap/{name}", {"document": {
            "server_uri": f"coaps://{self.server.ready['coaps']}", "lifetime_s": 90}})
        peer = Peer(self.peer_program, "--endpoint", name, "--bootstrap", f"coaps://{self.server.ready['coaps']}",
                    "--bootstrap-identity", factory["identity"], "--bootstrap-key", factory["key_hex"])
        try:
            peer.do("bootstrap")
            peer.wait("bootstrapped", lifetime=90)
            peer.wait("registered", seconds=60)
            client = self.client(name)
            check(client["transport"] == "dtls" and client["lifetime_s"] == 90, client)
        finally:
            peer.close()

    def all(self):
        at = self.server.ready
        for name in ("plain", "keyed", "certified", "streamed", "tls"):
            self.device(name)
        keys = {name: self.server.post("/api/v1/lwm2m/credentials", {"endpoint": name}) for name in ("keyed", "tls")}

        def psk(name):
            return "--identity", keys[name]["identity"], "--key", keys[name]["key_hex"]
        self.exercise("plain", f"coap://{at['coap']}")
        self.exercise("keyed", f"coaps://{at['coaps']}", *psk("keyed"))
        self.exercise("streamed", f"coap+tcp://{at['coap_tcp']}")
        self.exercise("tls", f"coaps+tcp://{at['coaps_tcp']}", *psk("tls"))
        self.exercise("certified", f"coaps://{at['coaps']}", "--ca", self.folder / "ca.pem", "--certificate",
                      self.folder / "device.pem", "--private-key", self.folder / "device.key")
        self.restart("plain", f"coap://{at['coap']}")
        self.restart("keyed", f"coaps://{at['coaps']}", *psk("keyed"))
        self.bootstrap()


def main(program, peer):
    with tempfile.TemporaryDirectory(prefix="penstock-lwm2m-") as folder:
        run = Run(program, peer, folder)
        try:
            run.all()
        except Exception:
            print(run.server.tail())
            raise
        finally:
            run.server.stop()
    print("all as it should be")


if __name__ == "__main__":
    main(*sys.argv[1:])
