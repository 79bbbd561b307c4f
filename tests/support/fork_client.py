"""Client of the fork server, under the name of a program; any other use of Python starts a Python."""

import json
import os
import signal
import socket
import sys

here, name = os.path.split(os.path.abspath(sys.argv[0]))
real = os.path.join(os.path.dirname(sys.executable), name)
arguments = sys.argv[1:] if name == "python" else [real, *sys.argv[1:]]
safe = arguments[:1] == ["-P"]
arguments = arguments[safe:]
known = arguments and (arguments[0] in ("-c", "-m") or not arguments[0].startswith("-"))
obeyed = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
others = {key for key in os.environ if key.startswith("PYTHON")} - obeyed
if not known or others or os.environ.get("OMP_NUM_THREADS") != "1":
    os.execv(real, [real, *sys.argv[1:]])


def is_open(file: int) -> bool:
    """Say whether a file is open: the one that listed the files no longer is."""
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


files = [file for file in sorted(map(int, os.listdir("/proc/self/fd"))) if is_open(file)]
signals = (signal.SIGINT, signal.SIGTERM)
link = socket.socket(socket.AF_UNIX)
link.connect(os.path.join(here, "KIND.socket"))
asked = {
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "arguments": arguments,
    "safe": safe,
    "files": files,
    "ignored": [number for number in signals if signal.getsignal(number) == signal.SIG_IGN],
    "client": os.path.join(here, "python"),
}
data = json.dumps(asked).encode() + b"\n"
sent = socket.send_fds(link, [data], files)
link.sendall(data[sent:])
answers = link.makefile("rb", buffering=0)
group = answers.readline()
if group:
    for number in set(signals) - set(asked["ignored"]):
        signal.signal(number, lambda number, frame: os.killpg(int(group), number))
code = answers.read(1)
if not code:
    with open(os.path.join(here, "KIND.log"), encoding="utf-8") as log:
        sys.exit(f"the command was killed, or the fork server has ended:\n{log.read()}")
sys.exit(code[0])
