# SPDX-License-Identifier: GPL-2.0-or-later
"""The second user of the two-user tests: root's setup.sh starts it as an account of its own.

It runs commands for the first test account, whose uid is its second argument, and for nobody
else. Request and answer are one JSON object each on a unix socket connection:
{"argv": […], "stdin": "…", "timeout": s} → {"status": n, "out": "…", "err": "…"}.
"""
import json
import os
import socket
import struct
import subprocess
import sys


def peer_uid(conn):
    size = struct.calcsize("3i")
    return struct.unpack("3i", conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]


def run(request):
    try:
        done = subprocess.run(request["argv"], input=request.get("stdin", ""), text=True,
                              capture_output=True, timeout=request.get("timeout", 60))
        return {"status": done.returncode, "out": done.stdout, "err": done.stderr}
    except subprocess.TimeoutExpired:
        return {"status": None, "out": "", "err": "timed out"}
    except OSError as e:
        return {"status": 127, "out": "", "err": str(e)}


def serve(conn, uid):
    with conn:
        if peer_uid(conn) != uid:
            return
        conn.settimeout(30)
        request = json.loads(conn.makefile().readline())
        conn.sendall(json.dumps(run(request)).encode() + b"\n")


def main():
    path, uid = sys.argv[1], int(sys.argv[2])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)  # SO_PEERCRED decides
    listener.listen()
    while True:
        conn, _ = listener.accept()
        try:
            serve(conn, uid)
        except (OSError, ValueError) as e:
            print(f"second_user: {e}", file=sys.stderr)


if __name__ == "__main__":
    main()
