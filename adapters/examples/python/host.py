"""An adapter host for Impresario in Python, with the standard library alone: copy it, and write the work beside it.

It speaks the protocol of docs/adapters.md: `serve` reads the node's messages in the main thread, which never waits for
work, and has runs and watches done in threads.
"""

import json
import os
import sys
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

LINE_MAX = 16 * 1024 * 1024
EVENTS_AHEAD_MAX = 256
WATCHES_MAX = 256
WAITING_MAX = 256
REMEMBERED = 4096


class Failure(Exception):
    """Why work did not succeed. Its texts are stored and shown: no credential may be in them."""

    def __init__(self, kind, status, title, detail=None):
        super().__init__(title)
        self.data = {"kind": kind, "status": status, "title": title}
        if detail:
            self.data["detail"] = detail

    def error(self):
        return {"code": -32000, "message": self.data["title"], "data": self.data}


class Run:
    """What a run can hear and say while it works."""

    def __init__(self, host, call):
        self.host, self.call = host, call
        self.token, self.key = call["token"], call["key"]
        self.attempt, self.state = call["attempt"], call.get("state")
        self.target, self.user = call.get("target"), call.get("user")
        self.cancelled = threading.Event()

    def progress(self, message, percent=None):
        self.host.say("progress", {"token": self.token, "message": message, "percent": percent})

    def save_state(self, state):
        self.host.say("state", {"token": self.token, "state": state})


class Watch:
    """What a watch can hear and say while it observes."""

    def __init__(self, host, order):
        self.host, self.watch, self.cursor = host, order["watch"], order.get("cursor")
        self.target, self.user = order.get("target"), order.get("user")
        self.sent, self.taken, self.stopping = 0, 0, False
        self.changed = threading.Condition()

    def wait(self, seconds):
        """Waits before the next look at the source; false when it is over."""
        with self.changed:
            return not self.changed.wait_for(lambda: self.stopping, seconds)

    def event(self, event=None, cursor=None):
        """Tells of a CloudEvent, moves the cursor, or both; false when it is over. Waits while it is too far ahead."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopping or self.sent - self.taken < EVENTS_AHEAD_MAX)
            if self.stopping:
                return False
            self.sent += 1
        told = {"event": event, "cursor": cursor}
        self.host.say("event", {"watch": self.watch} | {name: said for name, said in told.items() if said is not None})
        return True

    def heard(self, taken=0, stopping=False):
        with self.changed:
            self.taken = max(self.taken, taken)
            self.stopping = self.stopping or stopping
            self.changed.notify_all()


class Host:
    """Serves functions: name -> (description for hello, what does it, what probes it)."""

    def __init__(self, name, version, concurrency, functions):
        self.name, self.functions, self.concurrency = name, functions, concurrency
        self.output, self.lock = threading.Lock(), threading.Lock()
        self.idle = threading.Condition(self.lock)
        self.pool = ThreadPoolExecutor(concurrency)
        self.runs, self.watches, self.answered = {}, {}, OrderedDict()
        self.probes, self.draining = 0, False
        described = [{"name": name} | about for name, (about, _, _) in functions.items()]
        self.manifest = {
            "adapter": name, "version": version, "protocol": 1, "concurrency": concurrency, "functions": described,
        }

    def serve(self):
        self.say("hello", self.manifest)
        for line in lines(sys.stdin.buffer):
            self.take(line)
        # The node is gone, and with it whoever could be told. Threads end with their process.
        os._exit(0)

    def say(self, method, params):
        self.write({"jsonrpc": "2.0", "method": method, "params": params})

    def answer(self, request, result):
        self.write({"jsonrpc": "2.0", "id": request, "result": result})

    def refuse(self, request, code, message, data=None):
        error = {"code": code, "message": message} | ({"data": data} if data else {})
        self.write({"jsonrpc": "2.0", "id": request, "error": error})

    def write(self, message):
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_MAX:
            title = "the output is too large"
            error = Failure("runtime", 500, title, f"expected at most {LINE_MAX} bytes, found {len(line)}").error()
            line = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "error": error}).encode() + b"\n"
        with self.output:
            try:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
            except OSError:
                os._exit(0)

    def take(self, line):
        try:
            if line is None:
                raise ValueError(f"a line of more than {LINE_MAX} bytes")
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            return self.refuse(None, -32700, f"not a JSON-RPC message: {error}")
        request = message.get("id") if isinstance(message, dict) else None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or "method" not in message:
            return self.refuse(request if isinstance(request, str) else None, -32600, "not a JSON-RPC 2.0 request")
        if request is not None and not isinstance(request, str):
            return self.refuse(None, -32600, "the id must be a string")
        method, params = message["method"], message.get("params") or {}
        requests = {"run": self.run, "probe": self.probe, "watch": self.watch, "ping": self.ping}
        notifications = {
            "cancel": lambda: self.cancel(params["token"]),
            "unwatch": lambda: self.heard(params["watch"], stopping=True),
            "taken": lambda: self.heard(params["watch"], taken=params["count"]),
            "shutdown": self.shut_down,
        }
        try:
            if method in requests and request is None:
                self.refuse(None, -32600, f"`{method}` needs an id")
            elif method in requests:
                requests[method](request, params)
            elif method in notifications:
                notifications[method]()
            elif request is not None:
                self.refuse(request, -32601, f"unknown method `{method}`")
        except (KeyError, TypeError, AttributeError) as error:
            if request is not None:
                self.refuse(request, -32602, f"parameters of `{method}`: {error!r}")

    def ping(self, request, _):
        self.answer(request, {})

    def function(self, name, kind):
        about, work, probe = self.functions.get(name, ({}, None, None))
        if work is None or about.get("kind", "activity") != kind:
            known = ", ".join(self.functions)
            raise Failure("configuration", 400, f"`{self.name}` has no {kind} `{name}`", f"expected one of: {known}")
        return work, probe

    def run(self, token, call):
        if call["token"] != token:
            raise TypeError("the id must be the token")
        run, name, arguments = Run(self, call), call["function"], call.get("arguments")
        with self.lock:
            if token in self.runs or token in self.answered:
                return
            if self.draining:
                return self.refuse(token, -32002, "shutting down")
            if len(self.runs) >= self.concurrency + WAITING_MAX:
                return self.refuse(token, -32001, "busy")
            self.runs[token] = run
        self.pool.submit(self.attempt, run, name, arguments)

    def attempt(self, run, name, arguments):
        if self.draining or run.cancelled.is_set():
            code, why = (-32003, "cancelled while it waited") if run.cancelled.is_set() else (-32002, "shutting down")
            self.refuse(run.token, code, why)
        else:
            self.settle(run.token, lambda: {"output": self.function(name, "activity")[0](run, arguments)})
        with self.lock:
            del self.runs[run.token]
            self.answered[run.token] = True
            if len(self.answered) > REMEMBERED:
                self.answered.popitem(last=False)
            self.idle.notify_all()

    def settle(self, request, work):
        try:
            result = work()
        except Failure as failure:
            return self.refuse(request, -32000, failure.data["title"], failure.data)
        except Exception as error:  # whatever it is, it is this request's failure alone
            title = f"the adapter failed: {type(error).__name__}"
            return self.refuse(request, -32000, title, Failure("runtime", 500, title, str(error)).data)
        self.answer(request, result)

    def cancel(self, token):
        with self.lock:
            run = self.runs.get(token)
        if run:
            run.cancelled.set()

    def probe(self, request, question):
        name, key, arguments = question["function"], question["key"], question.get("arguments")

        def ask():
            probe = self.function(name, "activity")[1]
            return probe(key, arguments) if probe else {"outcome": "unknown"}

        def answer():
            self.settle(request, ask)
            with self.lock:
                self.probes -= 1
                self.idle.notify_all()

        with self.lock:
            self.probes += 1
        self.pool.submit(answer)

    def watch(self, request, order):
        if order["watch"] != request:
            raise TypeError("the id must be the watch")
        watch, name, arguments = Watch(self, order), order["function"], order.get("arguments")
        with self.lock:
            if request in self.watches:
                return
            if self.draining:
                return self.refuse(request, -32002, "shutting down")
            if len(self.watches) >= WATCHES_MAX:
                return self.refuse(request, -32001, "busy")
            self.watches[request] = watch

        def observe():
            self.settle(request, lambda: self.function(name, "monitor")[0](watch, arguments) or {})
            with self.lock:
                del self.watches[request]
                self.idle.notify_all()

        threading.Thread(target=observe, daemon=True).start()

    def heard(self, name, **said):
        with self.lock:
            watch = self.watches.get(name)
        if watch:
            watch.heard(**said)

    def shut_down(self):
        with self.lock:
            self.draining = True
            watches = list(self.watches.values())
        for watch in watches:
            watch.heard(stopping=True)
        threading.Thread(target=self.leave, daemon=True).start()

    def leave(self):
        with self.lock:
            self.idle.wait_for(lambda: not (self.runs or self.watches or self.probes))
        # The main thread waits for input, which may never come.
        os._exit(0)


def lines(source):
    """The lines of a pipe; nothing in the place of one that is too long."""
    while line := source.readline(LINE_MAX + 1):
        if len(line) <= LINE_MAX:
            if line.strip():
                yield line
            continue
        while line and not line.endswith(b"\n"):
            line = source.readline(LINE_MAX)
        yield None
