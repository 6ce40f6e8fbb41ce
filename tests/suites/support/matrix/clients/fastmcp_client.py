"""The PyPI package fastmcp, 2.x to 4.x.

usage: fastmcp_client.py JOBS RESULTS
"""

import inspect
import os
from contextlib import asynccontextmanager

from fastmcp import Client as FastMcp
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport

try:
    import mcp_types as types  # since fastmcp 4
except ImportError:
    import mcp.types as types

from steps import ELICITED, ROOT, plain, run


class Client:
    def __init__(self, client, events):
        self.client, self.events = client, events
        self.modern = getattr(client, "protocol_version", None) == "2026-07-28"

    async def initialized(self):
        client = self.client
        if not hasattr(client, "server_info"):
            return client.initialize_result
        return {
            "serverInfo": plain(client.server_info),
            "capabilities": plain(client.server_capabilities),
            "instructions": client.instructions,
        }

    async def ping(self):
        if not self.modern:
            await self.client.ping()
        return {}

    async def level(self, level):
        return {} if self.modern else await self.client.set_logging_level(level)

    async def list(self, of, _cursor):
        client = self.client
        method = {
            "tools": client.list_tools,
            "prompts": client.list_prompts,
            "resources": client.list_resources,
            "templates": client.list_resource_templates,
        }[of]
        return await method(), None

    async def call(self, name, arguments, hear):
        return await self.client.call_tool_mcp(name, arguments, progress_handler=hear)

    async def read(self, uri):
        return await self.client.read_resource_mcp(uri)

    async def prompt(self, name, arguments):
        return await self.client.get_prompt_mcp(name, arguments)

    async def complete(self, ref, argument):
        kind = types.PromptReference if ref["type"] == "ref/prompt" else types.ResourceTemplateReference
        return await self.client.complete_mcp(kind(**ref), argument)

    async def subscribe(self, uri):
        await self.client.session.subscribe_resource(uri)

    async def unsubscribe(self, uri):
        await self.client.session.unsubscribe_resource(uri)


def handlers(events):
    async def sample(_messages, params, _context):
        events.asked.append({"method": "sampling/createMessage", "params": plain(params)})
        return "sampled by the matrix"

    async def elicit(_message, _type, params, _context):
        events.asked.append({"method": "elicitation/create", "params": plain(params)})
        properties = plain(params).get("requestedSchema", {}).get("properties", {})
        return {name: value for name, value in ELICITED.items() if name in properties}

    async def log(params):
        events.logs.append(plain(params))

    async def message(value):
        events.notification(value)

    return {
        "roots": [types.Root(**ROOT)],
        "sampling_handler": sample,
        "elicitation_handler": elicit,
        "log_handler": log,
        "message_handler": message,
    }


def transport(target):
    if "command" in target:
        command, *args = target["command"]
        return StdioTransport(command, args, env={**os.environ, **target.get("env", {})}, keep_alive=False)
    return (SSETransport if target.get("transport") == "sse" else StreamableHttpTransport)(target["url"])


@asynccontextmanager
async def connect(target, events):
    given = handlers(events)
    if "cache" in inspect.signature(FastMcp.__init__).parameters:
        given["cache"] = False
    async with FastMcp(transport(target), **given) as client:
        yield Client(client, events)


run(connect)
