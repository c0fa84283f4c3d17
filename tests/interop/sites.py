"""A site of the run: a device of the demo's model, and the peer that speaks for it: a program of another make in a
process that may be killed at any time. A new protocol is a class with prepare() and command()."""

import os
import random
import re
import shutil
import subprocess
import threading
from pathlib import Path

from samples import ELEMENTS

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


def end(process):
    if process is not None and process.poll() is None:
        process.kill()
    if process is not None:
        process.wait()


class Site:
    """REQUIRES: prepare() once the server runs, then start()."""

    name = ""  # of the site, the device and the row of the table
    protocol = "MQTT"
    element_names = ELEMENTS
    tolerance = 1e-9  # of a value, where the wire has fewer digits

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


ALL = [MosquittoPub, MqttJs, PahoC]
