//! URI templates of resources (RFC 6570): which URIs a template matches, and which of two templates is more specific.
//!
//! A server chooses its templates and a caller chooses the URI, so neither may make matching expensive. The size of a
//! template is limited when it is parsed, and matching is a loop that never backtracks over the URI:
//!
//! - `{x}` matches one or more characters other than `/`; every other expression matches any characters.
//! - Between two expressions of the second kind, the match that ends first is the best one, because the next expression
//!   may begin anywhere after it.
//! - Within one path segment, the match that begins first is the best one, because `{x}` reaches everything from there
//!   that it reaches from a later position. One attempt per segment is therefore enough.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memmem};

use crate::limits::{MAX_TEMPLATE_EXPRESSIONS, MAX_TEMPLATE_LEN, MAX_TEMPLATE_STEPS};

/// A parsed URI template.
#[derive(Clone, Debug)]
pub(super) struct Template {
    text: Arc<str>,
    /// `None` if an expression is not closed; the template then matches nothing.
    parts: Option<Parts>,
}

#[derive(Clone, Debug)]
struct Parts {
    /// The literal at the beginning.
    head: Range<usize>,
    /// Each expression with the literal that follows it.
    rest: Box<[(Expression, Range<usize>)]>,
}

/// What an expression matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expression {
    /// One or more characters other than `/`.
    Segment,
    /// Any characters.
    Any,
}

/// How specific a template is; smaller values are more specific.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    literal: Reverse<usize>,
    open: usize,
}

/// The remaining number of comparisons that a server's templates may cost for one URI.
#[derive(Debug)]
pub(super) struct Steps(usize);

impl Steps {
    pub(super) const fn new() -> Self {
        Self(MAX_TEMPLATE_STEPS)
    }

    /// Takes one step. Returns `false` if the steps are used up.
    fn take(&mut self) -> bool {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

/// Why a template is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("a template longer than {MAX_TEMPLATE_LEN} bytes")]
    TooLong,
    #[error("a template of more than {MAX_TEMPLATE_EXPRESSIONS} expressions")]
    TooManyExpressions,
}

/// Checks that a template is within the limits for matching.
pub(crate) fn check_template(text: &str) -> Result<(), TemplateError> {
    if text.len() > MAX_TEMPLATE_LEN {
        return Err(TemplateError::TooLong);
    }
    let expressions = text.bytes().filter(|byte| *byte == b'{').count();
    if expressions > MAX_TEMPLATE_EXPRESSIONS {
        return Err(TemplateError::TooManyExpressions);
    }
    Ok(())
}

impl Template {
    /// Parses a template. Returns `None` if it exceeds a limit.
    pub(super) fn new(text: impl Into<Arc<str>>) -> Option<Self> {
        let text = text.into();
        check_template(&text).ok()?;
        let parts = Parts::read(&text);
        Some(Self { text, parts })
    }

    /// Returns the template as the server wrote it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns `true` if the URI matches within the remaining steps.
    pub(super) fn matches(&self, uri: &str, steps: &mut Steps) -> bool {
        let Some(parts) = &self.parts else {
            return false;
        };
        let matching = Matcher {
            template: self.text.as_bytes(),
            uri: uri.as_bytes(),
            steps,
        };
        matching.run(parts).unwrap_or(false)
    }

    /// Returns how specific the template is.
    pub(super) fn specificity(&self) -> Specificity {
        let Some(parts) = &self.parts else {
            return Specificity {
                literal: Reverse(0),
                open: usize::MAX,
            };
        };
        let any = |part: &&(Expression, Range<usize>)| part.0 == Expression::Any;
        let after: usize = parts.rest.iter().map(|(_, literal)| literal.len()).sum();
        Specificity {
            literal: Reverse(parts.head.len() + after),
            open: parts.rest.iter().filter(any).count(),
        }
    }

    /// Returns `true` if the template leaves the scheme open, so that it matches URIs of other servers.
    pub(super) fn is_catch_all(&self) -> bool {
        let head = self.parts.as_ref().map(|parts| &parts.head);
        head.is_some_and(|head| !self.text[head.clone()].contains(':'))
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Template {}

impl Parts {
    fn read(text: &str) -> Option<Self> {
        let open = |from: usize| text[from..].find('{').map_or(text.len(), |at| from + at);
        let head = 0..open(0);
        let mut rest = Vec::new();
        let mut at = head.end;
        while at < text.len() {
            let expression = &text[at + 1..];
            let end = expression.find('}')?;
            let literal = at + 1 + end + 1;
            at = open(literal);
            rest.push((Expression::read(&expression[..end]), literal..at));
        }
        let rest = rest.into();
        Some(Self { head, rest })
    }
}

impl Expression {
    fn read(text: &str) -> Self {
        let open = text.starts_with(['+', '#', '.', '/', ';', '?', '&']) || text.ends_with('*');
        if open { Self::Any } else { Self::Segment }
    }
}

/// Matches one template against one URI.
struct Matcher<'a> {
    template: &'a [u8],
    uri: &'a [u8],
    steps: &'a mut Steps,
}

/// A literal with the segments and literals that follow it, up to the next expression that matches anything.
type Block<'p> = (&'p Range<usize>, &'p [(Expression, Range<usize>)]);

impl Matcher<'_> {
    /// Returns `None` if the URI does not match, or the steps are used up.
    fn run(mut self, parts: &Parts) -> Option<bool> {
        self.step()?;
        let any = |part: &(Expression, Range<usize>)| part.0 == Expression::Any;
        let run = |from: usize| parts.rest[from..].iter().position(any);
        let Some(first) = run(0) else {
            // Without an expression that matches anything, the template must match the URI as a whole.
            let at = self.literal(0, &parts.head)?;
            return Some(self.ends(at, &parts.rest));
        };
        let at = self.literal(0, &parts.head)?;
        let mut at = self.segments(at, &parts.rest[..first])?;
        let mut from = first;
        loop {
            let literal = &parts.rest[from].1;
            let Some(length) = run(from + 1) else {
                return self.last(at, (literal, &parts.rest[from + 1..]));
            };
            let segments = &parts.rest[from + 1..from + 1 + length];
            at = self.anywhere(at, (literal, segments), Self::segments)?;
            from += 1 + length;
        }
    }

    fn step(&mut self) -> Option<()> {
        self.steps.take().then_some(())
    }

    /// Returns the end of a literal that begins at this position.
    fn literal(&self, at: usize, literal: &Range<usize>) -> Option<usize> {
        let literal = &self.template[literal.clone()];
        self.uri[at..]
            .starts_with(literal)
            .then(|| at + literal.len())
    }

    /// Returns the end of the path segment that contains this position.
    fn segment_end(&self, at: usize) -> usize {
        memchr(b'/', &self.uri[at..]).map_or(self.uri.len(), |slash| at + slash)
    }

    /// Returns the earliest end of these segments and their literals, from this position.
    fn segments(&mut self, mut at: usize, parts: &[(Expression, Range<usize>)]) -> Option<usize> {
        for (_, literal) in parts {
            self.step()?;
            let end = self.segment_end(at);
            let literal = &self.template[literal.clone()];
            let next = at + char_len(*self.uri.get(at)?);
            if let Some(slash) = memchr(b'/', literal) {
                // The first slash from here must be that of the literal.
                let start = end.checked_sub(slash).filter(|start| *start >= next)?;
                self.uri[start..].starts_with(literal).then_some(())?;
                at = start + literal.len();
            } else {
                let rest = self.uri.get(next..end)?;
                at = next + memmem::find(rest, literal)? + literal.len();
            }
        }
        Some(at)
    }

    /// Returns `true` if these segments and their literals, from this position, can end at the end of the URI.
    fn ends(&mut self, at: usize, parts: &[(Expression, Range<usize>)]) -> bool {
        let Some(((_, literal), before)) = parts.split_last() else {
            return at == self.uri.len();
        };
        let Some(at) = self.segments(at, before) else {
            return false;
        };
        let literal = &self.template[literal.clone()];
        let Some(start) = self.uri.len().checked_sub(literal.len()) else {
            return false;
        };
        start > at && self.uri.ends_with(literal) && memchr(b'/', &self.uri[at..start]).is_none()
    }

    /// Matches the last block after this position.
    fn last(&mut self, at: usize, block: Block<'_>) -> Option<bool> {
        let (literal, segments) = block;
        if segments.is_empty() {
            let literal = &self.template[literal.clone()];
            return Some(self.uri[at..].ends_with(literal));
        }
        let ends = |matching: &mut Self, at, parts: &[_]| matching.ends(at, parts).then_some(at);
        self.anywhere(at, block, ends).map(|_| true)
    }

    /// Returns the first match of a block after this position. `rest` returns the end of the part after its literal.
    fn anywhere(
        &mut self,
        at: usize,
        (literal, parts): Block<'_>,
        mut rest: impl FnMut(&mut Self, usize, &[(Expression, Range<usize>)]) -> Option<usize>,
    ) -> Option<usize> {
        let length = literal.len();
        let mut from = at;
        loop {
            self.step()?;
            let literal = &self.template[literal.clone()];
            let start = from + memmem::find(self.uri.get(from..)?, literal)?;
            if let Some(end) = rest(self, start + length, parts) {
                return Some(end);
            }
            // Another match of the literal that ends in the same segment cannot fit either.
            let next = self.segment_end(start + length) + 1;
            from = next.saturating_sub(length).max(start + 1);
            if next > self.uri.len() {
                return None;
            }
        }
    }
}

/// Returns the length in bytes of the UTF-8 character that begins with this byte.
const fn char_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
