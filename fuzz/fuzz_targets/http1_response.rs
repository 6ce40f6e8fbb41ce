#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_orchestrator_core::testing::fuzz::transport::http1_response;

fuzz_target!(|data: &[u8]| http1_response(data));
