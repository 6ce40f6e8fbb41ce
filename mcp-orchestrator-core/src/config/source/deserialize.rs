//! Deserializes the tree into serde types and reports all errors at once.
//!
//! Serde stops at the first error. Each error is therefore recorded and cut out of a copy of the tree, and the copy is
//! read again until it is valid. Messages name the kind of the value found, never its text.

use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};

use crate::config::source::diagnostics::KeyPath;
use crate::config::source::exact_json;
use crate::config::source::node::{Entry, Node, Value};
use crate::config::source::suggest;

/// The name of a type that reads any value as JSON text.
pub(crate) const JSON: &str = "$json";
/// Maximum number of attempts.
const MAX_ATTEMPTS: usize = 100;

/// A value of the wrong type, or an invalid key.
pub(crate) struct Mismatch {
    pub(crate) path: KeyPath,
    /// `true` if the key is wrong rather than its value.
    pub(crate) at_key: bool,
    pub(crate) message: String,
}

/// Reads the tree as `T`. Returns the default if no part of it is valid.
pub(crate) fn read<T: DeserializeOwned + Default>(tree: &Node) -> (T, Vec<Mismatch>) {
    let mut rest = tree.clone();
    let mut mismatches = Vec::new();
    for _ in 0..MAX_ATTEMPTS {
        let path = KeyPath::default();
        let fault = match T::deserialize(Reader { node: &rest, path }) {
            Ok(value) => return (value, mismatches),
            Err(fault) => fault,
        };
        let path = fault.path.unwrap_or_default();
        let cut = rest.prune(&path);
        mismatches.push(Mismatch {
            path,
            at_key: fault.at_key,
            message: fault.message,
        });
        if !cut {
            break;
        }
    }
    (T::default(), mismatches)
}

/// Why reading stopped, and where.
#[derive(Debug)]
struct Fault {
    path: Option<KeyPath>,
    at_key: bool,
    message: String,
}

impl Fault {
    fn at(mut self, path: &KeyPath) -> Self {
        self.path.get_or_insert_with(|| path.clone());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self {
            path: None,
            at_key: false,
            message: message.to_string(),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let expected = people(&expected);
        Self::custom(format!("expected {expected}, found {}", kind(found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        Self::custom(format!("expected {}", people(&expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let names = expected.join(", ");
        let meant = suggest::nearest(variant, expected.iter().copied());
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
        Self::custom(format!("must be one of {names}{meant}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let hint = suggest::hint(field, expected.iter().copied());
        Self {
            at_key: true,
            ..Self::custom(format!("unknown key {field:?}{hint}"))
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("missing key {field:?}"))
    }
}

/// Translates serde's `u16`, `a string` or `struct ServerEntry` to the terms of this format.
fn people(expected: &str) -> &str {
    match expected {
        "a map" => "a mapping",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "u16" => "a number from 0 to 65535",
        "u8" | "u32" | "u64" | "usize" => "a number",
        _ if expected.starts_with("struct ") => "a mapping",
        _ if expected.starts_with("enum ") => "a string",
        _ => expected,
    }
}

fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a mapping",
        _ => "a string",
    }
}

/// Deserializes one node.
struct Reader<'t> {
    node: &'t Node,
    path: KeyPath,
}

impl Reader<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.node.value {
            Value::Null | Value::Pruned => Unexpected::Unit,
            Value::Scalar { text, plain } => match text.as_str() {
                "true" | "false" if *plain => Unexpected::Bool(true),
                text if *plain && text.parse::<f64>().is_ok() => Unexpected::Float(0.0),
                _ => Unexpected::Str(""),
            },
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
        }
    }

    fn mismatch(&self, expected: &dyn Expected) -> Fault {
        <Fault as de::Error>::invalid_type(self.unexpected(), expected).at(&self.path)
    }

    fn scalar(&self) -> Option<(&str, bool)> {
        match &self.node.value {
            Value::Scalar { text, plain } => Some((text, *plain)),
            _ => None,
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.scalar() {
                Some((text, true)) => match text.parse::<$kind>() {
                    Ok(number) => visitor.$visit(number).map_err(|fault: Fault| fault.at(&self.path)),
                    Err(_) => Err(self.mismatch(&visitor)),
                },
                _ => Err(self.mismatch(&visitor)),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let path = self.path.clone();
        let answer = match &self.node.value {
            Value::Null | Value::Pruned => visitor.visit_unit(),
            Value::List(_) => return self.deserialize_seq(visitor),
            Value::Map(_) => return self.deserialize_map(visitor),
            Value::Scalar { text, plain } => match text.as_str() {
                "true" if *plain => visitor.visit_bool(true),
                "false" if *plain => visitor.visit_bool(false),
                text => match text.parse::<i64>() {
                    Ok(number) if *plain => visitor.visit_i64(number),
                    _ => visitor.visit_str(text),
                },
            },
        };
        answer.map_err(|fault: Fault| fault.at(&path))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.scalar() {
            Some(("true", true)) => visitor.visit_bool(true),
            Some(("false", true)) => visitor.visit_bool(false),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.scalar() {
            Some((text, _)) => visitor
                .visit_str(text)
                .map_err(|fault: Fault| fault.at(&self.path)),
            None => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Null | Value::Pruned => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == JSON {
            let json = exact_json::text(self.node, &self.path);
            let json =
                json.map_err(|(path, message)| <Fault as de::Error>::custom(message).at(&path))?;
            return visitor.visit_str(&json);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::List(items) = &self.node.value else {
            return Err(self.mismatch(&visitor));
        };
        let mut items = items.iter().enumerate();
        let path = &self.path;
        visitor
            .visit_seq(Items {
                items: &mut items,
                path,
            })
            .map_err(|fault: Fault| fault.at(path))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::Map(entries) = &self.node.value else {
            return Err(self.mismatch(&visitor));
        };
        let path = &self.path;
        visitor
            .visit_map(Keys {
                entries: entries.iter(),
                next: None,
                path,
            })
            .map_err(|fault: Fault| fault.at(path))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Some((text, _)) = self.scalar() else {
            return Err(self.mismatch(&visitor));
        };
        let text: StringDeserializer<Fault> = text.to_owned().into_deserializer();
        visitor
            .visit_enum(text)
            .map_err(|fault: Fault| fault.at(&self.path))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

struct Items<'i, 't> {
    items: &'i mut std::iter::Enumerate<std::slice::Iter<'t, Node>>,
    path: &'i KeyPath,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let rest = self.items.by_ref();
        let item = rest.find(|(_, node)| !matches!(node.value, Value::Pruned));
        let Some((index, node)) = item else {
            return Ok(None);
        };
        let path = self.path.index(index);
        let reader = Reader {
            node,
            path: path.clone(),
        };
        seed.deserialize(reader)
            .map(Some)
            .map_err(|fault| fault.at(&path))
    }
}

struct Keys<'i, 't> {
    entries: std::slice::Iter<'t, Entry>,
    next: Option<&'t Entry>,
    path: &'i KeyPath,
}

impl<'de> MapAccess<'de> for Keys<'_, '_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        self.next = self.entries.next();
        let Some(entry) = self.next else {
            return Ok(None);
        };
        let key: StringDeserializer<Fault> = entry.key.clone().into_deserializer();
        let answer = seed.deserialize(key).map(Some);
        answer.map_err(|fault| fault.at(&self.path.key(&entry.key)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some(entry) = self.next.take() else {
            return Err(de::Error::custom("a key is missing"));
        };
        let path = self.path.key(&entry.key);
        let reader = Reader {
            node: &entry.node,
            path: path.clone(),
        };
        seed.deserialize(reader).map_err(|fault| fault.at(&path))
    }
}
