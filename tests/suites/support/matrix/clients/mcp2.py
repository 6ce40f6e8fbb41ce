"""The PyPI package mcp, 2.x.

usage: mcp2.py legacy|auto JOBS RESULTS
"""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

import mcp.types as types
from mcp import Client as McpClient
from mcp import StdioServerParameters
from mcp.client.sse import sse_client

from steps import ELICITED, ROOT, SAMPLED, plain, run

MODE = sys.argv[1]


class Client:
    def __init__(self, client, events):
        self.client, self.events = client, events
        self.modern = client.protocol_version == "2026-07-28"

    async def initialized(self):
        client = self.client
        return {
            "serverInfo": plain(client.server_info),
            "capabilities": plain(client.server_capabilities),
            "instructions": client.instructions,
        }

    async def ping(self):
        return {} if self.modern else await self.client.send_ping()

    async def level(self, level):
        return {} if self.modern else await self.client.set_logging_level(level)

    async def list(self, of, cursor):
        client = self.client
        method, key = {
            "tools": (client.list_tools, "tools"),
            "prompts": (client.list_prompts, "prompts"),
            "resources": (client.list_resources, "resources"),
            "templates": (client.list_resource_templates, "resource_templates"),
        }[of]
        page = await method(cursor=cursor)
        return getattr(page, key), page.next_cursor

    async def call(self, name, arguments, hear):
        return await self.client.call_tool(name, arguments, progress_callback=hear)

    async def read(self, uri):
        return await self.client.read_resource(uri)

    async def prompt(self, name, arguments):
        return await self.client.get_prompt(name, arguments)

    async def complete(self, ref, argument):
        kind = types.PromptReference if ref["type"] == "ref/prompt" else types.ResourceTemplateReference
        return await self.client.complete(kind(**ref), argument)

    async def subscribe(self, uri):
        await self.client.subscribe_resource(uri)

    async def unsubscribe(self, uri):
        await self.client.unsubscribe_resource(uri)


def handlers(events):
    async def roots(_context):
        return types.ListRootsResult(roots=[types.Root(**ROOT)])

    async def sample(_context, params):
        events.asked.append({"method": "sampling/createMessage", "params": plain(params)})
        return types.CreateMessageResult(**SAMPLED)

    async def elicit(_context, params):
        events.asked.append({"method": "elicitation/create", "params": plain(params)})
        return types.ElicitResult(action="accept", content=ELICITED)

    async def log(params):
        events.logs.append(plain(params))

    async def message(value):
        events.notification(value)

    return {
        "list_roots_callback": roots,
        "sampling_callback": sample,
        "elicitation_callback": elicit,
        "logging_callback": log,
        "message_handler": message,
    }


def server(target):
    if "command" in target:
        command, *args = target["command"]
        return StdioServerParameters(command=command, args=args, env={**os.environ, **target.get("env", {})})
    return sse_client(target["url"]) if target.get("transport") == "sse" else target["url"]


@asynccontextmanager
async def connect(target, events):
    async with McpClient(server(target), mode=MODE, cache=None, log_level="debug", **handlers(events)) as client:
        yield Client(client, events)


run(connect)
