//! Panels: what a client shows beside or around files. At most one is active.

use midplane_sdk::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::document::{Happened, Workspace};

/// Panels of one workspace; one more is `quota_exceeded`.
pub const PANELS_MAX: usize = 256;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// `p1`, `p2`, …; never used again within the workspace.
    pub id: String,
    pub kind: String,
    pub title: String,
    pub state: PanelState,
    pub data: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PanelState {
    Active,
    Inactive,
    Minimized,
    Maximized,
    Closed,
}

/// What to change; none leaves a member as it is.
#[derive(Debug, Default)]
pub struct PanelUpdate {
    pub title: Option<String>,
    pub state: Option<PanelState>,
    pub data: Option<Value>,
}

impl Workspace {
    /// Makes a panel, active, and gives its id.
    ///
    /// # Errors
    /// `quota_exceeded` beyond [`PANELS_MAX`].
    pub fn create_panel(&mut self, kind: String, title: String, data: Value) -> Result<(String, Happened), Error> {
        if self.panels.len() >= PANELS_MAX {
            return Err(Error::quota_exceeded(format!("{} has {PANELS_MAX} panels; close some", self.id)));
        }
        self.last_panel += 1;
        let id = format!("p{}", self.last_panel);
        let happened = Happened::new("panel_created")
            .with("panel_id", id.clone())
            .with("kind", kind.clone())
            .with("title", title.clone());
        self.panels.push(Panel { id: id.clone(), kind, title, state: PanelState::Inactive, data });
        self.activate(self.panels.len() - 1);
        Ok((id, happened))
    }

    /// Removes a panel. If it was the active one, none is.
    ///
    /// # Errors
    /// `not_found` when there is no such panel.
    pub fn close_panel(&mut self, id: &str) -> Result<Happened, Error> {
        let index = self.panel(id)?;
        self.panels.remove(index);
        if self.active_panel.as_deref() == Some(id) {
            self.active_panel = None;
        }
        Ok(Happened::new("panel_closed").with("panel_id", id))
    }

    /// # Errors
    /// `not_found` when there is no such panel.
    pub fn set_active_panel(&mut self, id: &str) -> Result<Happened, Error> {
        let index = self.panel(id)?;
        self.activate(index);
        Ok(Happened::new("active_panel_changed").with("panel_id", id))
    }

    /// # Errors
    /// `not_found` when there is no such panel.
    pub fn update_panel(&mut self, id: &str, update: PanelUpdate) -> Result<Happened, Error> {
        let index = self.panel(id)?;
        if let Some(title) = update.title {
            self.panels[index].title = title;
        }
        if let Some(data) = update.data {
            self.panels[index].data = data;
        }
        if let Some(state) = update.state {
            self.set_state(index, state);
        }
        let panel = &self.panels[index];
        Ok(Happened::new("panel_updated")
            .with("panel_id", id)
            .with("title", panel.title.clone())
            .with("state", json!(panel.state)))
    }

    fn set_state(&mut self, index: usize, state: PanelState) {
        match state {
            PanelState::Active => return self.activate(index),
            // The largest panel is the one that is used.
            PanelState::Maximized => self.activate(index),
            PanelState::Inactive | PanelState::Minimized | PanelState::Closed => {
                if self.active_panel.as_ref() == Some(&self.panels[index].id) {
                    self.active_panel = None;
                }
            }
        }
        self.panels[index].state = state;
    }

    fn activate(&mut self, index: usize) {
        for panel in &mut self.panels {
            if panel.state == PanelState::Active {
                panel.state = PanelState::Inactive;
            }
        }
        let panel = &mut self.panels[index];
        // Choosing a maximized panel does not shrink it.
        if panel.state != PanelState::Maximized {
            panel.state = PanelState::Active;
        }
        self.active_panel = Some(panel.id.clone());
    }

    fn panel(&self, id: &str) -> Result<usize, Error> {
        let index = self.panels.iter().position(|panel| panel.id == id);
        index.ok_or_else(|| Error::not_found(format!("no panel {id} in {}", self.id)).with("panel_id", id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::workspace;

    fn with(count: usize) -> Workspace {
        let mut workspace = workspace();
        for _ in 0..count {
            workspace.create_panel("terminal".into(), "sh".into(), Value::Null).unwrap();
        }
        workspace
    }

    fn states(workspace: &Workspace) -> Vec<PanelState> {
        workspace.panels.iter().map(|panel| panel.state).collect()
    }

    #[test]
    fn the_newest_panel_is_the_only_active_one() {
        let workspace = with(2);
        assert_eq!(states(&workspace), [PanelState::Inactive, PanelState::Active]);
        assert_eq!(workspace.active_panel.as_deref(), Some("p2"));
    }

    #[test]
    fn an_id_is_never_used_again() {
        let mut workspace = with(2);
        workspace.close_panel("p2").unwrap();
        assert_eq!(workspace.active_panel, None);
        let (id, _) = workspace.create_panel("search".into(), "s".into(), Value::Null).unwrap();
        assert_eq!(id, "p3");
    }

    #[test]
    fn state_and_active_panel_agree() {
        let mut workspace = with(2);
        let to = |state| PanelUpdate { state: Some(state), ..PanelUpdate::default() };
        workspace.update_panel("p1", to(PanelState::Active)).unwrap();
        assert_eq!(states(&workspace), [PanelState::Active, PanelState::Inactive]);
        workspace.update_panel("p1", to(PanelState::Minimized)).unwrap();
        assert_eq!(workspace.active_panel, None);
        workspace.update_panel("p2", to(PanelState::Maximized)).unwrap();
        workspace.set_active_panel("p2").unwrap();
        assert_eq!(states(&workspace), [PanelState::Minimized, PanelState::Maximized]);
        assert_eq!(workspace.active_panel.as_deref(), Some("p2"));
    }

    #[test]
    fn a_panel_that_is_not_there_is_named() {
        let mut workspace = with(1);
        for error in [
            workspace.close_panel("p9").unwrap_err(),
            workspace.set_active_panel("p9").unwrap_err(),
            workspace.update_panel("p9", PanelUpdate::default()).unwrap_err(),
        ] {
            assert_eq!((error.code.as_str(), error.message.as_str()), ("not_found", "no panel p9 in w1"));
        }
    }

    #[test]
    fn one_panel_too_many_is_refused() {
        let mut workspace = with(PANELS_MAX);
        let error = workspace.create_panel("k".into(), "t".into(), Value::Null).unwrap_err();
        assert_eq!(error.code, "quota_exceeded");
    }
}
