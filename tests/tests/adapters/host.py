"""An adapter that misbehaves on request: every kind of misfortune that a host can bring, each with a function."""
import json
import os
import subprocess
import sys
import threading
import time

mode = sys.argv[1] if len(sys.argv) > 1 else ""
lock = threading.Lock()


def say(**message):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def done(token, output):
    say(id=token, result={"output": output})


def once(arguments):
    """True for the first attempt of an activity, told by a file: a second one finds it."""
    try:
        os.close(os.open(arguments["mark"], os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def work(token, function, arguments):
    if function in ("crash", "crash-once"):
        if function == "crash" or once(arguments):
            subprocess.Popen(["/bin/sleep", "1000"])
            os._exit(3)
        done(token, "second attempt")
    elif function == "leak":
        kept.append(bytearray(arguments["bytes"]))
        kept[-1][::4096] = b"x" * len(kept[-1][::4096])
        time.sleep(arguments["seconds"])
        done(token, os.getpid())
    elif function == "hang":
        pass
    elif function == "flood":
        for _ in range(arguments["lines"]):
            sys.stderr.write("so much to say, " + "and more " * 8 + "\n")
        sys.stderr.flush()
        done(token, "said")
    elif function == "garbage":
        with lock:
            sys.stdout.write("this is no message\n" * arguments["lines"])
        done(token, "after it")
    elif function == "twice":
        done(token, "first")
        done(token, "second")
    elif function == "late":
        time.sleep(arguments["seconds"])
        done(token, "late")
    elif function == "pid":
        done(token, os.getpid())
    elif function == "slow":
        time.sleep(arguments["seconds"])
        done(token, "slow")


kept = []
names = ["crash", "crash-once", "leak", "hang", "flood", "garbage", "twice", "late", "pid", "slow"]
schema = {"type": 7} if mode == "bad-schema" else {"type": "object"}
functions = [
    {"name": name, "version": "1.0.0", "restartable": name not in ("crash", "hang"), "input": schema}
    for name in names
]
if mode == "mute":
    time.sleep(1000)
protocol = 99 if mode == "newer" else 1
say(method="hello", params={"adapter": "misfortune", "version": "1.2.3", "protocol": protocol,
                            "functions": functions, "concurrency": 200})
threads = []
for line in sys.stdin:
    message = json.loads(line)
    params = message.get("params", {})
    if message["method"] == "run":
        arguments = (params["token"], params["function"], params["arguments"]["input"])
        threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        threads[-1].start()
    elif message["method"] == "ping":
        say(id=message["id"], result={})
    elif message["method"] == "shutdown":
        break
for thread in threads:
    thread.join()
