//! Configuration files, other programs' files and the registry's `server.json`.
