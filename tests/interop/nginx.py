"""nginx with TLS between two peers, with the locations of the page of the network over WebSocket.

    python3 nginx.py PORT

runs it until its input ends, for a network that listens on PORT, and prints an address: whoever dials
that gets through TLS to PORT. All that it reads and writes is in a folder of its own, so the system's
nginx is left alone.
"""

import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

PAGE = pathlib.Path(__file__).parent / "../../include/ilm/networks/websocket/README.md"
HOST = "localhost"  # the name in the certificate
CONFIGURATION = """
daemon off;
master_process off;  # so that a kill leaves no worker
pid %(folder)s/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    server {
        listen 127.0.0.1:%(port)d ssl reuseport;
        ssl_certificate %(folder)s/certificate.pem;
        ssl_certificate_key %(folder)s/key.pem;
%(inwards)s
    }
    server {
        listen 127.0.0.1:%(outwards_port)d reuseport;
%(outwards)s
    }
}
"""


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def missing_programs():
    return [name for name in ("nginx", "openssl") if not program(name)]


def locations_of_the_page():
    """For those who dial from outside, and for a program that dials."""
    page = PAGE.read_text(encoding="utf-8")
    inwards, outwards = re.findall(r"```nginx\n(location .*?)```", page, re.DOTALL)
    return inwards, outwards


def changed(text, **changes):
    """With another value for each directive of these."""
    for directive, value in changes.items():
        text, count = re.subn(r"\b%s [^;]*;" % directive, "%s %s;" % (directive, value), text)
        if count != 1:
            raise ValueError("the page has %s %d times" % (directive, count))
    return text


def reserved_port():
    """Bound as long as the socket lives, so that it is nobody else's while nginx is down."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved, reserved.getsockname()[1]


class Nginx:
    """Dials `network_port` for those who come with TLS to `port`, and `port` with TLS for those who
    come without to `outwards_port`."""

    def __init__(self, folder, network_port, read_timeout=60):
        self.folder, self.read_timeout = folder, "%ds" % read_timeout
        folder.mkdir()
        self.reserved, self.port = reserved_port()
        self.outwards_reserved, self.outwards_port = reserved_port()
        subprocess.run(
            [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "key.pem",
             "-out", folder / "certificate.pem", "-days", "30", "-subj", "/CN=" + HOST,
             "-addext", "subjectAltName=DNS:" + HOST], check=True, stderr=subprocess.DEVNULL)
        self.tls = ssl.create_default_context(cafile=folder / "certificate.pem")  # to dial with
        self.start(network_port)

    def start(self, network_port):
        """Until it listens."""
        inwards, outwards = locations_of_the_page()
        values = {
            "folder": self.folder, "port": self.port, "outwards_port": self.outwards_port,
            "inwards": changed(inwards, proxy_pass="http://127.0.0.1:%d" % network_port,
                               proxy_read_timeout=self.read_timeout),
            "outwards": changed(outwards, proxy_read_timeout=self.read_timeout,
                                proxy_pass="https://127.0.0.1:%d" % self.port,
                                proxy_ssl_server_name="on; proxy_ssl_name " + HOST,
                                proxy_ssl_trusted_certificate=self.folder / "certificate.pem"),
        }
        file, log = self.folder / "nginx.conf", self.folder / "error.log"
        file.write_text(CONFIGURATION % values, encoding="utf-8")
        self.process = subprocess.Popen(
            [program("nginx"), "-p", self.folder, "-e", log, "-c", file])
        while not self.listens():
            if self.process.poll() is not None:
                raise ChildProcessError("nginx ended: " + log.read_text(encoding="utf-8"))
            time.sleep(0.01)

    def listens(self):
        with socket.socket() as visitor:
            return visitor.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.reserved.close()
        self.outwards_reserved.close()


def main(network_port):
    with tempfile.TemporaryDirectory(prefix="ilm-nginx-") as folder:
        proxy = Nginx(pathlib.Path(folder) / "nginx", int(network_port))
        print("ws://127.0.0.1:%d/ilm" % proxy.outwards_port, flush=True)
        sys.stdin.read()
        proxy.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
