"""Calls a gateway while Prometheus scrapes it, until every query of the dashboard returns data and an alert fires.

Arguments: the gateway's URL and process id, Prometheus' URL, the dashboard's file.
"""

import json
import math
import os
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

GATEWAY, PID, PROMETHEUS, DASHBOARD = sys.argv[1:5]
TIMEOUT = 120
ALERT = "McpServerUnavailable"
SESSION = {}


def post(method, params, notify=False):
    body = {"jsonrpc": "2.0", "method": method, "params": params}
    if not notify:
        body["id"] = 1
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream", **SESSION}
    request = urllib.request.Request(GATEWAY, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            response.read()
            return response.headers
    except urllib.error.HTTPError as error:
        # A server that does not start.
        error.read()
        return error.headers


def ask(path, **query):
    url = f"{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)["data"]


def has_data(query):
    for name, value in (("$__rate_interval", "20s"), ("$namespace", ".*"), ("$server", ".*")):
        query = query.replace(name, value)
    assert "$" not in query, query
    return any(not math.isnan(float(each["value"][1])) for each in ask("query", query=query)["result"])


def descendants(pid):
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        if rest.split()[1] == str(pid):
            yield int(entry), name
            yield from descendants(entry)


def crash():
    for pid, name in list(descendants(PID)):
        if name.startswith("fixture-server"):
            os.kill(pid, signal.SIGKILL)


def round_of_calls(turn):
    post("tools/list", {})
    post("tools/call", {"name": "works__echo", "arguments": {"text": "x"}})
    post("tools/call", {"name": "dead__any", "arguments": {}})
    if turn % 2:
        crash()


def main():
    opened = post("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
    SESSION["mcp-session-id"] = opened["mcp-session-id"]
    post("notifications/initialized", {}, notify=True)
    with open(DASHBOARD, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    missing = {(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]}
    total, fires, turn, end = len(missing), False, 0, time.monotonic() + TIMEOUT
    while (missing or not fires) and time.monotonic() < end:
        turn += 1
        round_of_calls(turn)
        time.sleep(1)
        try:
            missing = {each for each in missing if not has_data(each[1])}
            alerts = ask("alerts")["alerts"]
        except OSError:
            continue
        fires = any(
            alert["labels"].get("alertname") == ALERT and alert["labels"].get("server") == "dead" and alert["state"] == "firing"
            for alert in alerts
        )
    passed, failed = total - len(missing), len(missing)
    print(f"  {passed} of {total} queries return data")
    for title, query in sorted(missing):
        print(f"  FAIL  {title}: no data: {query}")
    print(f"  {'ok  ' if fires else 'FAIL'}  {ALERT} fires for the dead server")
    passed, failed = passed + fires, failed + (not fires)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
