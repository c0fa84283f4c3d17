"""A site of the run: a device of the demo's model, and the peer that speaks for it: a program of another make in a
process that may be killed at any time. A new protocol is a class with prepare() and command()."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from samples import ELEMENTS, time_ms

HERE = Path(__file__).parent
MODEL = "dtmi:penstock:ScrewCompressor;1"
NODE = shutil.which("node")


def version_of(command, pattern=r"\d+\.\d+(\.\d+)*"):
    """The first version number in what `command` says."""
    try:
        said = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except OSError:
        return "?"
    found = re.search(pattern, (said.stdout + said.stderr).decode(errors="replace"))
    return found.group(0) if found else "?"


def npm_version(package):
    text = (HERE.parent / "node_modules" / package / "package.json").read_text()
    return re.search(r'"version":\s*"([^"]+)"', text).group(1)


def iso(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat().replace("+00:00", "Z")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def activate(server, document):
    """Saves a binding document and makes it the one that counts; once."""
    if any(item["name"] == document["name"] for item in server.get("/api/v1/bindings")["items"]):
        return
    server.post("/api/v1/bindings", {"document": document, "activate": True})


def end(process):
    if process is not None and process.poll() is None:
        process.kill()
    if process is not None:
        process.wait()


class Site:
    """REQUIRES: prepare() once the server runs, then start()."""

    name = ""  # of the site, the device and the row of the table
    protocol = "MQTT"
    needs = "/devices"  # a resource of the server's API: where it is not, neither is the protocol
    listener = None  # that the server needs for it, beside http, mqtt and ws
    element_names = ELEMENTS
    tolerance = 1e-9  # of a value, where the wire has fewer digits

    standing = {}  # values that the device has before its first sample, and that a server may read

    def __init__(self, run):
        self.run, self.process, self.until = run, None, None
        self.acknowledged, self.lock, self.kills = set(), threading.Lock(), 0
        self.device = f"{self.name}-compressor"
        self.log = open(run.folder / f"{self.name}.log", "ab")  # noqa: SIM115 - lives as long as we do

    # What a protocol says of itself.

    @staticmethod
    def missing():
        """Why this peer cannot run here; empty where it can."""
        return ""

    def label(self):
        """The peer with its version, for the table."""
        raise NotImplementedError

    def command(self, first):
        raise NotImplementedError

    def device_draft(self):
        return {}

    def prepare(self):
        server = self.run.server
        server.post("/api/v1/sites", {"name": self.name, "display_name": f"Works of {self.label()}"})
        made = server.post("/api/v1/devices", {"id": self.device, "site": self.name, "model": MODEL,
                                               "display_name": "Compressor 1", **self.device_draft()})
        self.token = (made.get("credentials") or {}).get("token", "")
        self.twin = made["device"]["twin"] if "device" in made else made["twin"]

    def processes(self):
        """What may be killed beside the peer: pairs of a name and a function that kills it and starts it again."""
        return []

    def close(self):
        end(self.process)
        self.log.close()

    # The peer's process.

    def start(self):
        first = self.first_missing()
        self.process = subprocess.Popen([str(part) for part in self.command(first)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, **self.environment()})
        threading.Thread(target=self.follow, args=(self.process,), daemon=True).start()
        if self.until is not None:
            self.say_until()

    def environment(self):
        return {}

    def follow(self, process):
        for line in process.stdout:
            words = line.decode(errors="replace").split()
            if words[:1] == ["acked"]:
                numbers = range(int(words[1]), int(words[-1]) + 1)
                with self.lock:
                    self.acknowledged.update(numbers)
            else:
                self.log.write(line)

    def kill(self):
        end(self.process)
        self.kills += 1

    def restart(self):
        self.kill()
        self.start()

    def stop_at(self, number):
        self.until = number
        self.say_until()

    def say_until(self):
        try:
            self.process.stdin.write(f"until {self.until}\n".encode())
            self.process.stdin.flush()
        except (BrokenPipeError, OSError):
            pass  # it has ended; check_alive() says so

    def first_missing(self):
        with self.lock:
            n = 0
            while n in self.acknowledged:
                n += 1
            return n

    def done(self):
        return self.first_missing() > self.until

    def check_alive(self):
        code = self.process.poll()
        if code is not None:
            raise AssertionError(f"{self.name}: the peer ended by itself with {code}; see {self.log.name}\n{self.tail()}")

    def tail(self):
        self.log.flush()
        return Path(self.log.name).read_text(errors="replace")[-1500:]


class MosquittoPub(Site):
    name = "mosquitto-pub"

    @staticmethod
    def missing():
        return "" if shutil.which("mosquitto_pub") else "mosquitto_pub is not installed"

    def label(self):
        return f"mosquitto_pub {version_of(['mosquitto_pub', '--version'])}"

    def command(self, first):
        return [HERE / "peers/mosquitto_pub.py", "--mqtt", self.run.server.mqtt, "--device", self.device, "--token",
                self.token, "--topic", f"devices/{self.device}/telemetry", "--base", self.run.base_ms, "--first", first]


class MqttJs(Site):
    name = "mqtt-js"

    @staticmethod
    def missing():
        return "" if NODE and (HERE.parent / "node_modules/mqtt").exists() else "mqtt.js is not installed: make setup"

    def label(self):
        return f"mqtt.js {npm_version('mqtt')}"

    def command(self, first):
        return [NODE, HERE / "peers/mqttjs.mjs", "--mqtt", self.run.server.mqtt, "--device", self.device, "--token",
                self.token, "--base", self.run.base_ms, "--first", first]


class PahoC(Site):
    name = "paho-c"

    @staticmethod
    def missing():
        return "" if os.environ.get("INTEROP_PAHO") else "the Paho C library was not there when this was built"

    def label(self):
        return f"Paho C {version_of(['dpkg-query', '-W', '-f=${Version}', 'libpaho-mqtt-dev'])}"

    def command(self, first):
        return [os.environ["INTEROP_PAHO"], self.run.server.mqtt, self.device, self.token, self.run.base_ms, first,
                self.run.folder / "paho"]


class TopicBinding(MosquittoPub):
    """A make whose devices have topics, names and units of their own: only a binding is added."""

    name = "own-topics"
    needs = "/bridges"
    protocol = "MQTT, bound"
    binding = {"name": "acme-compressor", "protocol": "mqtt", "model": MODEL, "topic": "acme/{device}/data",
               "payload": {"time": "/t", "time_format": "ms"},
               "elements": [{"element": "dischargePressure", "from": "/d/mbar", "scale": 0.001},
                            {"element": "oilTemperature", "from": "/d/oil"}]}

    def device_draft(self):
        activate(self.run.server, self.binding)
        return {"binding": self.binding["name"]}

    def command(self, first):
        return [HERE / "peers/mosquitto_pub.py", "--mqtt", self.run.server.mqtt, "--device", self.device, "--token",
                self.token, "--topic", f"acme/{self.device}/data", "--form", "plant", "--base", self.run.base_ms,
                "--first", first]


class Bridged(TopicBinding):
    """A mosquitto that the plant has already; devices stay connected there, Penstock is its client. It is stopped and
    not killed: what it acknowledges it has in memory only."""

    name = "mosquitto"
    protocol = "MQTT, bridge"

    @staticmethod
    def missing():
        return "" if shutil.which("mosquitto") and shutil.which("mosquitto_pub") else "mosquitto is not installed"

    def label(self):
        return f"mosquitto {version_of(['mosquitto', '-h'])}"

    def prepare(self):
        super().prepare()
        self.folder, self.port, self.broker = self.run.folder / "mosquitto", free_port(), None
        self.folder.mkdir()
        (self.folder / "conf").write_text("\n".join([
            f"listener {self.port} 127.0.0.1", "allow_anonymous true", "persistence true", "max_queued_messages 0",
            f"persistence_location {self.folder}/", "user root", ""]))
        self.start_broker()
        self.run.server.post("/api/v1/bridges", {"name": "plant", "host": "127.0.0.1", "port": self.port,
                                                 "subscribe": ["acme/#"]})
        # From here on the broker keeps for us what we miss.
        self.run.server.until("the bridge", lambda: self.run.server.get("/api/v1/bridges/plant")["status"]["state"] == "connected")

    def start_broker(self):
        self.broker = subprocess.Popen(["mosquitto", "-c", self.folder / "conf"], stderr=self.log, stdout=self.log)

    def restart_broker(self):
        self.broker.terminate()
        self.broker.wait()
        self.start_broker()

    def processes(self):
        return [("broker", self.restart_broker)]

    def command(self, first):
        return [HERE / "peers/mosquitto_pub.py", "--mqtt", f"127.0.0.1:{self.port}", "--device", self.device, "--topic",
                f"acme/{self.device}/data", "--form", "plant", "--base", self.run.base_ms, "--first", first]

    def close(self):
        super().close()
        end(self.broker)


class Curl(Site):
    name = "curl"
    needs = "/ingest"
    protocol = "HTTP"

    @staticmethod
    def missing():
        return "" if shutil.which("curl") else "curl is not installed"

    def label(self):
        return f"curl {version_of(['curl', '--version'])}"

    def command(self, first):
        return [HERE / "peers/curl.py", "--http", self.run.server.http, "--device", self.device, "--token", self.token,
                "--base", self.run.base_ms, "--first", first]


class SparkplugClient(Site):
    name = "sparkplug"
    needs = "/sparkplug/nodes"
    protocol = "Sparkplug B"
    binding = {"name": "sparkplug-compressor", "protocol": "sparkplug", "model": MODEL,
               "elements": [{"element": "dischargePressure", "from": "Air/Discharge pressure"},
                            {"element": "oilTemperature", "from": "Oil/Temperature"}]}

    def __init__(self, run):
        super().__init__(run)
        self.device = "works:edge"

    @staticmethod
    def missing():
        there = NODE and (HERE.parent / "node_modules/sparkplug-client").exists()
        return "" if there else "sparkplug-client is not installed: make setup"

    def label(self):
        return f"sparkplug-client {npm_version('sparkplug-client')}"

    def device_draft(self):
        activate(self.run.server, self.binding)
        return {"protocol": "sparkplug", "binding": self.binding["name"]}

    def command(self, first):
        return [NODE, HERE / "peers/sparkplug.mjs", "--mqtt", self.run.server.mqtt, "--group", "works", "--node", "edge",
                "--device", self.device, "--token", self.token, "--base", self.run.base_ms, "--first", first]


class Lwm2m(Site):
    name = "lwm2m"
    needs = "/lwm2m/clients"
    protocol = "LwM2M, DTLS-PSK"
    listener = "coaps"
    standing = {"dischargePressure": 7.1, "oilTemperature": 21.5}  # tests/lwm2m/objects.cpp
    binding = {"name": "lwm2m-compressor", "protocol": "lwm2m", "model": MODEL,
               "elements": [{"element": "dischargePressure", "from": "/3323/0/5700", "unit": "bar"},
                            {"element": "oilTemperature", "from": "/3303/0/5700"}]}

    @staticmethod
    def missing():
        return "" if os.environ.get("LWM2M_PEER") else "libcoap was not there when this was built"

    def label(self):
        return f"libcoap {version_of(['dpkg-query', '-W', '-f=${Version}', 'libcoap3'])}"

    def device_draft(self):
        activate(self.run.server, self.binding)
        return {"protocol": "lwm2m", "binding": self.binding["name"]}

    def prepare(self):
        super().prepare()
        self.key = self.run.server.post("/api/v1/lwm2m/credentials", {"endpoint": self.device})

    def command(self, first):
        return [HERE / "peers/lwm2m.py", "--peer", os.environ["LWM2M_PEER"], "--server",
                f"coaps://{self.run.server.ready['coaps']}", "--endpoint", self.device, "--identity",
                self.key["identity"], "--key", self.key["key_hex"], "--base", self.run.base_ms, "--first", first]


class NodeOpcua(Site):
    """A server that is read: nobody acknowledges to it, and what was missed is read from its history. So what matters is
    whether its last sample is in history at last, and then all others."""

    name = "opcua"
    needs = "/opcua/sources"
    protocol = "OPC UA, SignAndEncrypt"
    namespace = "nsu=urn:interop:works;s=Compressor"

    @staticmethod
    def missing():
        connector = HERE.parent.parent / "connectors/opcua/dist/connector.js"
        if not (NODE and (HERE.parent / "node_modules/node-opcua-server").exists()):
            return "node-opcua-server is not installed: make setup"
        return "" if connector.exists() else "the connector is not built: make build"

    def label(self):
        return f"node-opcua-server {npm_version('node-opcua-server')}"

    def prepare(self):
        server = self.run.server
        self.port = free_port()
        server.post("/api/v1/sites", {"name": self.name, "display_name": f"Works of {self.label()}"})
        self.start()
        server.post("/api/v1/opcua/sources", {"name": "works", "secrets": {"password": "gate-5"}, "document": {
            "endpoint_url": f"opc.tcp://127.0.0.1:{self.port}", "security_mode": "SignAndEncrypt", "security_policy": "Basic256Sha256",
            "user_kind": "password", "user_name": "plant", "publishing_ms": 200, "sampling_ms": 0, "queue": 1000}})
        server.until("the certificate is asked about", lambda: self.state() == "untrusted", 120)
        for one in server.get("/api/v1/opcua/certificates")["items"]:
            server.post(f"/api/v1/opcua/certificates/{one['thumbprint']}", {"action": "trust"})
        server.until("the source is online", lambda: self.state() == "online", 120)
        nodes = {element: f"{self.namespace}.{element}" for element in self.element_names}
        made = server.post("/api/v1/opcua/sources/works/assets", {
            "name": "opcua-compressor", "site": self.name, "model": MODEL,
            "elements": [{"address": node, "element": element, "data_type": "Double"} for element, node in nodes.items()],
            "assets": [{"name": "Compressor 1", "root": self.namespace,
                        "nodes": [{"address": node, "node": node} for node in nodes.values()]}]})
        self.device = made["devices"][0]
        self.twin = server.get(f"/api/v1/devices/{quote(self.device, safe=':')}")["twin"]

    def start(self):
        """prepare() needs a server before the run has its time zero; that one has no samples and gives way."""
        if self.process and self.process.poll() is None:
            end(self.process)
        super().start()

    def state(self):
        return (self.run.server.get("/api/v1/opcua/sources/works")["status"] or {}).get("state")

    def command(self, first):
        return [NODE, HERE / "peers/opcua.mjs", "--port", self.port, "--pki", self.run.folder / "opcua", "--password", "gate-5",
                "--base", self.run.base_ms or int((time.time() + 86_400) * 1000), "--first", first]

    def processes(self):
        return [("connector", self.kill_connector)]

    def kill_connector(self):
        """The server starts it again."""
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) if words else 0
            except OSError:
                continue
            if parent == self.run.server.process.pid and any(word.endswith(b"connector.js") for word in words):
                os.kill(int(entry.name), signal.SIGKILL)

    def done(self):
        """All of them are in history; where that does not come about, the table says what is missing."""
        until = time_ms(self.run.base_ms, self.until)
        answer = self.run.server.post("/api/v1/query", {"series": [{"twin": self.twin, "element": e} for e in self.element_names],
                                                        "from": iso(self.run.base_ms - 1000), "to": iso(until + 1000), "bucket": "1h",
                                                        "functions": ["count"]})
        return all(sum(n or 0 for n in one.get("count", [])) >= self.until + 1 for one in answer["series"])

    def first_missing(self):
        return 0


ALL = [MosquittoPub, MqttJs, PahoC, TopicBinding, Bridged, SparkplugClient, Curl, Lwm2m, NodeOpcua]
