#!/bin/sh
# An MCP server for the tests of the command line: legacy, over standard input and output.
printf 'the server starts\n' >&2

[ -n "$CAPABILITIES" ] || CAPABILITIES='{"tools":{}}'

answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"; }
text() { answer "$1" "{\"content\":[{\"type\":\"text\",\"text\":\"$2\"}]$3}"; }

while IFS= read -r line; do
    id=$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9][0-9]*\).*/\1/p')
    case $line in
    *'"method":"initialize"'*)
        answer "$id" '{"protocolVersion":"2025-11-25","capabilities":'"$CAPABILITIES"',"serverInfo":{"name":"scripted","version":"1"}}' ;;
    *'"method":"tools/list"'*)
        answer "$id" '{"tools":[{"name":"add","description":"Adds two numbers","inputSchema":{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"},"note":{"type":"string"}},"required":["a","b"]}},{"name":"fail","description":"Fails","inputSchema":{"type":"object"}},{"name":"hash","description":"Tells of its secret without telling it","inputSchema":{"type":"object"}}]}' ;;
    *'"method":"tools/call"'*'"name":"add"'*)
        token=$(printf '%s' "$line" | sed -n 's/.*"progressToken":\("[^"]*"\|[0-9][0-9]*\).*/\1/p')
        [ -z "$token" ] || printf '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1,"total":2}}\n' "$token"
        a=$(printf '%s' "$line" | sed -n 's/.*"a":\([0-9][0-9]*\).*/\1/p')
        b=$(printf '%s' "$line" | sed -n 's/.*"b":\([0-9][0-9]*\).*/\1/p')
        printf 'adding\n' >&2
        text "$id" "the sum is $((a + b))" ;;
    *'"method":"tools/call"'*'"name":"fail"'*)
        text "$id" 'it failed' ',"isError":true' ;;
    *'"method":"tools/call"'*'"name":"hash"'*)
        text "$id" "the secret has ${#SECRET} characters" ;;
    *'"method":"tools/call"'*)
        printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"no such tool"}}\n' "$id" ;;
    *)
        [ -z "$id" ] || printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}\n' "$id" ;;
    esac
done
