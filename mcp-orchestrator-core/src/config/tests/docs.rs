//! The examples in docs/configuration.md are valid.

use std::path::Path;

use super::load_as;

#[test]
fn documentation_examples_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let docs = page("configuration.md");
    let issuers = page("credentials.md");
    let mut examples = 0;
    for (fence, name) in [("```yaml\n", "c.yaml"), ("```json\n", "c.json")] {
        for block in docs.split(fence).skip(1) {
            let text = block.split("```").next().unwrap();
            load_as(&[(name, text)]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            examples += 1;
        }
    }
    for block in issuers.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        load_as(&[("c.yaml", text)]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        examples += 1;
    }
    assert!(examples >= 7, "{examples}");
}

#[test]
fn every_key_is_documented() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let docs = std::fs::read_to_string(file).unwrap();
    let schema = crate::config::schema();
    let types = schema["$defs"].as_object().unwrap();
    let types = types
        .values()
        .filter_map(|kind| kind["properties"].as_object());
    let keys = types
        .chain(schema["properties"].as_object())
        .flat_map(|keys| keys.keys());
    let missing: Vec<_> = keys
        .filter(|key| !docs.contains(&format!("`{key}`")) && !docs.contains(&format!("{key}:")))
        .collect();
    let missing: Vec<_> = missing
        .into_iter()
        .filter(|key| !docs.contains(&format!(".{key}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
