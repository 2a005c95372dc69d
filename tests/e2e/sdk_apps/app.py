"""A service as people write them: an HTTP server that calls `back` and hands the context on with OpenTelemetry's propagators."""

import os
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import propagate
from opentelemetry.context import Context

OUTBOUND_PORT = int(os.environ["OUTBOUND_PORT"])


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        headers = {"Host": "back"}
        # Trace context and baggage: what is propagated unless somebody says otherwise.
        propagate.inject(headers, propagate.extract(dict(self.headers), Context()))
        connection = HTTPConnection("127.0.0.1", OUTBOUND_PORT)
        connection.request("GET", "/work", headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Front).serve_forever()
