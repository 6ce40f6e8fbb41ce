//! Which tools of a server a gateway shows: by their names, and by what the server says of them.

/// Which tools of a server a gateway shows, by their own names and hints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolFilter {
    /// All.
    #[default]
    All,
    /// Those that match one of the patterns (`*` stands for any characters), none of the others, and every hint.
    Some {
        /// Shown; none given means all.
        show: Vec<String>,
        /// Not shown.
        hide: Vec<String>,
        /// What a tool's annotations must say; one that is not listed says nothing.
        only: Vec<Hint>,
    },
}

/// What a tool's annotations may be asked to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It changes nothing.
    ReadOnly,
    /// It destroys nothing; a tool that changes nothing destroys nothing.
    NonDestructive,
    /// Calling it again with the same arguments changes nothing more.
    Idempotent,
    /// It stays within its own domain.
    ClosedWorld,
}

/// What a server says of a tool by its annotations. What is not said has the protocol's default, which trusts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hints {
    /// `readOnlyHint`.
    pub read_only: bool,
    /// `destructiveHint`.
    pub destructive: bool,
    /// `idempotentHint`.
    pub idempotent: bool,
    /// `openWorldHint`.
    pub open_world: bool,
}

impl Default for Hints {
    /// The protocol's defaults (schema of `ToolAnnotations`).
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
    /// Whether they say this.
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
    /// Whether a tool of this name is shown. Its hints are asked only where they decide.
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

    /// Whether it asks what servers say of their tools.
    pub fn asks(&self) -> bool {
        matches!(self, Self::Some { only, .. } if !only.is_empty())
    }
}

/// Whether `text` matches a pattern in which `*` stands for any characters.
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
    fn a_hint_that_is_not_given_is_not_trusted() {
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
