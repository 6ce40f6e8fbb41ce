#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_orchestrator_core::testing::fuzz::jsonrpc::splice;

fuzz_target!(|data: &[u8]| splice(data));
