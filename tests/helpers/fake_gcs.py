"""A Google Cloud Storage in this process, as far as gcsfs and tensorstore ask for it.

    with fake_gcs.server() as (store, environment):  # which points the libraries there
        ...
        store.objects["bucket", "a/b.json"].data

Objects are whole or absent, as in the real one: there is no append, no rename and no folder.
"""

import base64
import contextlib
import hashlib
import itertools
import json
import re
import struct
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

import google_crc32c

TIME = "2026-01-02T03:04:05.000Z"
_OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)$")
_COPY = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/(?:rewriteTo/b/([^/]+)|moveTo)/o/([^/]+)$")


@dataclass(frozen=True)
class Object:
    data: bytes
    generation: int


@dataclass
class Store:
    """What the server holds and was asked."""

    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    # Called with method and path of each request; what it returns instead of None is the status
    # that the request fails with.
    fail: object = None
    _generations: itertools.count = field(default_factory=lambda: itertools.count(1))
    _uploads: dict[str, tuple[tuple[str, str], dict, bytearray]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self):
        self.objects.clear()
        self.requests.clear()
        self.fail = None

    def names(self, bucket, prefix=""):
        return sorted(
            name for where, name in self.objects if where == bucket and name.startswith(prefix)
        )

    def put(self, key, data, query=None):
        with self._lock:
            wanted = (query or {}).get("ifGenerationMatch")
            there = self.objects.get(key)
            if wanted is not None and int(wanted) != (there.generation if there else 0):
                return None
            self.objects[key] = Object(bytes(data), next(self._generations))
            return self.objects[key]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # one packet for head and body: two wait for each other
    store: Store

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer(self._get)

    def do_POST(self):
        self._answer(self._post)

    def do_PUT(self):
        self._answer(self._post)

    def do_DELETE(self):
        self._answer(self._delete)

    def _answer(self, method):
        url = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.store.requests.append((self.command, self.path))
        status = self.store.fail and self.store.fail(self.command, unquote(self.path))
        if status:
            self._reply(status, {"error": {"code": status, "message": "made to fail"}})
        else:
            method(url.path)

    def _reply(self, status, body=b"", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not isinstance(body, bytes):
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _missing(self):
        self._reply(404, {"error": {"code": 404, "message": "No such object"}})

    def _get(self, path):
        if match := _OBJECT.match(path):
            key = unquote(match[1]), unquote(match[2])
            found = self.store.objects.get(key)
            if found is None:
                self._missing()
            elif self.query.get("alt") != "media":
                self._reply(200, _resource(key, found))
            elif self.query.get("ifGenerationNotMatch") == str(found.generation):
                self._reply(304)
            else:
                self._media(found)
        elif match := re.match(r"/storage/v1/b/([^/]+)/o$", path):
            self._list(unquote(match[1]))
        elif match := re.match(r"/storage/v1/b/([^/]+)$", path):
            name = unquote(match[1])
            self._reply(200, {"kind": "storage#bucket", "id": name, "name": name})
        else:
            self._missing()

    def _media(self, found):
        headers = [("x-goog-generation", str(found.generation)), ("x-goog-hash", _crc(found.data))]
        data, wanted = found.data, re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not wanted:
            self._reply(200, data, headers)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if start >= len(data):
            self._reply(416)
            return
        headers.append(("Content-Range", f"bytes {start}-{end}/{len(data)}"))
        self._reply(206, data[start : end + 1], headers)

    def _list(self, bucket):
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter")
        start, end = self.query.get("startOffset", ""), self.query.get("endOffset")
        items, prefixes = [], set()
        for name in self.store.names(bucket, prefix):
            rest = name[len(prefix) :]
            if name < start or (end and name >= end):
                continue
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                items.append(_resource((bucket, name), self.store.objects[bucket, name]))
        body = {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}
        self._reply(200, {key: value for key, value in body.items() if value})

    def _post(self, path):
        if match := re.match(r"/upload/storage/v1/b/([^/]+)/o$", path):
            self._upload(unquote(match[1]))
        elif match := _COPY.match(path):
            source = unquote(match[1]), unquote(match[2])
            target = unquote(match[3] or match[1]), unquote(match[4])
            found = self.store.objects.get(source)
            if found is None:
                self._missing()
                return
            resource = _resource(target, self.store.put(target, found.data))
            if not match[3]:
                del self.store.objects[source]
            done = {"kind": "storage#rewriteResponse", "done": True, "resource": resource}
            self._reply(200, done if match[3] else resource)
        elif path.startswith("/batch"):
            self._batch()
        else:
            self._missing()

    def _upload(self, bucket):
        kind = self.query.get("uploadType")
        if "upload_id" in self.query:
            self._continue(self.query["upload_id"])
        elif kind == "media":
            self._put((bucket, self.query["name"]), self.body, self.query)
        elif kind == "multipart":
            boundary = re.search('boundary="?([^";]+)', self.headers["Content-Type"])[1].encode()
            # The first line break belongs to the boundary, the last one to the next boundary.
            about, data = self.body.split(b"--" + boundary)[1:3]
            about = json.loads(re.split(rb"\r?\n\r?\n", about, maxsplit=1)[1])
            data = re.split(rb"\r?\n\r?\n", data, maxsplit=1)[1]
            data = data.removesuffix(b"\n").removesuffix(b"\r")
            self._put((bucket, about["name"]), data, self.query)
        else:
            name = self.query.get("name") or json.loads(self.body)["name"]
            number = str(len(self.store._uploads) + 1)
            self.store._uploads[number] = (bucket, name), self.query, bytearray()
            where = f"/upload/storage/v1/b/{quote(bucket)}/o?uploadType=resumable"
            host = self.headers["Host"]
            self._reply(200, {}, [("Location", f"http://{host}{where}&upload_id={number}")])

    def _continue(self, number):
        key, query, data = self.store._uploads[number]
        data += self.body
        if self.headers["Content-Range"].endswith("/*"):
            self._reply(308, b"", [("Range", f"bytes=0-{len(data) - 1}")])
        else:
            self._put(key, data, query)

    def _put(self, key, data, query):
        made = self.store.put(key, data, query)
        if made is None:
            self._reply(412, {"error": {"code": 412, "message": "generation"}})
        else:
            self._reply(200, _resource(key, made))

    def _delete(self, path):
        match = _OBJECT.match(path)
        key = unquote(match[1]), unquote(match[2])
        self._reply(204) if self.store.objects.pop(key, None) else self._missing()

    def _batch(self):
        paths = re.findall(rb"\nDELETE (\S+) HTTP", self.body)
        parts = []
        for path in paths:
            match = _OBJECT.match(urlsplit(path.decode()).path)
            key = unquote(match[1]), unquote(match[2])
            status = "204 No Content" if self.store.objects.pop(key, None) else "404 Not Found"
            parts.append(
                f"--cut\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status}\r\n\r\n"
            )
        body = ("".join(parts) + "--cut--").encode()
        self._reply(200, body, [("Content-Type", "multipart/mixed; boundary=cut")])


def _crc(data):
    checksum = struct.pack(">I", google_crc32c.value(data))
    return f"crc32c={base64.b64encode(checksum).decode()}"


def _resource(key, found):
    bucket, name = key
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{found.generation}",
        "bucket": bucket,
        "name": name,
        "generation": str(found.generation),
        "metageneration": "1",
        "size": str(len(found.data)),
        "timeCreated": TIME,
        "updated": TIME,
        "storageClass": "STANDARD",
        "crc32c": _crc(found.data).removeprefix("crc32c="),
        "md5Hash": base64.b64encode(hashlib.md5(found.data).digest()).decode(),
    }


@contextlib.contextmanager
def server():
    """Serves an empty store; yields (store, environment that points the libraries to it)."""
    store = Store()
    handler = type("Handler", (_Handler,), {"store": store})
    with _Server(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{http.server_address[1]}"
        try:
            yield (
                store,
                {
                    "STORAGE_EMULATOR_HOST": url,
                    "TENSORSTORE_GCS_HTTP_URL": url,
                    "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
                    "FSSPEC_GCS_TOKEN": "anon",
                },
            )
        finally:
            http.shutdown()
            thread.join()
