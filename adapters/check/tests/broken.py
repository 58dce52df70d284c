"""Adapters that break one rule each: the desk of the examples, with the fault that the first argument names."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../examples/python"))

import desk  # noqa: E402
import host  # noqa: E402

Host, Watch, FUNCTIONS = host.Host, host.Watch, desk.FUNCTIONS
FAULT = sys.argv[1]


def about(name, **changes):
    described, work, probe = FUNCTIONS[name]
    FUNCTIONS[name] = (described | changes, work, probe)


def instead(owner, name, replacement):
    original = getattr(owner, name)
    setattr(owner, name, lambda *arguments, **named: replacement(original, *arguments, **named))


def hello_with(**changes):
    def say(original, self, method, params):
        original(self, method, params | changes if method == "hello" else params)

    instead(Host, "say", say)


def on_line(part, reaction):
    """Does something else with a line that contains this."""

    def take(original, self, line):
        reaction(self, line) if line is None and part is None or part and line and part in line else original(self, line)

    instead(Host, "take", take)


def spawn():
    subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def answer_twice(original, self, request, result):
    original(self, request, result)
    original(self, request, result)


def far_ahead(watch, _):
    watch.taken = 1_000_000
    for number in range(400):
        watch.event(cursor=number)
    watch.wait(1000)


def long_cursor(watch, _):
    watch.event(cursor="x" * 300_000)
    watch.wait(1000)


def never_stops(watch, _):
    while True:
        watch.host.say("event", {"watch": watch.watch, "cursor": 1})
        time.sleep(0.01)


def late_words(watch, _):
    watch.wait(1000)
    watch.host.answer(watch.watch, {})
    never_stops(watch, _)


def stubborn(run, _):
    time.sleep(1000)


def monitor(work):
    FUNCTIONS["tickets"] = (FUNCTIONS["tickets"][0], work, None)


def exits(code):
    instead(Host, "leave", lambda _, self: os._exit(code))


def deaf_at_the_end():
    instead(os, "_exit", lambda _, code: time.sleep(1000))


def unchecked(original, self, name, kind):
    return original(self, name if name in FUNCTIONS else "count-lines", kind)


FAULTS = {
    "silent": lambda: instead(Host, "say", lambda *_: None),
    "protocol": lambda: hello_with(protocol=2),
    "no concurrency": lambda: hello_with(concurrency=0),
    "banner": lambda: print("starting up", flush=True),
    "chatter": lambda: instead(Host, "ping", lambda original, *a: (print("pinged", flush=True), original(*a))),
    "same name": lambda: hello_with(functions=[{"name": "f", "version": "1", "restartable": True}] * 2),
    "no version": lambda: about("tickets", version="of today"),
    "schema": lambda: about("count-lines", input={"type": "ticket"}),
    "far schema": lambda: about("count-lines", input={"$ref": "https://example.com/schema.json"}),
    "no ping": lambda: instead(Host, "ping", lambda *_: None),
    "strict": lambda: on_line(b"trace", lambda self, line: self.refuse("members", -32602, "what is `trace`?")),
    "willing": lambda: on_line(b'"id":"methods"', lambda self, line: self.answer("methods", {})),
    "talkative": lambda: on_line(b'{"jsonrpc":"2.0","method":"dance"', lambda self, line: self.refuse("dance", -32601, "no")),
    "brittle": lambda: on_line(b"garbage\n", lambda self, line: os._exit(7)),
    "short": lambda: on_line(None, lambda self, line: os._exit(8)),
    "any call": lambda: on_line(b'"id":"parameters"', lambda self, line: None),
    "any function": lambda: instead(Host, "function", unchecked),
    "any arguments": lambda: instead(desk, "text", lambda original, arguments, name: "/"),
    "one at a time": lambda: on_line(b"together 1", lambda self, line: None),
    "twice": lambda: instead(Host, "answer", answer_twice),
    "no data": lambda: on_line(b"together 1", lambda self, line: self.refuse("together 1", -32000, "no")),
    "hasty": lambda: FUNCTIONS.update({"open-ticket": (*FUNCTIONS["open-ticket"][:2], lambda *_: {"outcome": "done"})}),
    "no shutdown": lambda: instead(Host, "shut_down", lambda *_: None),
    "exit code": lambda: exits(3),
    "deaf": deaf_at_the_end,
    "orphan": spawn,
    "far ahead": lambda: monitor(far_ahead),
    "long cursor": lambda: monitor(long_cursor),
    "never stops": lambda: monitor(never_stops),
    "late words": lambda: monitor(late_words),
    "stubborn": lambda: FUNCTIONS.update({"count-lines": (FUNCTIONS["count-lines"][0], stubborn, None)}),
    "wrong output": lambda: about("open-ticket", output={"type": "string"}),
    "another hello": lambda: hello_with(version=f"1.0.{os.getpid()}"),
    "two hellos": lambda: instead(Host, "ping", lambda original, self, *a: (
        self.say("hello", self.manifest), original(self, *a))),
}

FAULTS[FAULT]()
Host("desk", "1.0.0", 8, FUNCTIONS).serve()
