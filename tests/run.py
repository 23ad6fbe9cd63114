#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the tests: lint, meson's tests in build-dev (sanitizers), the VM scenarios in tests/vm.

One line a test with its time, the log's tail under a failure, and last, alone on its line,
"N passed, N failed, N skipped". Every test has a deadline. Logs stay in build/test-logs.

A VM scenario is a file tests/vm/NAME.py or NAME.sh that begins with "#!" (helpers do not). It ends
with 0 (passed), 77 (skipped: its last line says why) or anything else (failed). Its head says:
    # tier: ci | long        (default ci; long ones run with --all)
    # deadline: SECONDS      (default 180)
    # alone                  (runs while no other scenario does: it measures time or fills a disk)
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build")
BUILD_DEV = os.path.join(TOP, "build-dev")
LOGS = os.path.join(BUILD, "test-logs")
SKIP = 77
TAIL_LINES = 40
INTERPRETERS = {".py": sys.executable, ".sh": "sh"}


class Tally:
    """Counts results and prints each as it comes."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = {"passed": 0, "failed": 0, "skipped": 0}

    def add(self, result, name, seconds, reason="", log=""):
        with self.lock:
            self.count[result] += 1
            mark = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[result]
            print(f"{mark} {name:<50} {seconds:7.1f} s{'  ' + reason if reason else ''}")
            if result == "failed":
                for line in log.rstrip().split("\n")[-TAIL_LINES:]:
                    print("     | " + line)
            sys.stdout.flush()

    def finish(self):
        c = self.count
        print(f"{c['passed']} passed, {c['failed']} failed, {c['skipped']} skipped", flush=True)
        return 1 if c["failed"] or not c["passed"] else 0


def wanted(name, patterns):
    return not patterns or any(p in name for p in patterns)


def read_log(path):
    with open(path, errors="replace") as f:
        return f.read()


def end_group(pid):
    """TERM, then KILL, for a process group that we started."""
    for sig, grace in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        try:
            os.killpg(pid, sig)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    break
            except ChildProcessError:
                break
            time.sleep(0.1)


def run_logged(argv, log_path, deadline, env=None):
    """(exit status or None for a deadline missed, seconds)"""
    begin = time.monotonic()
    with open(log_path, "wb") as log:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 cwd=TOP, env=env, start_new_session=True)
        try:
            status = child.wait(deadline)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            end_group(child.pid)  # a test that ends leaves nothing behind
    return status, time.monotonic() - begin


def run_one(tally, name, argv, deadline, env=None):
    log_path = os.path.join(LOGS, name.replace("/", "-") + ".log")
    status, seconds = run_logged(argv, log_path, deadline, env)
    log = read_log(log_path)
    lines = log.strip().split("\n")
    if status == 0:
        tally.add("passed", name, seconds)
    elif status == SKIP:
        tally.add("skipped", name, seconds, lines[-1])
    else:
        reason = f"not done after {deadline} s" if status is None else f"exit status {status}"
        tally.add("failed", name, seconds, reason, log)


# --- meson's tests ------------------------------------------------------------------------------

MESON_RESULTS = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}


def skip_reason(test):
    found = re.search(r"# SKIP ?(.*)", test.get("stdout", ""), re.IGNORECASE)
    return found.group(1) if found else "gave no reason"


def meson_names():
    out = subprocess.run(["meson", "introspect", BUILD_DEV, "--tests"], check=True,
                         capture_output=True, text=True).stdout
    return [(t["suite"][0].split(":")[-1] if t["suite"] else "", t["name"])
            for t in json.loads(out)]


def run_meson(tally, patterns, everything):
    """All of meson's tests in one go; a suite called "long" is for --all."""
    chosen = [name for suite, name in meson_names()
              if wanted(f"{suite}/{name}", patterns) and (everything or suite != "long")]
    if not chosen:
        return
    json_log = os.path.join(BUILD_DEV, "meson-logs", "testlog.json")
    if os.path.exists(json_log):
        os.unlink(json_log)
    log_path = os.path.join(LOGS, "meson.log")
    status, seconds = run_logged(["meson", "test", "-C", BUILD_DEV, "--no-rebuild",
                                  "--timeout-multiplier", "4", "--num-processes", str(os.cpu_count()), *chosen],
                                 log_path, 1800)
    seen = 0
    if os.path.exists(json_log):
        with open(json_log) as f:
            tests = [json.loads(line) for line in f]
        for test in tests:
            seen += 1
            result = MESON_RESULTS.get(test["result"], "failed")
            name = "unit/" + test["name"].split(" / ")[-1]
            tally.add(result, name, test["duration"],
                      skip_reason(test) if result == "skipped" else
                      test["result"].lower() if result == "failed" else "",
                      test.get("stdout", "") + test.get("stderr", ""))
    if status is None or seen < len(chosen):
        tally.add("failed", "unit", seconds, f"meson ran {seen} of {len(chosen)} tests",
                  read_log(log_path))


# --- VM scenarios -------------------------------------------------------------------------------

def scenario_header(path):
    """What its first lines say; None for a file that is no scenario."""
    header = {"tier": "ci", "deadline": 180, "alone": False}
    with open(path) as f:
        if not f.readline().startswith("#!"):
            return None
        for _, line in zip(range(20), f):
            found = re.match(r"# (tier|deadline): (\w+)\s*$", line)
            if found:
                header[found.group(1)] = found.group(2)
            elif line.strip() == "# alone":
                header["alone"] = True
    header["deadline"] = int(header["deadline"])
    return header


def scenarios(patterns, everything):
    folder = os.path.join(TOP, "tests", "vm")
    for entry in sorted(os.listdir(folder)):
        path = os.path.join(folder, entry)
        name, ext = os.path.splitext(entry)
        header = scenario_header(path) if ext in INTERPRETERS else None
        if header and wanted("vm/" + name, patterns) and (everything or header["tier"] == "ci"):
            yield "vm/" + name, [INTERPRETERS[ext], path], header


def run_scenarios(tally, patterns, everything, jobs):
    run_id = uuid.uuid4().hex
    env = dict(os.environ, DEVVM_BUILD=BUILD, DEVVM_TEST_RUN=run_id,
               DEVVM_TIER="long" if everything else "ci", PYTHONDONTWRITEBYTECODE="1")
    chosen = list(scenarios(patterns, everything))
    try:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda s: run_one(tally, s[0], s[1], s[2]["deadline"], env),
                          [s for s in chosen if not s[2]["alone"]]))
        for name, argv, header in chosen:
            if header["alone"]:
                run_one(tally, name, argv, header["deadline"], env)
    finally:
        end_marked(run_id)


def end_marked(run_id):
    """Ends what our scenarios started and left: its environment says whose it is."""
    mark = f"DEVVM_TEST_RUN={run_id}".encode()
    for pid in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if mark in f.read().split(b"\0") and pid != os.getpid():
                    os.kill(pid, signal.SIGKILL)
        except OSError:
            continue


def main():
    parser = argparse.ArgumentParser(prog="sh setup.sh test")
    parser.add_argument("--all", action="store_true", help="the long tier too")
    parser.add_argument("-j", "--jobs", type=int, default=min(2, os.cpu_count() or 1),
                        help="scenarios at once")
    parser.add_argument("name", nargs="*", help="only tests whose name contains one of these")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    tally = Tally()
    if wanted("lint", args.name):
        run_one(tally, "lint", ["sh", "tests/lint.sh"], 120)
    run_meson(tally, args.name, args.all)
    run_scenarios(tally, args.name, args.all, args.jobs)
    if args.all and wanted("bench", args.name):
        run_one(tally, "bench", [sys.executable, "tests/bench/run.py"], 3600)
        print(read_log(os.path.join(LOGS, "bench.log")))
    print(f"logs: {LOGS}")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
