"""From a real OPC UA server (node-opcua, SignAndEncrypt, user and password) to history: certificates are trusted by a
person, devices made of picked nodes, then server, connector and Penstock are killed at random. Nothing that the server
kept is lost, nothing is stored twice. A frozen server is found, namespaces may change, and commands arrive."""

import csv
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from datetime import datetime, timedelta, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
from penstock import Penstock  # noqa: E402

NODE = shutil.which("node")
ITEMS = 5
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NS = "nsu=urn:test:plant;s="


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Plant:
    """The OPC UA server; what it counted survives it in counted.log."""

    def __init__(self, directory):
        self.directory, self.port, self.process = directory, free_port(), None

    def start(self, **options):
        settings = {"port": self.port, "pki": str(self.directory), "items": ITEMS, "interval_ms": 200, **options}
        log = open(f"{self.directory}.log", "ab")  # noqa: SIM115 - the process writes to it
        self.process = subprocess.Popen([NODE, str(ROOT / "tests/opcua/opcua_server.mjs"), json.dumps(settings)], stdout=subprocess.PIPE, stderr=log)
        for line in self.process.stdout:
            if line.startswith(b"{"):
                return json.loads(line)
        raise RuntimeError(f"the OPC UA server did not start; see {self.directory}.log")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def counted(self):
        lines = [line.split() for line in (self.directory / "counted.log").read_text().splitlines()]
        return {int(ms): float(n) for n, ms in (line for line in lines if len(line) == 2)}


def children(pid):
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                    out.append(int(entry.name))
            except OSError:
                pass
    return out


def source(server):
    return server.get("/api/v1/opcua/sources/plant")


def state(server):
    return (source(server)["status"] or {}).get("state")


def onboard(server, plant, policy):
    document = {"endpoint_url": f"opc.tcp://127.0.0.1:{plant.port}", "security_mode": "SignAndEncrypt", "security_policy": policy,
                "user_kind": "password", "user_name": "plant", "publishing_ms": 200, "sampling_ms": 50, "queue": 1000}
    server.post("/api/v1/opcua/sources", {"name": "plant", "document": document, "secrets": {"password": "gate-5"}})
    assert "gate-5" not in json.dumps(source(server)), "a secret is shown"
    server.until("the unknown certificate stops it", lambda: state(server) == "untrusted", 120)
    certificates = server.get("/api/v1/opcua/certificates")
    pending = [one for one in certificates["items"] if one["state"] == "pending"]
    assert len(pending) == 1, certificates
    server.post(f"/api/v1/opcua/certificates/{pending[0]['thumbprint']}", {"action": "trust"})
    server.until("trusted, it connects", lambda: state(server) == "online", 120)


def pick(server):
    found = server.get(f"/api/v1/opcua/sources/plant/browse?node={NS.replace(';', '%3B').replace('=', '%3D')}Plant")
    counters = [node for node in found["items"] if node["name"].startswith("Counter")]
    assert len(counters) == ITEMS, found
    described = server.post("/api/v1/opcua/sources/plant/describe", {"nodes": [node["node"] for node in counters]})["items"]
    elements = [{"address": one["node"], "element": one["name"], "data_type": one["data_type"]} for one in described]
    elements.append({"address": NS + "Plant.Setpoint", "element": "setpoint", "data_type": "Int32", "writable": True})
    nodes = [{"address": one["address"], "node": one["address"]} for one in elements]
    made = server.post("/api/v1/opcua/sources/plant/assets", {
        "name": "tank", "site": "north", "elements": elements, "commands": [{"name": "add"}],
        "assets": [{"name": "Tank 1", "root": NS + "Plant", "nodes": nodes, "commands": {"add": {"object": NS + "Plant", "method": NS + "Plant.Add"}}}]})
    return twin_of(server, made["devices"][0])


def twin_of(server, device):
    """The slug of its twin. The device's name may have an escape of its own: plant:Tank%201."""
    return server.get(f"/api/v1/devices/{urllib.parse.quote(device, safe=':')}")["twin"]


def live(server, twin):
    return {one["key"]: one for one in server.get(f"/api/v1/twins/{twin}")["elements"] if one["value"] is not None}


def stored(server, twin):
    """{element: {time in ms: value}} of history; a sample stored twice fails."""
    names = [f"counter_{i}" for i in range(ITEMS)]
    rows = server.call("POST", "/api/v1/query", {"series": [{"twin": twin, "element": name} for name in names], "from": "-2h",
                                                 "format": "csv", "limit": 10_000_000}, raw=True)
    out = {name: {} for name in names}
    for row in csv.DictReader(io.StringIO(rows.decode())):
        ms = round((datetime.fromisoformat(row["time"].replace("Z", "+00:00")) - EPOCH) / timedelta(milliseconds=1))
        assert ms not in out[row["element"]], f"{row} is stored twice"
        out[row["element"]][ms] = row["value"]
    return out


def check(server, plant, twin, since):
    """Every count that the server kept is in history once, at its time."""
    def missing():
        server.wait_for_history()
        rows = stored(server, twin)
        wanted = {ms: n for ms, n in plant.counted().items() if ms >= since}
        return {key: [ms for ms in wanted if ms not in have] for key, have in rows.items()}, wanted
    end = time.monotonic() + 120
    while True:
        lost, wanted = missing()
        if not any(lost.values()):
            break
        assert time.monotonic() < end, {key: (len(all_), all_[:5]) for key, all_ in lost.items()}
        time.sleep(0.5)
    print(json.dumps({"sent": len(wanted) * ITEMS, "lost": 0, "duplicated": 0}), flush=True)


def main():
    program = sys.argv[1]
    folder = Path(tempfile.mkdtemp(prefix="penstock-opcua-"))
    plant = Plant(folder / "plant")
    server = Penstock(program, folder / "data", "--opcua-connector", str(ROOT / "connectors/opcua/dist/connector.js"))
    try:
        plant.start()
        server.start()
        server.post("/api/v1/sites", {"name": "north"})
        onboard(server, plant, "Basic256Sha256")
        twin = pick(server)
        server.until("a value shows", lambda: live(server, twin).get("counter_0"), 120)
        since = max(plant.counted()) if plant.counted() else 0

        print("commands", flush=True)
        server.call("PUT", f"/api/v1/twins/{twin}/properties/setpoint", {"value": 42})
        server.until("the written value comes back", lambda: live(server, twin).get("setpoint", {}).get("value") == 42, 60)

        print("a frozen server", flush=True)
        plant.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        server.until("it is found", lambda: state(server) in ("silent", "waiting", "connecting"), 30)
        print(f"found after {time.monotonic() - began:.1f} s", flush=True)
        plant.process.send_signal(signal.SIGCONT)
        server.until("it goes on", lambda: state(server) == "online", 120)

        chosen = random.SystemRandom().randrange(1 << 30)
        print(f"kills, seed {chosen}", flush=True)
        order = random.Random(chosen)
        for victim in order.sample(["server", "connector", "penstock"] * 2, 5):
            print(f"kill -9 {victim}", flush=True)
            if victim == "server":
                plant.kill()
                # Namespaces in another order: what was picked is found all the same.
                plant.start(namespaces=order.sample(["urn:test:plant", "urn:test:other", "urn:test:third"], 3))
            elif victim == "connector":
                # One that was killed a moment ago may still be on its way back.
                running = server.until("a connector runs", lambda: children(server.process.pid), 60)
                os.kill(running[0], signal.SIGKILL)
            else:
                server.kill()
                server.start()
            newest = plant.counted()
            server.until("values come again", lambda n=newest: any(ms > max(n) for ms in stored(server, twin)["counter_0"]), 180)
        plant.process.send_signal(signal.SIGTERM)
        plant.process.wait()
        plant.start(interval_ms=0)
        server.until("the server is back", lambda: state(server) == "online", 180)
        check(server, plant, twin, since)
    finally:
        if plant.process and plant.process.poll() is None:
            plant.process.send_signal(signal.SIGCONT)
            plant.kill()
        server.stop()
    assert not children(os.getpid()), "a process was left"
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
