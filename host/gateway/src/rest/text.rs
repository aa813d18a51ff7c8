//! Words of a path or a query as values, by the type of the parameter they are for.
//!
//! A word that does not fit stays text: the conversion that every call passes refuses it, with the path and the type.

use midplane_model::{Fault, schema::Type};
use serde_json::{Number, Value};

/// # Errors
/// `invalid_params` where the type wants JSON and the text is none.
pub(super) fn value(name: &str, ty: &Type, text: &str) -> Result<Value, Fault> {
    let as_is = || Value::String(text.to_owned());
    Ok(match ty {
        Type::Option(some) => value(name, some, text)?,
        Type::Bool => text.parse().map_or_else(|_| as_is(), Value::Bool),
        Type::S8 | Type::S16 | Type::S32 | Type::S64 => integer::<i64>(text).unwrap_or_else(as_is),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => integer::<u64>(text).unwrap_or_else(as_is),
        Type::F32 | Type::F64 => {
            let number = text.parse().ok().and_then(Number::from_f64);
            number.map_or_else(as_is, Value::Number)
        }
        Type::Char | Type::String | Type::Enum(_) => as_is(),
        Type::List(item) if matches!(**item, Type::U8) => as_is(),
        // A case without payload is a bare word.
        Type::Variant(variant) if variant.cases.iter().any(|case| case.ty.is_none() && *case.name.json == *text) => {
            as_is()
        }
        _ => midplane_protocol::parse_value(text).map_err(|fault| {
            let path = format!("params.{name}");
            Fault::invalid_params(&path, format!("{path}: expected {} as JSON: {}", ty.wit(), fault.message))
        })?,
    })
}

/// The type of an item, where a parameter is a list that is written as repeated words.
pub(super) fn item_of_list(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Option(some) => item_of_list(some),
        Type::List(item) if !matches!(**item, Type::U8) => Some(item),
        // Each word is one flag.
        Type::Flags(_) => Some(&Type::String),
        _ => None,
    }
}

/// Digits only: what JSON would not read as this number is none here either.
fn integer<T: std::str::FromStr + Into<Number>>(text: &str) -> Option<Value> {
    let canonical = !text.starts_with('+');
    text.parse::<T>().ok().filter(|_| canonical).map(|number| Value::Number(number.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn words_become_values_of_the_type_and_what_does_not_fit_stays_text() {
        let option = |ty| Type::Option(Arc::new(ty));
        for (ty, text, expected) in [
            (Type::Bool, "true", json!(true)),
            (Type::Bool, "1", json!("1")),
            (Type::U32, "17", json!(17)),
            (Type::U32, "-1", json!("-1")),
            (Type::U32, "+1", json!("+1")),
            (Type::S64, "-9223372036854775808", json!(i64::MIN)),
            (Type::U64, "18446744073709551615", json!(u64::MAX)),
            (Type::F64, "1.5", json!(1.5)),
            (Type::F64, "inf", json!("inf")),
            (Type::String, "17", json!("17")),
            (option(Type::U8), "3", json!(3)),
            (option(Type::String), "null", json!("null")),
            (Type::Json, r#"{"a":[1]}"#, json!({"a": [1]})),
        ] {
            assert_eq!(value("p", &ty, text).unwrap(), expected, "{text} as {}", ty.wit());
        }
        for text in ["{", "{\"a\":1,\"a\":2}"] {
            let fault = value("p", &Type::Json, text).unwrap_err();
            assert_eq!(fault.details["path"], "params.p");
        }
    }
}
