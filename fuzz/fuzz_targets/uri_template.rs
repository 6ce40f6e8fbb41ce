#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_orchestrator_core::testing::fuzz::routing::uri_template;

fuzz_target!(|data: &[u8]| uri_template(data));
