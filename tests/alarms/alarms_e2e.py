#!/usr/bin/env python3
"""Rules, detector and alarms as a plant sees them: a pump speaks MQTT, people speak HTTP, the server is killed.

    alarms_e2e.py PROGRAM"""

import json
import random
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from mqtt_wire import Client  # noqa: E402
from penstock import Penstock  # noqa: E402

MODEL = {"@context": "dtmi:dtdl:context;3", "@id": "dtmi:penstock:test:Pump;1", "@type": "Interface",
         "contents": [{"@type": "Telemetry", "name": name, "schema": "double"}
                      for name in ("flow", "vibration", "current")]}


class Pump:
    """One row a second of its own time, which begins an hour ago."""

    def __init__(self, token):
        self.token, self.now_ms, self.random = token, int(time.time() * 1000) - 3_600_000, random.Random(5)
        self.load, self.client, self.packet = 0.0, None, 0

    def connect(self, server):
        self.client = Client(server.mqtt, "pump-1", "pump-1", self.token)

    def row(self, vibration=0.0, flow=None):
        self.now_ms += 1000
        noise = self.random.gauss
        self.load = 0.9 * self.load + noise(0, 1)
        values = {"flow": 30 + self.load + 0.2 * noise(0, 1) if flow is None else flow,
                  "vibration": 2 + 0.1 * noise(0, 1) + vibration,
                  "current": 80 + 3 * self.load + 0.5 * noise(0, 1)}
        return {"ts": self.now_ms, "values": values}

    def say(self, rows):
        """Returns when the server has acknowledged: then it is durable."""
        self.packet = self.packet % 60000 + 1
        self.client.publish("devices/pump-1/telemetry", json.dumps(rows), 1, self.packet)
        kind, _ = self.client.read()
        assert kind == 0x40, kind


def time_of(pump):
    return datetime.fromtimestamp(pump.now_ms / 1000, timezone.utc).isoformat().replace("+00:00", "Z")


def alarms(server, **wanted):
    items = server.get("/api/v1/alarms?limit=200")["items"]
    return [a for a in items if all(a[key] == value for key, value in wanted.items())]


def story(server, alarm):
    return [event["what"] for event in server.get(f"/api/v1/alarms/{alarm['id']}")["history"]]


def detector_learns_and_alarms(server, pump):
    begin = time_of(pump)
    for _ in range(4):
        pump.say([pump.row() for _ in range(150)])
    end = time_of(pump)
    server.wait_for_history()
    made = server.post("/api/v1/detectors", {"twin": "pump-1", "from": begin, "to": end, "priority": "high"})
    assert sorted(made["elements"]) == ["current", "flow", "vibration"], made
    path = f"/api/v1/detectors/{made['id']}"
    server.until("the detector has learned from history", lambda: server.get(path)["state"] == "active", 20)
    pump.say([pump.row() for _ in range(150)])
    pump.say([pump.row(vibration=1.5) for _ in range(60)])
    alarm = server.until("the detector alarms", lambda: alarms(server, twin="pump-1"), 20)[0]
    assert alarm["source"]["kind"] == "detector" and alarm["priority"] == "high", alarm
    assert alarm["state"] == "active", alarm
    assert alarm["contributions"][0]["element"] == "vibration", alarm["contributions"]
    assert abs(sum(c["share"] for c in alarm["contributions"]) - 1) < 0.01, alarm["contributions"]
    known = server.post(f"/api/v1/alarms/{alarm['id']}/acknowledge", {"note": "bearing ordered"})
    assert known["state"] == "acknowledged" and known["acknowledged_by"], known
    server.post(f"/api/v1/alarms/{alarm['id']}/notes", {"text": "bearing changed"})
    for _ in range(8):
        pump.say([pump.row() for _ in range(150)])
    server.until("the alarm is closed", lambda: alarms(server, id=alarm["id"], state="closed"), 20)
    assert story(server, alarm) == ["raised", "acknowledged", "note", "cleared"], story(server, alarm)


def threshold_survives_a_crash(server, pump):
    rule = server.post("/api/v1/rules", {
        "name": "Too much flow", "scope": {"model": MODEL["@id"]}, "element": "flow", "kind": "threshold",
        "comparison": ">", "limit": 100, "hysteresis": 10, "on_delay_s": 5, "priority": "critical",
        "message": "flow too high", "action": "close the valve"})
    pump.say([pump.row(flow=50)])

    def raised():
        # The rule reaches its shard a moment after it was made.
        pump.say([pump.row(flow=120) for _ in range(10)])
        return [a for a in alarms(server) if a["source"]["id"] == rule["id"]]

    alarm = server.until("the rule alarms", raised, 20)[0]
    assert alarm["state"] == "active" and alarm["priority"] == "critical", alarm
    assert alarm["message"] == "flow too high" and alarm["action"] == "close the valve", alarm
    assert alarm["limit"] == 100 and alarm["value"] == 120, alarm
    server.kill()
    server.start()
    pump.connect(server)
    pump.say([pump.row(flow=95) for _ in range(10)])  # inside the dead band
    pump.say([pump.row(flow=120) for _ in range(10)])
    pump.say([pump.row(flow=89)])
    server.until("the alarm clears", lambda: alarms(server, id=alarm["id"], state="cleared"), 20)
    mine = [a for a in alarms(server) if a["source"]["id"] == rule["id"]]
    assert len(mine) == 1, "exactly one alarm, also after kill -9"
    assert story(server, alarm) == ["raised", "cleared"], story(server, alarm)
    pump.say([pump.row(flow=120) for _ in range(10)])
    server.until("it comes again", lambda: alarms(server, id=alarm["id"], state="active"), 20)
    server.call("DELETE", f"/api/v1/rules/{rule['id']}")
    server.until("it goes with its rule", lambda: alarms(server, id=alarm["id"], state="cleared"), 20)


def silence_alarms(server, pump):
    rule = server.post("/api/v1/rules", {
        "name": "Silent", "scope": {"twin": "pump-1"}, "element": "", "kind": "stale", "limit": 1,
        "priority": "low", "message": "the pump is silent"})
    alarm = server.until("silence is noticed",
                         lambda: [a for a in alarms(server) if a["source"]["id"] == rule["id"]], 30)[0]
    pump.say([pump.row()])
    server.until("a word ends it", lambda: "cleared" in story(server, alarm), 20)


def main():
    with tempfile.TemporaryDirectory() as folder:
        server = Penstock(sys.argv[1], Path(folder) / "data")
        server.start()
        try:
            server.post("/api/v1/sites", {"name": "north", "time_zone": "UTC"})
            server.post("/api/v1/models", MODEL)
            made = server.post("/api/v1/devices", {"id": "pump-1", "site": "north", "model": MODEL["@id"]})
            pump = Pump(made["credentials"]["token"])
            pump.connect(server)
            detector_learns_and_alarms(server, pump)
            threshold_survives_a_crash(server, pump)
            silence_alarms(server, pump)
        finally:
            server.stop()
    print("rules, detector and alarms: well")


if __name__ == "__main__":
    main()
