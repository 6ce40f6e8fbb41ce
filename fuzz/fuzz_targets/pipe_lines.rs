#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_orchestrator_core::testing::fuzz::transport::pipe_lines;

fuzz_target!(|data: &[u8]| pipe_lines(data));
