"""An adapter in Python: a ticket desk in a folder, where each ticket is a file with a number.

`open-ticket` must not be done twice, so it can be probed; `count-lines` takes long, so it saves how far it is; and
`tickets` watches for new ones. Start it as `python3 desk.py`, or see `impresario adapter-test -- python3 desk.py`.
"""

import json
import os

from host import Failure, Host


def text(arguments, name):
    found = arguments.get(name) if isinstance(arguments, dict) else None
    if not isinstance(found, str) or not found:
        raise Failure("validation", 400, f"`{name}` is needed", f"expected a text, found {json.dumps(found)}")
    return found


def seconds(arguments, name, default):
    found = arguments.get(name, default)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found <= 3600:
        raise Failure("validation", 400, f"`{name}` is not valid", "expected seconds from 0 to 3600")
    return found


def numbers(folder):
    """The numbers of the tickets that are there."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise Failure("configuration", 400, "the folder cannot be read", str(error)) from error
    return sorted(int(stem) for stem, end in map(os.path.splitext, names) if end == ".ticket" and stem.isdecimal())


def ticket(folder, number):
    with open(os.path.join(folder, f"{number}.ticket"), encoding="utf-8") as file:
        return json.load(file)


def open_ticket(run, arguments):
    folder, title = text(arguments, "folder"), text(arguments, "title")
    number = max(numbers(folder), default=0)
    draft = os.path.join(folder, f".{os.getpid()}-{run.token.replace('/', '-')}")
    with open(draft, "x", encoding="utf-8") as file:
        json.dump({"key": run.key, "title": title}, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        while True:
            number += 1
            try:
                # It appears whole, or not at all, and never in the place of another.
                os.link(draft, os.path.join(folder, f"{number}.ticket"))
                return {"number": number}
            except FileExistsError:
                pass
    finally:
        os.unlink(draft)


def find_ticket(key, arguments):
    """What became of an `open_ticket`: the key is in the ticket, if there is one."""
    folder = text(arguments, "folder")
    for number in numbers(folder):
        if ticket(folder, number)["key"] == key:
            return {"outcome": "done", "output": {"number": number}}
    return {"outcome": "notDone"}


def count_lines(run, arguments):
    folder, pause = text(arguments, "folder"), seconds(arguments, "pause", 0)
    names = [f"{number}.ticket" for number in numbers(folder)]
    found = run.state or {"done": 0, "lines": 0}
    for done in range(found["done"], len(names)):
        if run.cancelled.wait(pause):
            raise Failure("runtime", 500, "cancelled", f"after {done} of {len(names)} files")
        with open(os.path.join(folder, names[done]), "rb") as file:
            found = {"done": done + 1, "lines": found["lines"] + sum(1 for _ in file)}
        run.save_state(found)
        run.progress(f"{done + 1} of {len(names)} files", 100 * (done + 1) / len(names))
    return {"files": len(names), "lines": found["lines"], "attempt": run.attempt}


def tickets(watch, arguments):
    folder, interval = text(arguments, "folder"), seconds(arguments, "interval", 1)
    if watch.cursor is None:
        # What is there already is not new; where it ends is where the watch begins, whatever happens next.
        watch.cursor = max(numbers(folder), default=0)
        watch.event(cursor=watch.cursor)
    while watch.wait(interval):
        for number in (number for number in numbers(folder) if number > watch.cursor):
            event = {
                "specversion": "1.0", "id": str(number), "source": "/desk", "type": "com.example.ticket.opened",
                "data": {"number": number, "title": ticket(folder, number)["title"]},
            }
            if not watch.event(event, number):
                return
            watch.cursor = number


def arguments(required, **properties):
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


TEXT = {"type": "string", "minLength": 1}
SECONDS = {"type": "number", "minimum": 0, "maximum": 3600}
FUNCTIONS = {
    "open-ticket": (
        {
            "version": "1.0.0", "restartable": False, "probe": True,
            "input": arguments(["folder", "title"], folder=TEXT, title=TEXT),
            "output": arguments(["number"], number={"type": "integer"}),
        },
        open_ticket,
        find_ticket,
    ),
    "count-lines": (
        {"version": "1.0.0", "restartable": True, "input": arguments(["folder"], folder=TEXT, pause=SECONDS)},
        count_lines,
        None,
    ),
    "tickets": (
        {
            "version": "1.0.0", "kind": "monitor", "restartable": True,
            "input": arguments(["folder"], folder=TEXT, interval=SECONDS),
        },
        tickets,
        None,
    ),
}

if __name__ == "__main__":
    Host("desk", "1.0.0", 8, FUNCTIONS).serve()
