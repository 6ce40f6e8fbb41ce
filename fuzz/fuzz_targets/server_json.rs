#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_orchestrator_core::testing::fuzz::config::server_json;

fuzz_target!(|data: &[u8]| server_json(data));
