"""A scripted adapter host that keeps a diary beside it, in the folder that is its first argument."""
import json, os, sys

folder = sys.argv[1]
held = []


def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def done(token, output):
    say(id=token, result={"output": output})


def note(*words):
    with open(os.path.join(folder, "diary"), "a") as diary:
        diary.write(" ".join(words) + "\n")


def read(name):
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read()
    except FileNotFoundError:
        return None


def run(token, function, attempt, state):
    note("run", function, str(attempt))
    if function == "count":
        # The first attempt comes as far as line 3 and stays there; the next goes on from where it was.
        if state is None:
            for line in range(1, 4):
                say(method="state", params={"token": token, "state": {"line": line}})
            say(method="progress", params={"token": token, "message": "line 3", "percent": 30})
        else:
            done(token, {"from": state["line"], "attempt": attempt})
    elif function == "charge" and read("finish") is not None:
        done(token, {"charged": attempt})
    elif function == "late":
        held.append(token)
        if len(held) == 2:
            # The old one first: its answer is about an attempt that nobody waits for any more.
            done(held[0], "of the first")
            done(held[1], "of the second")


say(method="hello", params={"adapter": "scripted", "version": "1", "protocol": 1, "functions": [], "concurrency": 100})
for line in sys.stdin:
    message = json.loads(line)
    method, params = message["method"], message.get("params", {})
    if method == "run":
        run(params["token"], params["function"], params["attempt"], params.get("state"))
    elif method == "cancel":
        note("cancel", params["token"].rsplit(".", 2)[1])
    elif method == "probe":
        note("probe", params["function"])
        answer = read("answer")
        # Without one it is silent.
        if answer is not None:
            say(id=message["id"], result=json.loads(answer))
    elif method == "shutdown":
        break
