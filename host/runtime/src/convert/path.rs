//! Where in the parameters a conversion is.

use midplane_model::Fault;
use serde_json::Value;

/// Characters of a wrong value that an error shows.
const SHOWN_BYTES_MAX: usize = 60;

#[derive(Clone, Copy)]
pub enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

/// A stack, so that the good case allocates nothing.
#[derive(Default)]
pub struct Path<'a>(Vec<Step<'a>>);

impl<'a> Path<'a> {
    /// Does `work` one step further down.
    pub fn below<T>(&mut self, step: Step<'a>, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.0.push(step);
        let done = work(self)?;
        self.0.pop();
        Ok(done)
    }

    pub fn text(&self) -> String {
        let mut text = String::from("params");
        for step in &self.0 {
            match step {
                Step::Field(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    pub fn wrong(&self, expected: &str, got: &Value) -> Fault {
        let path = self.text();
        let mut shown = got.to_string();
        if shown.len() > SHOWN_BYTES_MAX {
            let cut = shown.floor_char_boundary(SHOWN_BYTES_MAX);
            shown.truncate(cut);
            shown.push('…');
        }
        let message = format!("{path}: expected {expected}, got {shown}");
        Fault::invalid_params(&path, message)
    }

    pub fn missing(&self, expected: &str) -> Fault {
        let path = self.text();
        Fault::invalid_params(&path, format!("{path}: missing, expected {expected}"))
    }

    pub fn unknown(&self, key: &str) -> Fault {
        let path = format!("{}.{key}", self.text());
        Fault::invalid_params(&path, format!("{path}: unknown key"))
    }
}
