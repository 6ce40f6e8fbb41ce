#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_orchestrator_core::testing::fuzz::oauth::oauth_documents;

fuzz_target!(|data: &[u8]| oauth_documents(data));
