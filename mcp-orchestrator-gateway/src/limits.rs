//! Fixed limits of the listener and its pages; see [`mcp_orchestrator_core::limits`].

mcp_orchestrator_core::limits! {
    // Connections.

    // Requests and pages.
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::limits;

    #[test]
    fn the_documentation_lists_every_limit_and_no_other() {
        let page = include_str!("../../docs/limits.md");
        let known = || super::ALL.iter().chain(limits::ALL);
        for limit in super::ALL {
            let row = format!("| `{}` | {} |", limit.name, limit.value);
            assert!(page.contains(&row), "docs/limits.md lacks the row {row}");
        }
        let constants = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .filter(|name| {
                name.chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            });
        for name in constants {
            assert!(
                known().any(|limit| limit.name == name),
                "docs/limits.md lists {name}, which no limit is called"
            );
        }
    }
}
