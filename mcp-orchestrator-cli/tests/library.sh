#!/bin/sh
# An MCP server with prompts and resources and without tools: legacy, over standard input and output.
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"; }

while IFS= read -r line; do
    id=$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9][0-9]*\).*/\1/p')
    case $line in
    *'"method":"initialize"'*)
        answer "$id" '{"protocolVersion":"2025-11-25","capabilities":{"prompts":{},"resources":{}},"serverInfo":{"name":"library","version":"1"}}' ;;
    *'"method":"prompts/list"'*)
        answer "$id" '{"prompts":[{"name":"triage","description":"Sorts reports","arguments":[{"name":"report","required":true},{"name":"tone"}]}]}' ;;
    *'"method":"resources/list"'*)
        answer "$id" '{"resources":[{"uri":"docs://readme","name":"readme","mimeType":"text/plain","description":"How to begin"}]}' ;;
    *'"method":"resources/templates/list"'*)
        answer "$id" '{"resourceTemplates":[{"uriTemplate":"docs://page/{n}","name":"page"}]}' ;;
    *)
        [ -z "$id" ] || printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}\n' "$id" ;;
    esac
done
