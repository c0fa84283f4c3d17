#!/usr/bin/env python3
"""Samples over HTTP by curl, by node's fetch and in line protocol; a server killed in between; a device that nobody
knows becomes a twin with its history back to the first message.

    ingest_e2e.py PROGRAM"""

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from mqtt_wire import Client  # noqa: E402
from penstock import Penstock  # noqa: E402

MODEL = {"@context": "dtmi:dtdl:context;3", "@id": "dtmi:penstock:test:Meter;1", "@type": "Interface",
         "contents": [{"@type": "Telemetry", "name": "power", "schema": "double"},
                      {"@type": "Telemetry", "name": "mode", "schema": "string"}]}


def send(server, path, body, token, content_type, **headers):
    """Status and answer."""
    request = urllib.request.Request(f"http://{server.http}{path}", method="POST", data=body, headers={
        "Authorization": f"Bearer {token}", "Content-Type": content_type,
        **{name.replace("_", "-"): value for name, value in headers.items()}})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            data = reply.read()
            return reply.status, json.loads(data) if data else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def points(server, twin, element):
    server.wait_for_history()
    reply = server.post("/api/v1/query", {"series": [{"twin": twin, "element": element}], "from": "-2d", "to": "now",
                                          "format": "json"})
    return reply["series"][0]["t"]


def curl_and_fetch(server, token):
    body = json.dumps({"ts": int(time.time() * 1000) - 60_000, "values": {"power": 1.5, "mode": "auto"}})
    answer = json.loads(subprocess.run(
        ["curl", "-fsS", "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json", "-d", body,
         f"http://{server.http}/api/v1/ingest"], check=True, capture_output=True).stdout)
    assert answer["accepted"] == 2 and answer["refused_rows"] == 0, answer
    node = shutil.which("node")
    if node:
        script = """const r = await fetch(process.argv[1], {method: 'POST', body: process.argv[3],
          headers: {Authorization: 'Bearer ' + process.argv[2], 'Content-Type': 'application/x-ndjson'}});
          console.log(r.status, JSON.stringify(await r.json()));"""
        rows = f'{{"ts":{int(time.time() * 1000) - 50_000},"values":{{"power":2}}}}\nnonsense\n'
        out = subprocess.run([node, "--input-type=module", "-e", script,
                              f"http://{server.http}/api/v1/ingest", token, rows],
                             check=True, capture_output=True, text=True).stdout
        assert out.startswith("200 ") and '"row":2' in out, out


def line_protocol(server, token):
    now_s = int(time.time())
    lines = f"meter,host=x power=3.5 {now_s - 40}\nmeter power=4.5 {now_s - 30}\n"
    path = "/api/v2/write?org=o&bucket=b&precision=s"
    status, _ = send(server, path, gzip.compress(lines.encode()), token, "text/plain", Content_Encoding="gzip")
    assert status == 204, status
    status, answer = send(server, "/write?precision=s", b"meter power=1 1700000000\nmeter power=\n", token, "text/plain")
    assert status == 400 and "line 2" in answer["message"], answer
    letters = server.get("/api/v1/dead-letters?device=meter-1")["items"]
    assert any("meter power=" == letter["payload"] for letter in letters), letters
    status, answer = send(server, "/api/v2/write", b"m x=1", "pst_wrong", "text/plain")
    assert status == 401 and answer["code"] == "unauthorized", answer


def again_after_kill(server, token):
    """Values without a time, sent again with the same key before and after kill -9: stored once."""
    before = len(points(server, "meter-1", "power"))
    csv = b"power\n10\n11\n12\n"
    for _ in range(2):
        status, answer = send(server, "/api/v1/ingest", csv, token, "text/csv", Idempotency_Key="run-1")
        assert status == 200 and answer["accepted"] == 3, answer
    assert answer["repeated"]
    server.kill()
    server.start()
    status, answer = send(server, "/api/v1/ingest", csv, token, "text/csv", Idempotency_Key="run-1")
    assert status == 200 and answer["repeated"], answer
    status, answer = send(server, "/api/v1/ingest", b"power\n9\n", token, "text/csv", Idempotency_Key="run-1")
    assert status == 400, answer
    assert len(points(server, "meter-1", "power")) == before + 3


def discovery_to_history(server):
    join = server.post("/api/v1/join-tokens", {"site": "north"})["token"]
    started_ms = int(time.time() * 1000) - 100_000
    for name in ("chiller-1", "chiller-2"):
        client = Client(server.mqtt, name, name, join)
        for i in range(50):
            client.publish(f"devices/{name}/telemetry", json.dumps(
                {"ts": started_ms + i * 1000, "values": {"outlet temp_c": 7 + i / 100, "starts": i}}), 1, i + 1)
            client.read()
        for i in range(10):  # and some that say no time
            client.publish(f"devices/{name}/telemetry", json.dumps({"outlet temp_c": 9, "starts": 100 + i}), 1, 100 + i)
        for _ in range(10):
            client.read()
        client.close()
    server.until("both are discovered", lambda: len(server.get("/api/v1/discovery")["items"]) == 2)
    server.until("all of it is seen", lambda: all(item["messages"] == 60
                                                  for item in server.get("/api/v1/discovery")["items"]))
    proposal = server.get("/api/v1/discovery/chiller-1/proposal")
    assert proposal["alike"] == ["chiller-2"], proposal
    assert len(proposal["samples"]) > 1 and proposal["interval_s"] is not None
    units = {element["address"]: element["unit"] for element in proposal["elements"]}
    assert units["outlet temp_c"] == "degreeCelsius", units
    accepted = server.post("/api/v1/discovery/chiller-1/accept",
                           {"site": "north", "interface": proposal["interface"],
                            "also": ["chiller-2"]})
    assert len(accepted["also"]) == 1 and accepted["rebind"]["device"] == "chiller-1", accepted
    server.until("it is read again", lambda: all(job["state"] == "done"
                                                 for job in server.get("/api/v1/rebind-jobs")["items"]))
    job = server.get(f"/api/v1/rebind-jobs/{accepted['rebind']['id']}")
    assert job["messages"] == 60 and job["refused"] == 0, job
    for twin in ("chiller-1", "chiller-2"):
        assert len(points(server, twin, "starts")) == 60, twin
    again = server.post("/api/v1/devices/chiller-1/rebind", {"kind": "discovery"})
    server.until("again", lambda: server.get(f"/api/v1/rebind-jobs/{again['id']}")["state"] == "done")
    assert len(points(server, "chiller-1", "starts")) == 60
    assert server.get("/api/v1/discovery")["items"] == []


def many_and_codes(server):
    csv = "name,site,model,label.hall\nm-1,north,dtmi:penstock:test:Meter;1,A\nm-2,nowhere,dtmi:penstock:test:Meter;1,B\n"
    tried = server.post("/api/v1/devices/import", {"csv": csv, "dry_run": True})
    assert tried["imported"] == 0 and [e["line"] for e in tried["errors"]] == [3], tried
    done = server.post("/api/v1/devices/import", {"csv": csv.replace("nowhere", "north")})
    assert done["imported"] == 2 and done["credentials_csv"].startswith("name,token"), done
    codes = server.post("/api/v1/claim-codes", {"name": "c-{n}", "site": "north", "model": MODEL["@id"], "count": 2})
    code = codes["items"][0]["code"]
    status, device = send(server, "/api/v1/provision", json.dumps({"code": code.lower(), "serial": "S1"}).encode(), "",
                          "application/json")
    assert status == 201 and device["username"] == "c-1", device
    status, answer = send(server, "/api/v1/ingest", b'{"power":1}', device["token"], "application/json")
    assert status == 200 and answer["accepted"] == 1, answer
    status, _ = send(server, "/api/v1/provision", json.dumps({"code": code}).encode(), "", "application/json")
    assert status == 403, status
    assert [c["state"] for c in server.get("/api/v1/claim-codes")["items"]] == ["used", "open"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        server = Penstock(sys.argv[1], f"{folder}/data")
        server.start()
        try:
            server.post("/api/v1/sites", {"name": "north", "display_name": "North", "time_zone": "UTC"})
            server.post("/api/v1/models", MODEL)
            made = server.post("/api/v1/devices", {"id": "meter-1", "site": "north", "model": MODEL["@id"]})
            token = made["credentials"]["token"]
            curl_and_fetch(server, token)
            line_protocol(server, token)
            again_after_kill(server, token)
            discovery_to_history(server)
            many_and_codes(server)
        finally:
            server.stop()
    print("ingest_e2e: passed")


main()
