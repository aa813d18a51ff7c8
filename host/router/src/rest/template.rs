//! Paths with parameters: `/spell/words/{word}`.

use std::{fmt, sync::Arc};

/// Segments of a path; more is no route.
const SEGMENTS_MAX: usize = 16;

/// A path below the prefix of REST. A parameter is a whole segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Arc<[Segment]>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Arc<str>),
    Parameter(Arc<str>),
}

impl Template {
    /// # Errors
    /// What is wrong, for the author of the route.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix('/').ok_or_else(|| format!("{text:?} does not begin with \"/\""))?;
        let segments = path.split('/').map(|segment| parse_segment(text, segment)).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > SEGMENTS_MAX {
            return Err(format!("{text:?} has more than {SEGMENTS_MAX} segments"));
        }
        let template = Self(segments.into());
        let names: Vec<&str> = template.parameters().collect();
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            Some((_, name)) => Err(format!("{text:?} has {{{name}}} twice")),
            None => Ok(template),
        }
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The first segment, which says whose route it is.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        match self.0.first() {
            Some(Segment::Literal(text)) => Some(text),
            _ => None,
        }
    }

    /// Names of the parameters, in the order of the path.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(&**name),
            Segment::Literal(_) => None,
        })
    }

    /// Whether some path fits both in the same places: then only one of them would ever be found.
    #[must_use]
    pub fn same_shape(&self, other: &Self) -> bool {
        let same = |(a, b): (&Segment, &Segment)| match (a, b) {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Parameter(_), Segment::Parameter(_)) => true,
            _ => false,
        };
        self.0.len() == other.0.len() && self.0.iter().zip(other.0.iter()).all(same)
    }
}

fn parse_segment(path: &str, segment: &str) -> Result<Segment, String> {
    let plain = |text: &str| {
        let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-".contains(&c);
        !text.is_empty() && text.bytes().all(good)
    };
    let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match name {
        Some(name) if plain(name) => Ok(Segment::Parameter(name.into())),
        None if plain(segment) => Ok(Segment::Literal(segment.into())),
        _ => Err(format!("{path:?}: {segment:?} is neither of a-z, 0-9, \"_\", \"-\" nor a parameter in braces")),
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in self.0.iter() {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read_as_they_are_written() {
        for text in ["/spell/check", "/plugins/{name}/logs", "/a/{b}/{c_d}"] {
            assert_eq!(Template::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "spell", "/", "/a//b", "/a/", "/A", "/a/{b", "/a/{}", "/a/x{b}", "/a/..", "/{a}/{a}", "/a%20"]
        {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn two_that_differ_only_in_the_names_of_parameters_have_one_shape() {
        let same = |a: &str, b: &str| Template::parse(a).unwrap().same_shape(&Template::parse(b).unwrap());
        assert!(same("/a/{b}", "/a/{c}") && !same("/a/{b}", "/a/b") && !same("/a/{b}", "/a/{b}/c"));
    }
}
