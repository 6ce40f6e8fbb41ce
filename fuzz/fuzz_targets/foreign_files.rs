#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_orchestrator_core::testing::fuzz::config::foreign_files;

fuzz_target!(|data: &[u8]| foreign_files(data));
