//! Tool filters: which tools of a server a gateway shows, by name and by annotations.

/// Selects the tools of a server that a gateway shows, by their own names and hints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolFilter {
    /// Shows all tools.
    #[default]
    All,
    /// Shows the tools that match a pattern of `show` and none of `hide`, and that have every hint of `only`. In a
    /// pattern, `*` matches any characters.
    Some {
        /// Patterns of tools to show; empty means all.
        show: Vec<String>,
        /// Patterns of tools to hide.
        hide: Vec<String>,
        /// Hints that a tool must have. A tool that is not listed has the default hints.
        only: Vec<Hint>,
    },
}

/// A property that a tool's annotations can declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The tool changes nothing.
    ReadOnly,
    /// The tool destroys nothing; this includes read-only tools.
    NonDestructive,
    /// Repeating a call with the same arguments has no further effect.
    Idempotent,
    /// The tool does not interact with the outside world.
    ClosedWorld,
}

/// The hints in a tool's annotations. Missing hints have the protocol's defaults, which assume the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hints {
    /// `readOnlyHint`: the tool changes nothing.
    pub read_only: bool,
    /// `destructiveHint`: the tool may destroy data.
    pub destructive: bool,
    /// `idempotentHint`: repeating a call has no further effect.
    pub idempotent: bool,
    /// `openWorldHint`: the tool interacts with external entities.
    pub open_world: bool,
}

impl Default for Hints {
    /// Returns the protocol's defaults (schema of `ToolAnnotations`).
    fn default() -> Self {
        Self {
            read_only: false,
            destructive: true,
            idempotent: false,
            open_world: true,
        }
    }
}

impl Hints {
    /// Returns `true` if the hints include this property. A read-only tool is also non-destructive and idempotent.
    pub fn say(self, hint: Hint) -> bool {
        match hint {
            Hint::ReadOnly => self.read_only,
            Hint::NonDestructive => self.read_only || !self.destructive,
            Hint::Idempotent => self.read_only || self.idempotent,
            Hint::ClosedWorld => !self.open_world,
        }
    }
}

impl ToolFilter {
    /// Returns `true` if a tool of this name is shown. Calls `hints` only if they decide.
    pub fn shows(&self, name: &str, hints: impl FnOnce() -> Hints) -> bool {
        match self {
            Self::All => true,
            Self::Some { show, hide, only } => {
                (show.is_empty() || show.iter().any(|pattern| matches(pattern, name)))
                    && !hide.iter().any(|pattern| matches(pattern, name))
                    && (only.is_empty() || {
                        let hints = hints();
                        only.iter().all(|hint| hints.say(*hint))
                    })
            }
        }
    }

    /// Returns `true` if the filter depends on hints.
    pub fn asks(&self) -> bool {
        matches!(self, Self::Some { only, .. } if !only.is_empty())
    }
}

/// Returns `true` if `text` matches a pattern in which `*` matches any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut rest = rest;
    while let Some((middle, tail)) = rest.split_once('*') {
        let Some(at) = text.find(middle) else {
            return false;
        };
        text = &text[at + middle.len()..];
        rest = tail;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, fits) in [
            ("get_*", "get_issue", true),
            ("get_*", "forget_issue", false),
            ("*_issue", "get_issue", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b", "ab", true),
            ("ab*b", "ab", false),
            ("x", "x", true),
            ("x", "xy", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn missing_hint_is_not_trusted() {
        let only = |hint| ToolFilter::Some {
            show: vec![],
            hide: vec!["drop_*".into()],
            only: vec![hint],
        };
        let (none, reads) = (
            Hints::default(),
            Hints {
                read_only: true,
                ..Hints::default()
            },
        );
        for hint in [Hint::ReadOnly, Hint::NonDestructive, Hint::Idempotent] {
            assert!(!only(hint).shows("get", || none), "{hint:?}");
            assert!(only(hint).shows("get", || reads), "{hint:?}");
            assert!(!only(hint).shows("drop_x", || reads), "{hint:?}");
        }
        assert!(!only(Hint::ClosedWorld).shows("get", || reads));
        assert!(ToolFilter::All.shows("get", || unreachable!("it is not asked")));
    }
}
