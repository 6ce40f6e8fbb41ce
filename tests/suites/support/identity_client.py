"""The PyPI client, which gets a token on its own from nothing but the gateway's URL, and calls a tool.

usage: identity_client.py URL NODE BROWSE   (BROWSE: browse.mjs, which stands for a browser)
"""

import asyncio
import sys
from urllib.parse import parse_qs, urlparse

import httpx2
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

REDIRECT = "http://127.0.0.1:9/callback"


class Storage:
    """Tokens and the registered client, in memory."""

    def __init__(self):
        self.tokens = self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


async def main(url, node, browse):
    landed = {}

    async def redirect(address):
        browser = await asyncio.create_subprocess_exec(
            node, browse, address, REDIRECT, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await browser.communicate()
        landed.update(parse_qs(urlparse(said.decode().strip()).query))

    async def callback():
        first = {name: values[0] for name, values in landed.items()}
        return AuthorizationCodeResult(code=first["code"], state=first.get("state"), iss=first.get("iss"))

    metadata = OAuthClientMetadata(
        client_name="suite",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    storage = Storage()
    auth = OAuthClientProvider(url, metadata, storage, redirect, callback)
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with streamable_http_client(url, http_client=http) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                tools = await session.list_tools()
                names = [tool.name for tool in tools.tools]
                assert "test_simple_text" in names, names
                result = await session.call_tool("test_simple_text", {})
                assert result.content, result
    assert storage.tokens is not None
    with open(sys.argv[4], "w", encoding="utf-8") as file:
        file.write(storage.tokens.access_token)
    print("  ok    PyPI client: signed in by itself and called a tool")
    print("1 passed, 0 failed")


asyncio.run(asyncio.wait_for(main(*sys.argv[1:4]), 90))
