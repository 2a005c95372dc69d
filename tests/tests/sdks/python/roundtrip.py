"""Hands baggage on as an application does: read from the incoming request, written into the outgoing one.

A line of standard input is the baggage of a request; a line of standard output is what goes out.
"""

import logging
import sys

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

# Its warnings about other people's members are no result here.
logging.disable(logging.CRITICAL)

propagator = W3CBaggagePropagator()
for line in sys.stdin:
    incoming = {"baggage": line.rstrip("\n")}
    outgoing = {}
    propagator.inject(outgoing, propagator.extract(incoming, Context()))
    print(outgoing.get("baggage", ""))
