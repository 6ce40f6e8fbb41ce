//! What templates match, and that matching stays cheap.

use super::*;
use crate::limits::MAX_URI_LEN;

fn matches(template: &str, uri: &str) -> bool {
    let template = Template::new(template).expect("within the bounds");
    template.matches(uri, &mut Steps::new())
}

#[test]
fn templates_match_their_expansions() {
    for (template, uri, fits) in [
        ("test://template/{id}/data", "test://template/7/data", true),
        (
            "test://template/{id}/data",
            "test://template/7/8/data",
            false,
        ),
        ("test://template/{id}/data", "test://template//data", false),
        ("file:///{+path}", "file:///a/b/c", true),
        ("file:///{+path}", "file:///", true),
        ("file:///{path*}", "file:///a/b", true),
        ("file:///{path}", "file:///", false),
        ("x://{a}-{b}", "x://1-2", true),
        ("x://{a}-{b}", "x://1-2-3", true),
        ("x://{a}-{b}", "x://-1-", false),
        ("x://{a}-{b}", "x://--1", true),
        ("x://{a}-{b}", "x://12", false),
        ("x://{a}{b}", "x://é", false),
        ("x://{a}{b}", "x://éa", true),
        ("x://{a}b", "x://abb", true),
        ("x://{a}b", "x://b", false),
        ("x://{a}b/c", "x://abb/c", true),
        ("x://y", "x://y", true),
        ("x://y", "x://yz", false),
        ("x://{a", "x://a", false),
        ("x://{?q}", "x://?q=1", true),
        ("x://{+a}/b/{c}", "x://1/b/2/b/3", true),
        ("x://{+a}/b/{c}", "x://1/b/2/b/3/4", false),
        ("{+a}a{x}/b{+q}", "aa/aac/bz", true),
        ("{+a}a{x}/b{+q}", "aa/a/bz", false),
        ("{+a}{x}", "/", false),
        ("{+a}{x}", "/a", true),
        ("{+a}{x}{+b}", "//", false),
        ("{+a}/", "a/", true),
        ("{+a}ab", "aab", true),
        ("ab{+a}ab", "ab", false),
        ("ab{+a}b", "ab", false),
        ("{a}{+b}{c}", "x", false),
        ("{a}{+b}{c}", "xy", true),
    ] {
        assert_eq!(matches(template, uri), fits, "{template} {uri}");
    }
}

#[test]
fn templates_over_the_limits_are_rejected() {
    let many = "{+a}".repeat(100_000);
    assert!(Template::new(many).is_none());
    assert_eq!(
        check_template(&"{a}".repeat(MAX_TEMPLATE_EXPRESSIONS + 1)),
        Err(TemplateError::TooManyExpressions)
    );
    assert_eq!(
        check_template(&"x".repeat(MAX_TEMPLATE_LEN + 1)),
        Err(TemplateError::TooLong)
    );
    assert_eq!(
        check_template(&"{a}".repeat(MAX_TEMPLATE_EXPRESSIONS)),
        Ok(())
    );
}

/// Templates and URIs that make a backtracking matcher explode.
#[test]
fn hostile_templates_match_in_a_bounded_number_of_steps() {
    let uris = [
        "a".repeat(MAX_URI_LEN),
        "a/".repeat(MAX_URI_LEN / 2),
        "/".repeat(MAX_URI_LEN),
        format!("x://{}", "a-".repeat(MAX_URI_LEN / 2)),
    ];
    let all = MAX_TEMPLATE_EXPRESSIONS;
    let templates = [
        format!("{}!", "{+a}".repeat(all)),
        format!("{}!", "{a}".repeat(all)),
        format!("{}!", "{+a}a".repeat(all)),
        format!("{{+a}}{}!", "a/{x}/".repeat(all - 1)),
        format!("{{+a}}{}!", "{x}/".repeat(all - 1)),
        format!("x://{}!", "{a}-".repeat(all)),
        "repo://{owner}/{repo}/contents".to_owned(),
    ];
    for template in &templates {
        let read = Template::new(template.as_str()).expect("within the bounds");
        for uri in &uris {
            let mut steps = Steps::new();
            assert!(!read.matches(uri, &mut steps), "{template}");
            let taken = MAX_TEMPLATE_STEPS - steps.0;
            let segments = uri.matches('/').count() + 1;
            assert!(taken <= all * (segments + 1), "{template}: {taken} steps");
        }
    }
}

#[test]
fn nothing_matches_once_the_step_budget_is_spent() {
    let template = Template::new("x://{a}").expect("within the bounds");
    let mut steps = Steps(0);
    assert!(!template.matches("x://1", &mut steps));
}

#[test]
fn more_literal_template_is_more_specific() {
    let says = |text: &str| {
        Template::new(text)
            .expect("within the bounds")
            .specificity()
    };
    let order = [
        "report://{id}/data",
        "report://{id}",
        "report://{+id}",
        "{scheme}://{id}",
        "{a}{+b}",
        "{+x}{+y}",
    ];
    assert!(order.is_sorted_by(|more, less| says(more) < says(less)));
}

#[test]
fn a_template_without_a_scheme_is_a_catch_all() {
    let catches = |text: &str| {
        Template::new(text)
            .expect("within the bounds")
            .is_catch_all()
    };
    for text in ["{+x}", "{x}", "{scheme}://{host}/a", "h{+x}", "{+a}{+b}"] {
        assert!(catches(text), "{text}");
    }
    for text in ["file:///{+path}", "mem://{id}", "urn:{+x}", "{broken"] {
        assert!(!catches(text), "{text}");
    }
}
