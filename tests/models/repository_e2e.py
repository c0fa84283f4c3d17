#!/usr/bin/env python3
"""Device-model repositories over HTTP and HTTPS, against the built program.

usage: repository_e2e.py PENSTOCK

A small web server plays the repository: good files, redirects, files too large, and a certificate
that nobody trusts. Loopback only.
"""

import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
from penstock import Penstock  # noqa: E402

PROGRAM = sys.argv.pop(1)


def interface(dtmi, **more):
    return {"@context": "dtmi:dtdl:context;3", "@id": dtmi, "@type": "Interface", **more}


FILES = {
    "/root/dtmi/com/example/thermostat-1.json": interface(
        "dtmi:com:example:Thermostat;1", extends="dtmi:com:example:Base;1",
        contents=[{"@type": "Component", "name": "info", "schema": "dtmi:com:example:Info;2"}]),
    "/root/dtmi/com/example/base-1.json": interface("dtmi:com:example:Base;1"),
    "/root/dtmi/com/example/info-2.json": interface("dtmi:com:example:Info;2"),
    "/root/dtmi/com/example/lonely-1.json": interface("dtmi:com:example:Lonely;1", extends="dtmi:com:example:Gone;1"),
}


class Repository(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):  # noqa: N802 - the library's name
        self.asked.append(self.path)
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            return
        if self.path.startswith("/huge/"):
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            return
        body = json.dumps(FILES[self.path]).encode() if self.path in FILES else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class RepositoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        folder = Path(cls.folder.name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem",
                        "-out", folder / "cert.pem"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        cls.web, cls.secure = serve(), serve(context)
        cls.plain_url = f"http://127.0.0.1:{cls.web.server_port}"
        cls.secure_url = f"https://localhost:{cls.secure.server_port}"
        cls.penstock = Penstock(PROGRAM, folder / "data", "--model-repository", f"acme={cls.plain_url}/root")
        cls.penstock.start()

    @classmethod
    def tearDownClass(cls):
        cls.penstock.stop()
        for server in (cls.web, cls.secure):
            server.shutdown()
            server.server_close()
        cls.folder.cleanup()

    def run_import(self, url, *ids, environment=None):
        done = subprocess.run(
            [PROGRAM, "model", "import", "--dry-run", "--repository", url, *ids, "--server", f"http://{self.penstock.http}",
             "--token", self.penstock.token], capture_output=True, text=True, timeout=120, env={**os.environ, **(environment or {})})
        return done.returncode, done.stdout, done.stderr

    def test_a_model_comes_with_what_it_needs(self):
        code, out, log = self.run_import(self.plain_url + "/root/", "dtmi:com:example:Thermostat;1")
        self.assertEqual(code, 0, log)
        self.assertEqual({one["@id"] for one in json.loads(out)},
                         {"dtmi:com:example:Thermostat;1", "dtmi:com:example:Base;1", "dtmi:com:example:Info;2"})

    def test_certificates_are_checked(self):
        trust = {"SSL_CERT_FILE": str(Path(self.folder.name) / "cert.pem")}
        code, _, log = self.run_import(self.secure_url + "/root", "dtmi:com:example:Base;1", environment=trust)
        self.assertEqual(code, 0, log)
        code, _, log = self.run_import(self.secure_url + "/root", "dtmi:com:example:Base;1")
        self.assertEqual(code, 1)
        self.assertIn("certificate", log)
        other_name = self.secure_url.replace("localhost", "127.0.0.1")
        self.assertEqual(self.run_import(other_name + "/root", "dtmi:com:example:Base;1", environment=trust)[0], 1)

    def test_what_goes_wrong_is_said(self):
        for path, word in (("/moved", "not followed"), ("/huge", "too large"), ("/nothing", "no such file")):
            code, out, log = self.run_import(self.plain_url + path, "dtmi:com:example:Base;1")
            self.assertEqual((code, out), (1, ""), path)
            self.assertIn(word, log)
        code, _, log = self.run_import(self.plain_url + "/root", "dtmi:com:example:Lonely;1")
        self.assertEqual(code, 1)
        self.assertIn("gone-1.json", log)
        for url in ("http://", "https://user@host/", "http://127.0.0.1:1/?x", "gopher://x"):
            self.assertNotEqual(self.run_import(url, "dtmi:com:example:Base;1")[0], 0, url)

    def test_the_server_reads_only_what_it_is_allowed(self):
        made = self.penstock.post("/api/v1/models/import", {"repository": "acme", "ids": ["dtmi:com:example:Thermostat;1"]})
        self.assertEqual(len(made["added"]), 3)
        before = len(Repository.asked)
        for place in (self.plain_url + "/root", "/etc", "http://169.254.169.254/", "acme/../x"):
            with self.assertRaisesRegex(RuntimeError, "403"):
                self.penstock.post("/api/v1/models/import", {"repository": place, "ids": ["dtmi:com:example:Base;1"]})
        self.assertEqual(len(Repository.asked), before, "nobody was asked")


if __name__ == "__main__":
    unittest.main(verbosity=2)
