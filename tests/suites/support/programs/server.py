"""An MCP server of the standard library alone: it says by which Python it runs, whether somewhere can be connected to, and
ends when it is told to."""
import json
import socket
import sys

PATIENCE = 2.5
TOOLS = [
    {"name": "connect", "inputSchema": {"type": "object", "properties": {"host": {}, "port": {}}, "required": ["host", "port"]}},
    {"name": "language", "inputSchema": {"type": "object"}},
    {"name": "end", "inputSchema": {"type": "object"}},
]


def connect(host, port):
    try:
        socket.create_connection((host, port), PATIENCE).close()
        return "connected"
    except TimeoutError:
        return "no answer"
    except ConnectionRefusedError:
        return "refused"


def answer(method, params):
    if method == "initialize":
        info = {"name": "programs-py", "version": "1.0.0"}
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call" and params["name"] == "connect":
        text = connect(**params["arguments"])
    elif method == "tools/call" and params["name"] == "language":
        text = f"python{sys.version_info.major}"
    elif method == "tools/call" and params["name"] == "end":
        sys.exit("told to end")
    else:
        return {} if method == "ping" else None
    return {"content": [{"type": "text", "text": text}]}


for line in sys.stdin:
    message = json.loads(line) if line.strip() else {}
    if message.get("id") is None or "method" not in message:
        continue
    result = answer(message["method"], message.get("params") or {})
    said = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
