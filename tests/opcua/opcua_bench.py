"""10,000 OPC UA items through the connector into history, at 1 Hz and as fast as it goes, beside node-opcua's client
alone. Usage: opcua_bench.py PENSTOCK [SECONDS]. Last line JSON."""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import opcua_e2e as e2e  # noqa: E402

ITEMS = 10_000
TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mb(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def values(server):
    return server.metric("penstock_opcua_values_total")


def through_penstock(server, seconds):
    """Values a second and the connector's CPU and memory, over `seconds`."""
    connector = e2e.children(server.process.pid)[0]
    first, cpu, began, early = values(server), cpu_s(connector), time.monotonic(), resident_mb(connector)
    time.sleep(seconds)
    took = time.monotonic() - began
    return {"values_per_s": (values(server) - first) / took, "cpu_percent": 100 * (cpu_s(connector) - cpu) / took,
            "memory_mb": resident_mb(connector), "memory_growth_mb": resident_mb(connector) - early}


def alone(plant, seconds):
    peer = subprocess.Popen([e2e.NODE, str(e2e.ROOT / "tests/opcua/plain_client.mjs"), f"opc.tcp://127.0.0.1:{plant.port}", str(ITEMS), "500"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    rows = []
    try:
        for line in peer.stdout:
            if line.startswith(b"{"):
                rows.append((time.monotonic(), json.loads(line)["values"]))
            if len(rows) > seconds + 3:
                break
    finally:
        peer.kill()
        peer.wait()
    (t0, v0), (t1, v1) = rows[3], rows[-1]
    return (v1 - v0) / (t1 - t0)


def main():
    program, seconds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30
    folder = Path(tempfile.mkdtemp(prefix="penstock-opcua-bench-"))
    plant = e2e.Plant(folder / "plant")
    server = e2e.Penstock(program, folder / "data", "--opcua-connector", str(e2e.ROOT / "connectors/opcua/dist/connector.js"))
    out = {}
    try:
        plant.start(items=ITEMS, interval_ms=1000, history=False)
        server.start()
        server.post("/api/v1/sites", {"name": "north"})
        e2e.onboard(server, plant, "Basic256Sha256")
        elements = [{"address": f"{e2e.NS}Plant.Counter{i}", "element": f"c{i}", "data_type": "Double"} for i in range(ITEMS)]
        for at in range(0, ITEMS, 1000):
            some = elements[at:at + 1000]
            server.post("/api/v1/opcua/sources/plant/assets", {
                "name": f"part{at}", "site": "north", "elements": some,
                "assets": [{"name": f"part{at}", "nodes": [{"address": one["address"], "node": one["address"]} for one in some]}]})
        server.until("all items are there", lambda: e2e.state(server) == "online" and e2e.source(server)["status"]["items"] == ITEMS, 300)
        server.until("values come", lambda: values(server) > 2 * ITEMS, 120)
        steady = through_penstock(server, seconds)
        out = {"opcua_items": ITEMS, "opcua_seconds": seconds, "opcua_values_per_s": round(steady["values_per_s"]),
               "opcua_connector_cpu_percent": round(steady["cpu_percent"], 1), "opcua_connector_memory_mb": round(steady["memory_mb"]),
               "opcua_connector_memory_growth_mb": round(steady["memory_growth_mb"], 1)}
        # Each value of the counters between the first and the last seen must be in history.
        server.wait_for_history()
        twin = e2e.twin_of(server, "plant:part0")
        rows = server.call("POST", "/api/v1/query", {"series": [{"twin": twin, "element": f"c{i}"} for i in range(0, 1000, 50)],
                                                     "from": "-2h", "format": "csv", "limit": 10_000_000}, raw=True).decode()
        counts = {}
        for row in csv.DictReader(io.StringIO(rows)):
            counts.setdefault(row["element"], set()).add(float(row["value"]))
        out["opcua_lost"] = sum(round(max(seen) - min(seen)) + 1 - len(seen) for seen in counts.values())
        out["opcua_checked"] = sum(len(seen) for seen in counts.values())
        out["opcua_peer_values_per_s"] = round(alone(plant, seconds))
        out["opcua_ratio"] = round(out["opcua_values_per_s"] / max(1, out["opcua_peer_values_per_s"]), 3)
    finally:
        if plant.process and plant.process.poll() is None:
            plant.kill()
        server.stop()
    print(json.dumps(out))


if __name__ == "__main__":
    main()
