//! Paths as they are kept: relative to the workspace, `/`-separated, without `.` and doubled separators.

use midplane_sdk::Error;

/// Longest path in bytes.
const PATH_BYTES_MAX: usize = 4096;

/// A file's path in its one form.
///
/// # Errors
/// `invalid_params` when it is empty, too long or has a NUL; `outside_root` when it is absolute or climbs out.
pub fn file(parameter: &str, path: &str) -> Result<String, Error> {
    match normal(parameter, path)? {
        path if path.is_empty() => {
            Err(Error::invalid_params(parameter, format!("{parameter}: must name a file below the root")))
        }
        path => Ok(path),
    }
}

/// A directory's path in its one form; `.` is the root itself.
///
/// # Errors
/// As [`file`], but the root itself is allowed.
pub fn directory(parameter: &str, path: &str) -> Result<String, Error> {
    match normal(parameter, path)? {
        path if path.is_empty() => Ok(".".to_owned()),
        path => Ok(path),
    }
}

fn normal(parameter: &str, path: &str) -> Result<String, Error> {
    if path.len() > PATH_BYTES_MAX {
        return Err(Error::invalid_params(parameter, format!("{parameter}: at most {PATH_BYTES_MAX} bytes")));
    }
    if path.contains('\0') {
        return Err(Error::invalid_params(parameter, format!("{parameter}: must not have a NUL")));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(|| outside(parameter, path))?;
            }
            name => parts.push(name),
        }
    }
    if path.starts_with('/') { Err(outside(parameter, path)) } else { Ok(parts.join("/")) }
}

fn outside(parameter: &str, path: &str) -> Error {
    Error::outside_root(format!("{path} is outside the served directory")).with("path", parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_path() {
        for path in ["src/main.rs", "./src/main.rs", "src//main.rs", "src/x/../main.rs"] {
            assert_eq!(file("params.path", path).unwrap(), "src/main.rs", "{path}");
        }
        assert_eq!(directory("params.root", "").unwrap(), ".");
    }

    #[test]
    fn nothing_leaves_the_root() {
        for path in ["/etc/passwd", "..", "a/../../b"] {
            assert_eq!(file("params.path", path).unwrap_err().code, "outside_root", "{path}");
        }
        for path in ["", ".", "a\0"] {
            assert_eq!(file("params.path", path).unwrap_err().code, "invalid_params", "{path:?}");
        }
    }
}
