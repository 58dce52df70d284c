"""A scripted adapter host. The function of a run says what to do, the first argument how to live."""
import json, os, subprocess, sys, time

mode = sys.argv[1] if len(sys.argv) > 1 else ""
held = {}


def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def done(token, output):
    say(id=token, result={"output": output})


def failed(token, title):
    failure = {"kind": "runtime", "status": 500, "title": title}
    say(id=token, error={"code": -32000, "message": title, "data": failure})


def run(token, function, arguments, target):
    if function == "echo":
        done(token, arguments)
    elif function == "where":
        done(token, target)
    elif function == "twice":
        done(token, 1)
        done(token, 2)
    elif function == "fail":
        failed(token, "no luck")
    elif function == "busy":
        say(id=token, error={"code": -32001, "message": "enough to do"})
    elif function == "pid":
        done(token, os.getpid())
    elif function == "environment":
        done(token, dict(os.environ))
    elif function == "garbage":
        for _ in range(arguments):
            sys.stdout.write("Traceback (most recent call last):\n")
        done(token, "after it")
    elif function == "wish":
        say(method="restart", params={"reason": "tired"})
        held[token] = "wished"
    elif function == "child":
        done(token, subprocess.Popen(["/bin/sleep", "1000"]).pid)
    elif function == "die":
        sys.stderr.write("oh no\n")
        os._exit(3)
    elif function == "answer-and-die":
        done(token, "last words")
        os._exit(3)
    elif function == "leave":
        subprocess.Popen(["/bin/sleep", "1000"])
        os._exit(0)
    elif function == "hang":
        time.sleep(1000)
    elif function == "leak":
        held["leak"] = bytearray(arguments)
        held["leak"][::4096] = b"x" * len(held["leak"][::4096])
        done(token, os.getpid())
    elif function == "flood":
        sys.stderr.write("so much to say\n" * arguments)
        sys.stderr.flush()
        done(token, "said")
    elif function == "save":
        # Saves each of the states it is given, and says how far it is; then it waits.
        for state in arguments:
            say(method="state", params={"token": token, "state": state})
        say(method="progress", params={"token": token, "message": "half way", "percent": 50.0})
        held[token] = "saved"
    elif function == "hold":
        held[token] = arguments


if mode == "mute" and not os.path.exists(sys.argv[2]):
    time.sleep(1000)
if mode == "crash":
    sys.exit(7)
manifest = {
    "adapter": "scripted",
    "version": "1",
    "protocol": 2 if mode == "newer" else 1,
    "functions": [],
    "concurrency": 1000,
}
say(method="hello", params=manifest)
for line in sys.stdin:
    message = json.loads(line)
    method, params = message["method"], message.get("params", {})
    if method == "run":
        run(params["token"], params["function"], params["arguments"], params.get("target"))
    elif method == "ping":
        say(id=message["id"], result={})
    elif method == "probe":
        if params["function"] == "die":
            os._exit(3)
        if params["function"] != "silence":
            say(id=message["id"], result={"outcome": "done", "output": params["key"]})
    elif method == "cancel" and held.pop(params["token"], None) is not None:
        failed(params["token"], "cancelled")
    elif method == "shutdown" and mode != "stubborn":
        held.pop("leak", None)
        for token, output in held.items():
            done(token, output)
        break
