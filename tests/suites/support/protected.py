"""A protected MCP server on PyPI's `mcp`: its tokens are JWTs of the issuer, for its own address, with the scope `mcp`.

It answers who calls, by which token (a hash), and how many tokens it saw. It prints `listening on URL`.
usage: protected.py ISSUER [KEYS]   (KEYS: where the issuer's keys are, /jwks; PROTECTED_PORT: where it listens)
"""

import hashlib
import os
import socket
import sys

import jwt
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

issuer = sys.argv[1]
keys = sys.argv[2] if len(sys.argv) > 2 else "/jwks"
listener = socket.create_server(("127.0.0.1", int(os.environ.get("PROTECTED_PORT", "0"))))
url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"


class Verifier:
    def __init__(self) -> None:
        self.keys = jwt.PyJWKClient(issuer + keys)

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            key = self.keys.get_signing_key_from_jwt(token).key
            claims = jwt.decode(token, key, algorithms=["RS256"], audience=url, issuer=issuer)
        except jwt.PyJWTError:
            return None
        return AccessToken(
            token=token,
            client_id=claims.get("client_id") or claims["azp"],
            scopes=claims.get("scope", "").split(),
            expires_at=claims["exp"],
            resource=url,
            subject=claims["sub"],
        )


auth = AuthSettings(issuer_url=issuer, resource_server_url=url, required_scopes=["mcp"], validate_token_resource=True)
server = MCPServer("protected", token_verifier=Verifier(), auth=auth)


@server.tool()
def whoami() -> str:
    """Says who calls, and a hash of the token."""
    token = get_access_token()
    return f"{token.subject} {hashlib.sha256(token.token.encode()).hexdigest()[:16]}"


app = server.streamable_http_app()
print(f"listening on {url}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
