"""Worlds of another origin: programs that call each other, run on a virtual clock, and the spans that their libraries would have exported.

Discovery's constants were fitted on `tests/src/synthetic`. Whoever tests an inference with the generator it was fitted on learns nothing, so these
worlds share nothing with it: here every service is a coroutine on an event loop, with tasks, joins and cancellation as in asyncio or Go's errgroup;
latencies are gamma, bimodal or heavy-tailed; callers work between their calls; structures come from another grammar.

    python3 tests/worlds/worlds.py --family races --seed 7 --worlds 3 --requests 400 --out DIR

writes, for each world, `<seed>.jsonl` (OTLP, a batch of one service a line) and `<seed>.truth.json`:

    structure  the program as an expression of the language
    shown      the same without what no recorded request shows (a fallback never asked, a retry never needed)
    edges      [caller, callee]
    races      [{members, rarer}] with the share of requests that the least frequent winner won
    requests   how many were recorded

The same arguments write the same bytes. Only the standard library is used.
"""

import argparse
import heapq
import json
import os
import random

FAMILIES = ("plain", "races", "skew", "sampled", "callees")
MS = 1_000_000
BEGIN = 1_760_000_000 * 1_000 * MS


# --- a virtual clock with tasks -------------------------------------------------------------------------------------------------------------


class Cancelled(Exception):
    """Thrown into a coroutine whose caller does not want it any more."""


class Failed(Exception):
    """A call that did not end well."""


class Task:
    """A running coroutine."""

    def __init__(self, coroutine):
        self.coroutine, self.done, self.good, self.doomed, self.joined = coroutine, False, False, False, []


class Loop:
    """Runs coroutines that yield ("sleep", ns) or ("join", tasks, enough)."""

    def __init__(self):
        self.now, self.order, self.queue = 0, 0, []

    def at(self, when, task):
        self.order += 1
        heapq.heappush(self.queue, (when, self.order, task))

    def spawn(self, coroutine):
        task = Task(coroutine)
        self.at(self.now, task)
        return task

    def cancel(self, task):
        if not task.done and not task.doomed:
            task.doomed = True
            self.at(self.now, task)

    def run(self):
        while self.queue:
            self.now, _, task = heapq.heappop(self.queue)
            if not task.done:
                self.step(task)

    def step(self, task):
        try:
            if task.doomed:
                task.doomed = None  # thrown once
                wish = task.coroutine.throw(Cancelled())
            elif task.doomed is None:
                return  # a wake-up of before it was cancelled
            else:
                wish = task.coroutine.send(None)
        except StopIteration:
            return self.end(task, True)
        except (Failed, Cancelled):
            return self.end(task, False)
        if wish[0] == "sleep":
            self.at(self.now + max(0, int(wish[1])), task)
        else:
            tasks, enough = wish[1:]
            if enough(tasks):
                self.at(self.now, task)
            else:
                join = {"waits": task, "tasks": tasks, "enough": enough, "over": False}
                for other in tasks:
                    other.joined.append(join)

    def end(self, task, good):
        task.done, task.good = True, good
        for join in task.joined:
            # Who was let go on by others is not woken once more by the rest.
            if not join["over"] and join["enough"](join["tasks"]):
                join["over"] = True
                self.at(self.now, join["waits"])


def all_done(tasks):
    return all(task.done for task in tasks)


def first_failure(tasks):
    return all_done(tasks) or any(task.done and not task.good for task in tasks)


def good_answers(k):
    def enough(tasks):
        good = sum(task.done and task.good for task in tasks)
        bad = sum(task.done and not task.good for task in tasks)
        return good >= k or bad > len(tasks) - k

    return enough


# --- programs -------------------------------------------------------------------------------------------------------------------------------


class Node:
    """A piece of a service's code; `seen` counts what recorded requests did with it."""

    def __init__(self, kind, parts=(), **more):
        self.kind, self.parts, self.more, self.seen = kind, list(parts), more, {}

    def count(self, what):
        self.seen[what] = self.seen.get(what, 0) + 1


class Service:
    def __init__(self, name, rng):
        self.name, self.body, self.fails = name, None, rng.choice([0, 0, 0.002, 0.01])
        self.shape = rng.choice(["gamma", "bimodal", "tail", "steady"])
        self.median = MS * 10 ** rng.uniform(-0.3, 1.6)
        self.before = rng.uniform(0.1, 0.9)  # share of its own work that comes before its calls
        self.pause = MS * 10 ** rng.uniform(-2.3, 0.2)  # its work between two calls
        self.offset, self.spread, self.seen = 0, rng.uniform(0.2, 1.0), False

    def work(self, rng):
        if self.shape == "gamma":
            k = 0.8 + 5 * self.spread
            return self.median * rng.gammavariate(k, 1 / k)
        if self.shape == "bimodal":
            return self.median * (rng.uniform(0.8, 1.2) if rng.random() < 0.8 else rng.uniform(3, 6))
        if self.shape == "tail":
            return self.median * 0.6 * rng.paretovariate(1.5 + 2 * self.spread)
        return self.median * rng.gauss(1, 0.1 * self.spread)


WORDS = (
    "anchor apple basil bridge canyon cedar cobalt copper delta ember falcon fjord garnet harbor hazel indigo iris jasper juniper kelp lagoon "
    "lemon lotus maple meadow nectar oak onyx opal pebble pine quartz raven reef sable sage spruce thistle topaz umber violet walnut willow zephyr"
).split()


class Grammar:
    """Draws a program for each service of a world."""

    WEIGHTS = {
        "call": 5, "gather": 2, "fallback": 1, "choice": 1.2, "optional": 0.8, "retry": 0.7, "loop": 0.4, "spawn": 0.6, "send": 0.3,
        "race": 0, "hedge": 0, "quorum": 0, "contested": 0, "parallel_fallback": 0.4,
    }  # fmt: skip
    RACES = {"race": 1.2, "hedge": 0.5, "quorum": 0.5, "contested": 0.5}

    def __init__(self, rng, family):
        self.rng, self.services = rng, []
        self.names = rng.sample(WORDS, len(WORDS))
        self.weights = dict(self.WEIGHTS)
        if family != "plain":
            self.weights.update(self.RACES)
        self.wants_race = family == "races"
        self.racing = 0

    def service(self):
        made = Service(self.names[len(self.services)], self.rng)
        self.services.append(made)
        return made

    def world(self):
        while True:
            self.services, self.racing = [], 0
            root = self.service()
            root.fails = 0
            room = self.rng.randint(5, 11)
            root.body = self.series(room, 3)
            races = [node for node in walk(root.body) if node.kind in ("race", "hedge", "quorum")]
            if races or not self.wants_race:
                return root

    def series(self, room, depth):
        steps = []
        while room > 0:
            node, used = self.block(room, depth)
            steps.append(node)
            room -= used
        return steps[0] if len(steps) == 1 else Node("series", steps)

    def leaf(self, room, depth, fails=None, like=None):
        """A call of a new service that uses up to `room` services."""
        service = self.service()
        if fails is not None:
            service.fails = fails
        if like is not None:  # contenders of one kind: neither nearly always wins
            service.median, service.shape, service.spread = like.median * self.rng.uniform(0.7, 1.4), like.shape, like.spread
        used = 1
        if room > 1 and depth > 0 and self.rng.random() < 0.6:
            below = self.rng.randint(1, room - 1)
            service.body = self.series(below, depth - 1)
            used += below
        return Node("call", service=service), used

    def small(self, room, depth):
        """A call, or two in a row."""
        first, used = self.leaf(max(1, room - 1), depth)
        if room - used >= 1 and self.rng.random() < 0.3:
            second, more = self.leaf(1, 0)
            return Node("series", [first, second]), used + more
        return first, used

    def several(self, n, room, depth, **how):
        parts, used = [], 0
        for i in range(n):
            part, more = self.leaf(max(1, min(2, room - used - (n - i - 1))), depth, **how)
            if "like" in how and how["like"] is None:
                how["like"] = part.more["service"]
            parts.append(part)
            used += more
        return parts, used

    def block(self, room, depth):
        rng = self.rng
        needs = {"gather": 2, "fallback": 2, "choice": 2, "race": 2, "hedge": 2, "quorum": 3, "contested": 3, "parallel_fallback": 3}
        kinds = [k for k, w in self.weights.items() if w > 0 and needs.get(k, 1) <= room and not (self.racing and k in ("spawn", "send"))]
        kind = rng.choices(kinds, [self.weights[k] for k in kinds])[0]
        n = needs.get(kind, 1)
        if kind == "call":
            return self.leaf(room, depth)
        if kind == "gather":
            n = min(room, rng.choice([2, 2, 3, 4]))
            parts, used = [], 0
            for i in range(n):
                part, more = self.small(max(1, min(3, room - used - (n - i - 1))), depth - 1)
                parts.append(part)
                used += more
            return Node("gather", parts, fast=rng.random() < 0.5), used
        if kind == "parallel_fallback":
            saved, used = self.block_of("fallback", 2, depth)
            other, more = self.leaf(1, 0)
            parts = [saved, other]
            rng.shuffle(parts)
            return Node("gather", parts, fast=False), used + more
        if kind == "contested":  # a race inside one choice
            race, used = self.block_of("race", 2, depth)
            other, more = self.leaf(1, 0)
            p = rng.choice([0.3, 0.5, 0.6, 0.8])
            return Node("choice", [race, other], shares=[p, round(1 - p, 2)]), used + more
        return self.block_of(kind, room, depth)

    def block_of(self, kind, room, depth):
        rng = self.rng
        if kind in ("race", "hedge", "quorum"):
            self.racing += 1
            n = rng.choice([2, 2, 3]) if kind == "race" else 2 if kind == "hedge" else rng.choice([3, 4])
            n = min(n, room)
            like = {"like": None} if kind == "race" and rng.random() < 0.7 else {}
            parts, used = self.several(n, room, depth - 1, fails=rng.choice([0, 0.005, 0.03]), **like)
            self.racing -= 1
            losers = rng.choice(["run on", "closed", "stopped"])
            k = 1 if kind != "quorum" else rng.randint(2, n - 1)
            return Node(kind, parts, losers=losers, k=k, delay=None), used
        if kind == "fallback":
            n = min(room, rng.choice([2, 2, 3]))
            parts, used = self.several(n, room, depth - 1, fails=rng.uniform(0.04, 0.3))
            return Node("fallback", parts, timeout=rng.random() < 0.25, after=None), used
        if kind == "choice":
            n = min(room, rng.choice([2, 2, 3]))
            parts, used = [], 0
            for i in range(n):
                part, more = self.small(max(1, min(2, room - used - (n - i - 1))), depth - 1)
                if rng.random() < 0.3:
                    first(part).more["service"].fails = rng.uniform(0.05, 0.25)
                parts.append(part)
                used += more
            return Node("choice", parts, shares=shares(rng, n)), used
        if kind == "optional":
            part, used = self.small(min(room, 2), depth - 1)
            p = rng.choice([0.15, 0.3, 0.5, 0.7, 0.85])
            return Node("choice", [part, None], shares=[p, round(1 - p, 2)]), used
        if kind == "retry":
            part, used = self.leaf(min(room, 2), depth - 1, fails=rng.uniform(0.04, 0.25))
            return Node("retry", [part], tries=rng.choice([2, 3]), pause=MS * 10 ** rng.uniform(-1, 1.3)), used
        if kind == "loop":
            part, used = self.leaf(1, 0)
            return Node("loop", [part], times=rng.choice([2, 3, 4])), used
        part, used = self.leaf(min(room, 2), depth - 1)
        return Node(kind, [part]), used


def shares(rng, n):
    cuts = sorted(rng.sample(range(1, 10), n - 1))
    return [round((b - a) / 10, 1) for a, b in zip([0, *cuts], [*cuts, 10])]


def first(node):
    return node if node.kind == "call" else first(node.parts[0])


def walk(node):
    """A node and everything below it, within its services too."""
    if node is None:
        return
    yield node
    below = [node.more["service"].body] if node.kind == "call" else node.parts
    for part in below:
        yield from walk(part)


# --- a request ------------------------------------------------------------------------------------------------------------------------------


class Request:
    """One request: runs the programs, keeps the spans."""

    def __init__(self, rng, family, records):
        self.rng, self.loop, self.spans, self.records = rng, Loop(), [], records
        self.trace, self.family = f"{rng.getrandbits(128):032x}", family

    def span(self, service, parent, kind, name):
        span = {"id": f"{self.rng.getrandbits(64) or 1:016x}", "parent": parent, "kind": kind, "service": service, "name": name}
        span.update(start=self.loop.now, end=None, status=None)
        self.spans.append(span)
        return span

    def close(self, span, status):
        if span["end"] is None:
            span["end"], span["status"] = self.loop.now, status

    def network(self):
        return 0.05 * MS + self.rng.gammavariate(2, 0.1 * MS)

    def serve(self, service, parent):
        """The callee's side."""
        service.seen |= self.records
        span = self.span(service, parent, "consumer" if parent and parent["kind"] == "producer" else "server", f"{service.name}.do")
        work = service.work(self.rng)
        try:
            fails = self.rng.random() < service.fails
            early = fails and self.rng.random() < 0.6
            yield ("sleep", work * service.before)
            if early:
                raise Failed()
            if service.body:
                yield from self.run(service.body, service, span)
            yield ("sleep", work * (1 - service.before))
            if fails:
                raise Failed()
            self.close(span, "good")
        except Failed:
            self.close(span, "error")
            raise
        except Cancelled:
            self.close(span, "cancelled")
            raise

    def call(self, service, caller, parent, losers="stopped"):
        """The caller's side. When it is cancelled its span ends, and the callee goes on unless losers are stopped."""
        span = self.span(caller, parent, "client", f"call {service.name}")
        callee = None
        try:
            yield ("sleep", self.network())
            callee = self.loop.spawn(self.serve(service, span))
            yield ("join", [callee], all_done)
            yield ("sleep", self.network())
            if not callee.good:
                raise Failed()
            self.close(span, "good")
        except Failed:
            self.close(span, "error")
            raise
        except Cancelled:
            self.close(span, "cancelled")
            if callee and losers == "stopped":
                self.loop.cancel(callee)
            raise

    def run(self, node, service, span, losers="stopped"):
        """A piece of a service's code."""
        kind, more = node.kind, node.more
        if kind == "call":
            yield from self.call(more["service"], service, span, losers)
        elif kind == "series":
            for i, part in enumerate(node.parts):
                if i:
                    yield ("sleep", self.rng.expovariate(1 / service.pause))
                yield from self.run(part, service, span, losers)
        elif kind == "choice":
            at = self.rng.choices(range(len(node.parts)), more["shares"])[0]
            if self.records:
                node.count(at)
            if node.parts[at] is not None:
                yield from self.run(node.parts[at], service, span, losers)
        elif kind == "loop":
            for _ in range(more["times"]):
                yield from self.run(node.parts[0], service, span, losers)
                yield ("sleep", self.rng.expovariate(1 / service.pause))
        elif kind == "retry":
            for attempt in range(1, more["tries"] + 1):
                if self.records:
                    node.count(attempt)
                try:
                    yield from self.run(node.parts[0], service, span, losers)
                    return
                except Failed:
                    if attempt == more["tries"]:
                        raise
                    yield ("sleep", more["pause"] * self.rng.uniform(0.8, 1.2))
        elif kind == "fallback":
            yield from self.fallback(node, service, span, losers)
        elif kind == "spawn":
            self.loop.spawn(self.quietly(node.parts[0], service, span))
        elif kind == "send":
            self.send(node.parts[0].more["service"], service, span)
        else:
            yield from self.together(node, service, span)
            yield ("sleep", self.rng.expovariate(1 / service.pause) * 0.2)

    def fallback(self, node, service, span, losers):
        for at, part in enumerate(node.parts):
            if self.records:
                node.count(at)
            task = self.loop.spawn(self.run(part, service, span, losers))
            if at == 0 and node.more["after"]:
                timer = self.loop.spawn(sleep(node.more["after"]))
                yield ("join", [task, timer], lambda tasks: any(task.done for task in tasks))
                self.loop.cancel(timer)
                if not task.done:
                    self.loop.cancel(task)
                    yield ("join", [task], all_done)
            else:
                yield ("join", [task], all_done)
            if task.good:
                return
            yield ("sleep", self.rng.expovariate(1 / service.pause) * 0.3)
        raise Failed()

    def together(self, node, service, span):
        """gather, race, hedge, quorum: tasks, and how many answers are enough."""
        kind, more = node.kind, node.more
        enough = (first_failure if more["fast"] else all_done) if kind == "gather" else good_answers(more["k"])
        losers = more.get("losers", "run on")
        order, tasks = list(range(len(node.parts))), []
        if kind in ("race", "gather") and self.rng.random() < 0.5:
            self.rng.shuffle(order)
        for place, at in enumerate(order):
            if kind == "hedge" and place and self.records:
                node.count("asked")
            part = node.parts[at]
            tasks.append(self.loop.spawn(self.run(part, service, span, losers)))
            if place == len(order) - 1:
                break
            if kind == "hedge":
                timer = self.loop.spawn(sleep(more["delay"]))
                yield ("join", [tasks[0], timer], lambda both: any(task.done for task in both))
                if tasks[0].done and tasks[0].good:
                    self.loop.cancel(timer)
                    return
                if not timer.done:
                    yield ("join", [timer], all_done)
            else:
                yield ("sleep", self.rng.expovariate(1 / (0.03 * MS)))
        yield ("join", tasks, enough)
        if self.records and kind != "gather":
            winners = [order[i] for i, task in enumerate(tasks) if task.done and task.good]
            if len(winners) == 1 and len(tasks) > 1:
                node.count(winners[0])
        good = sum(task.done and task.good for task in tasks)
        needed = len(tasks) if kind == "gather" else more["k"]
        if losers != "run on":
            for task in tasks:
                self.loop.cancel(task)
        if good < needed:
            raise Failed()

    def quietly(self, node, service, span):
        try:
            yield from self.run(node, service, span)
        except Failed:
            pass

    def send(self, service, caller, parent):
        span = self.span(caller, parent, "producer", f"send {service.name}")

        def publish():
            yield ("sleep", self.network())
            self.close(span, "good")

        def consume():
            yield ("sleep", self.rng.gammavariate(2, 5 * MS))
            try:
                yield from self.serve(service, span)
            except Failed:
                pass

        self.loop.spawn(publish())
        self.loop.spawn(consume())


def sleep(ns):
    yield ("sleep", ns)


# --- what is written ------------------------------------------------------------------------------------------------------------------------

KINDS = {"server": 2, "client": 3, "producer": 4, "consumer": 5}


def otlp(request, begin, dialect, family):
    """Batches of one service each, as SDKs export them."""
    by_service = {}
    for span in request.spans:
        if family == "callees" and span["kind"] not in ("server", "consumer"):
            continue
        by_service.setdefault(span["service"].name, []).append(span)
    for name, spans in by_service.items():
        yield {
            "resourceSpans": [
                {
                    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": name}}]},
                    "scopeSpans": [{"spans": [written(request, span, begin, dialect, family) for span in spans]}],
                }
            ]
        }


def written(request, span, begin, dialect, family):
    parent = span["parent"]
    if family == "callees" and parent is not None:
        parent = parent["parent"]  # the callee continues its caller's own span
    offset = begin + span["service"].offset
    made = {
        "traceId": request.trace, "spanId": span["id"], "name": span["name"], "kind": KINDS[span["kind"]],
        "startTimeUnixNano": str(int(offset + span["start"])), "endTimeUnixNano": str(int(offset + span["end"])),
    }  # fmt: skip
    if parent is not None:
        made["parentSpanId"] = parent["id"]
    if span["kind"] in ("producer", "consumer"):
        made["attributes"] = [attribute("messaging.system", "kafka"), attribute("messaging.destination.name", span["name"].split()[-1])]
    if span["status"] != "good":
        made["status"] = {"code": 2}
        if dialect == "grpc":
            code = "1" if span["status"] == "cancelled" else "14"
            made["attributes"] = [{"key": "rpc.grpc.status_code", "value": {"intValue": code}}]
    return made


def attribute(key, value):
    return {"key": key, "value": {"stringValue": value}}


def expression(node, caller, shown):
    """A program as an expression; without what no request shows, if asked. `None`: nothing is left of it."""
    kind, more = node.kind, node.more
    if kind == "call":
        service = more["service"]
        if shown and not service.seen:
            return None
        if service.body is None:
            return service.name
        below = expression(service.body, service.name, shown)
        return service.name if below is None else f"Series({service.name}, {below})"
    if kind == "choice":
        return choice(node, caller, shown)
    parts = [expression(part, caller, shown) for part in node.parts]
    if kind == "fallback" and shown:
        parts = [part for at, part in enumerate(parts) if node.seen.get(at)]
    if kind == "hedge" and shown and not node.seen.get("asked"):
        parts = parts[:1]
    parts = [part for part in parts if part is not None]
    if not parts:
        return None
    if kind in ("series", "gather", "fallback", "race", "hedge", "quorum") and len(parts) == 1:
        return parts[0]
    listed = ", ".join(parts)
    if kind == "retry":
        most = max((k for k in node.seen), default=1) if shown else more["tries"]
        return parts[0] if most < 2 else f"Retry(attempts={most}, {parts[0]})"
    wraps = {
        "series": "Series({})", "gather": "Parallel({})", "fallback": "Fallback({})", "race": "Race({})", "hedge": "Race({})",
        "quorum": f"Parallel(atLeast={more.get('k')}, {{}})", "loop": f"Repeat(count={more.get('times')}, {{}})",
        "spawn": "Async({})", "send": "Async({})",
    }  # fmt: skip
    return wraps[kind].format(listed)


def choice(node, caller, shown):
    taken = [
        (share, expression(part, caller, shown) if part is not None else None)
        for at, (part, share) in enumerate(zip(node.parts, node.more["shares"]))
        if not shown or node.seen.get(at)
    ]
    if len(taken) < 2:
        return taken[0][1] if taken else None
    total = sum(share for share, _ in taken)
    parts = [f"{share / total:.6f}*{part if part is not None else caller}" for share, part in taken]
    if total < 0.999:  # what was never taken: the rest must add up to one
        rest = 1 - sum(round(share / total, 6) for share, _ in taken[1:])
        parts[0] = f"{rest:.6f}*{parts[0].split('*', 1)[1]}"
    return f"Branch({', '.join(parts)})"


def edges_of(root):
    found, open_ = [], [root]
    while open_:
        caller = open_.pop()
        for callee in callees(caller.body):
            found.append([caller.name, callee.name])
            open_.append(callee)
    return sorted(found)


def callees(node):
    if node is None:
        return []
    if node.kind == "call":
        return [node.more["service"]]
    return [callee for part in node.parts for callee in callees(part)]


def whole(root, shown):
    return expression(Node("call", service=root), root.name, shown)


def names_of(node):
    return [n.more["service"].name for n in walk(node) if n.kind == "call"]


def races_of(root):
    for node in walk(root.body):
        if node.kind in ("race", "hedge", "quorum"):
            won = [node.seen.get(at, 0) for at in range(len(node.parts))]
            total = sum(won)
            members = sorted(name for part in node.parts for name in names_of(part))
            yield {"kind": node.kind, "members": members, "rarer": min(won) / total if total else 0.0, "decided": total}


def tune(root, rng):
    """Sets what depends on how long a part takes: a hedge begins in one request of six, a timeout is met in one of thirty."""
    for node in reversed(list(walk(root.body))):
        if node.kind == "hedge":
            node.more["delay"] = max(MS, int(quantile(node.parts[0], 0.83, rng) / MS) * MS)
        if node.kind == "fallback" and node.more["timeout"]:
            node.more["after"] = max(MS, (int(quantile(node.parts[0], 0.97, rng) / MS) + 1) * MS)


def quantile(part, q, rng):
    caller, lengths = Service("caller", rng), []
    for _ in range(120):
        request = Request(rng, "plain", False)
        task = request.loop.spawn(request.run(part, caller, None))
        request.loop.run()
        spans = [span for span in request.spans if span["service"] is caller and span["end"] is not None]
        lengths.append(max((span["end"] for span in spans), default=0))
        assert task.done
    return sorted(lengths)[int(q * len(lengths))]


def world(seed, family, requests, out):
    rng = random.Random(f"{family} {seed}")
    grammar = Grammar(rng, family)
    root = grammar.world()
    tune(root, rng)
    dialect = rng.choice(["grpc", "plain"])
    if family == "skew":
        for service in grammar.services:
            service.offset = int(rng.gauss(0, 20 * MS))
    path, recorded = os.path.join(out, f"{seed}"), 0
    with open(path + ".jsonl", "w", encoding="utf-8") as file:
        for number in range(requests):
            kept = family != "sampled" or rng.random() < 0.1
            request = Request(random.Random(f"{family} {seed} {number}"), family, kept)
            request.loop.spawn(request.serve(root, None))  # the entry has no caller's span
            request.loop.run()
            if kept:
                recorded += 1
                for batch in otlp(request, BEGIN + number * 50 * MS, dialect, family):
                    file.write(json.dumps(batch, separators=(",", ":")) + "\n")
    truth = {
        "structure": whole(root, False), "shown": whole(root, True), "edges": edges_of(root), "races": list(races_of(root)), "requests": recorded,
    }  # fmt: skip
    with open(path + ".truth.json", "w", encoding="utf-8") as file:
        json.dump(truth, file, indent=1)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--requests", type=int, default=600, help="requests a world; of 'sampled' one in ten is recorded")
    parser.add_argument("--out", required=True, help="folder for the files")
    given = parser.parse_args()
    os.makedirs(given.out, exist_ok=True)
    for seed in range(given.seed, given.seed + given.worlds):
        world(seed, given.family, given.requests, given.out)


if __name__ == "__main__":
    main()
