//! What servers send: HTTP/1 responses, server-sent events, lines of a pipe.
