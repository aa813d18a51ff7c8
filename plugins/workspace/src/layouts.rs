//! Layouts: named arrangements, opaque to the server.

use midplane_sdk::Error;
use serde_json::Value;

use crate::document::{Happened, Workspace};

/// Layouts of one workspace; one more is `quota_exceeded`.
pub const LAYOUTS_MAX: usize = 100;

impl Workspace {
    /// Saves a layout, over one of the same name, and makes it the current one.
    ///
    /// # Errors
    /// `quota_exceeded` beyond [`LAYOUTS_MAX`].
    pub fn save_layout(&mut self, name: String, layout: Value) -> Result<Happened, Error> {
        if self.layouts.len() >= LAYOUTS_MAX && !self.layouts.contains_key(&name) {
            return Err(Error::quota_exceeded(format!("{} has {LAYOUTS_MAX} layouts; delete some", self.id)));
        }
        self.layouts.insert(name.clone(), layout);
        self.current_layout = Some(name.clone());
        Ok(Happened::new("layout_saved").with("name", name))
    }

    /// Gives a layout and makes it the current one.
    ///
    /// # Errors
    /// `not_found` when there is no such layout.
    pub fn load_layout(&mut self, name: &str) -> Result<(Value, Happened), Error> {
        let layout = self.layouts.get(name).cloned().ok_or_else(|| self.no_layout(name))?;
        self.current_layout = Some(name.to_owned());
        Ok((layout, Happened::new("layout_loaded").with("name", name)))
    }

    /// # Errors
    /// `not_found` when there is no such layout.
    pub fn delete_layout(&mut self, name: &str) -> Result<Happened, Error> {
        self.layouts.remove(name).ok_or_else(|| self.no_layout(name))?;
        if self.current_layout.as_deref() == Some(name) {
            self.current_layout = None;
        }
        Ok(Happened::new("layout_deleted").with("name", name))
    }

    fn no_layout(&self, name: &str) -> Error {
        Error::not_found(format!("no layout {name:?} in {}", self.id)).with("name", name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::tests::workspace;

    #[test]
    fn a_layout_comes_back_as_it_was_saved_and_is_current() {
        let mut workspace = workspace();
        workspace.save_layout("wide".into(), json!({"columns": [1, 2]})).unwrap();
        workspace.save_layout("narrow".into(), json!(1)).unwrap();
        assert_eq!(workspace.load_layout("wide").unwrap().0, json!({"columns": [1, 2]}));
        assert_eq!(workspace.current_layout.as_deref(), Some("wide"));
    }

    #[test]
    fn a_deleted_layout_is_current_no_more() {
        let mut workspace = workspace();
        workspace.save_layout("wide".into(), json!(1)).unwrap();
        workspace.delete_layout("wide").unwrap();
        assert_eq!(workspace.current_layout, None);
        assert_eq!(workspace.delete_layout("wide").unwrap_err().message, r#"no layout "wide" in w1"#);
        assert_eq!(workspace.load_layout("wide").unwrap_err().code, "not_found");
    }

    #[test]
    fn saving_over_a_layout_is_possible_at_the_bound() {
        let mut workspace = workspace();
        for number in 0..LAYOUTS_MAX {
            workspace.save_layout(number.to_string(), json!(number)).unwrap();
        }
        assert!(workspace.save_layout("0".into(), json!("again")).is_ok());
        assert_eq!(workspace.save_layout("more".into(), json!(0)).unwrap_err().code, "quota_exceeded");
    }
}
