//! The exported functions: parameters checked and brought into one form, a rule applied, the result kept and announced.

use midplane_sdk::{Error, host::events, json, time};
use serde_json::{Map, Value};

use crate::{
    Plugin,
    document::{Happened, Workspace, label},
    exports::midplane::workspace::workspace::{
        Changed, Contents, Guest, OpenFileState, Panel, PanelCreated, PanelState, Position, Statistics, Summary,
    },
    files::{Cursor, FileUpdate},
    panels::{self, PanelUpdate},
    path,
    store::{self, WORKSPACES_MAX},
};

impl Guest for Plugin {
    fn list() -> Result<Vec<Summary>, Error> {
        let active = store::active()?;
        Ok(store::all()?.into_iter().map(|workspace| summary(workspace, active.as_deref())).collect())
    }

    fn create(name: String, root: Option<String>) -> Result<Summary, Error> {
        let name = label("params.name", &name)?;
        let root = path::directory("params.root", root.as_deref().unwrap_or("."))?;
        let present = store::all()?;
        if present.len() >= WORKSPACES_MAX {
            return Err(Error::quota_exceeded(format!("there are {WORKSPACES_MAX} workspaces; delete some")));
        }
        refuse_taken(&name, None, &present)?;
        let workspace = Workspace::new(store::next_id()?, name, root, time::now());
        let first = store::active()?.is_none();
        store::insert(&workspace, first)?;
        let happened =
            Happened::new("created").with("name", workspace.name.clone()).with("root", workspace.root.clone());
        announce(&workspace, happened);
        let active = if first { Some(workspace.id.clone()) } else { None };
        Ok(summary(workspace, active.as_deref()))
    }

    fn get(id: Option<String>) -> Result<Summary, Error> {
        let workspace = store::resolve(id.as_deref())?;
        Ok(summary(workspace, store::active()?.as_deref()))
    }

    fn update(id: Option<String>, name: String) -> Result<Changed, Error> {
        let name = label("params.name", &name)?;
        let id = store::resolve(id.as_deref())?.id;
        refuse_taken(&name, Some(&id), &store::all()?)?;
        change(Some(&id), |workspace| Ok(workspace.rename(name)))
    }

    fn delete(id: String) -> Result<Changed, Error> {
        let mut workspace = store::load(&id)?;
        workspace.rev += 1;
        let mut active = store::active()?;
        if active.as_deref() == Some(&id) {
            active = store::all()?.into_iter().map(|other| other.id).find(|other| *other != id);
        }
        store::remove(&id, active.as_deref())?;
        Ok(announce(&workspace, Happened::new("deleted").with("active", active)))
    }

    fn activate(id: String) -> Result<Changed, Error> {
        let mut workspace = store::load(&id)?;
        workspace.rev += 1;
        store::update_and_activate(&workspace)?;
        Ok(announce(&workspace, Happened::new("activated")))
    }

    fn open_file(path: String, id: Option<String>) -> Result<Changed, Error> {
        let path = path::file("params.path", &path)?;
        change(id.as_deref(), |workspace| workspace.open_file(path, time::now()))
    }

    fn close_file(path: String, id: Option<String>) -> Result<Changed, Error> {
        let path = path::file("params.path", &path)?;
        change(id.as_deref(), |workspace| workspace.close_file(&path))
    }

    fn set_active_file(path: String, id: Option<String>) -> Result<Changed, Error> {
        let path = path::file("params.path", &path)?;
        change(id.as_deref(), |workspace| workspace.set_active_file(path))
    }

    fn update_file_state(
        path: String,
        cursor: Option<Position>,
        scroll: Option<u32>,
        dirty: Option<bool>,
        id: Option<String>,
    ) -> Result<Changed, Error> {
        let path = path::file("params.path", &path)?;
        let cursor = cursor.map(|Position { line, column }| Cursor { line, column });
        change(id.as_deref(), |workspace| workspace.update_file_state(&path, &FileUpdate { cursor, scroll, dirty }))
    }

    fn create_panel(
        kind: String,
        title: String,
        data: Option<String>,
        id: Option<String>,
    ) -> Result<PanelCreated, Error> {
        let (kind, title) = (label("params.kind", &kind)?, label("params.title", &title)?);
        let data = data.map_or(Ok(Value::Object(Map::new())), |data| json::parse("params.data", &data))?;
        let mut panel_id = String::new();
        let changed = change(id.as_deref(), |workspace| {
            let happened;
            (panel_id, happened) = workspace.create_panel(kind, title, data)?;
            Ok(happened)
        })?;
        Ok(PanelCreated { panel_id, rev: changed.rev })
    }

    fn close_panel(panel_id: String, id: Option<String>) -> Result<Changed, Error> {
        change(id.as_deref(), |workspace| workspace.close_panel(&panel_id))
    }

    fn set_active_panel(panel_id: String, id: Option<String>) -> Result<Changed, Error> {
        change(id.as_deref(), |workspace| workspace.set_active_panel(&panel_id))
    }

    fn update_panel(
        panel_id: String,
        title: Option<String>,
        state: Option<PanelState>,
        data: Option<String>,
        id: Option<String>,
    ) -> Result<Changed, Error> {
        let update = PanelUpdate {
            title: title.map(|title| label("params.title", &title)).transpose()?,
            state: state.map(panels::PanelState::from),
            data: data.map(|data| json::parse("params.data", &data)).transpose()?,
        };
        change(id.as_deref(), |workspace| workspace.update_panel(&panel_id, update))
    }

    fn save_layout(name: String, layout: String, id: Option<String>) -> Result<Changed, Error> {
        let name = label("params.name", &name)?;
        let layout = json::parse("params.layout", &layout)?;
        change(id.as_deref(), |workspace| workspace.save_layout(name, layout))
    }

    fn load_layout(name: String, id: Option<String>) -> Result<String, Error> {
        let mut layout = Value::Null;
        change(id.as_deref(), |workspace| {
            let happened;
            (layout, happened) = workspace.load_layout(name.trim())?;
            Ok(happened)
        })?;
        json::text(&layout)
    }

    fn list_layouts(id: Option<String>) -> Result<Vec<String>, Error> {
        Ok(store::resolve(id.as_deref())?.layouts.into_keys().collect())
    }

    fn delete_layout(name: String, id: Option<String>) -> Result<Changed, Error> {
        change(id.as_deref(), |workspace| workspace.delete_layout(name.trim()))
    }

    fn get_preferences(id: Option<String>) -> Result<String, Error> {
        json::text(&store::resolve(id.as_deref())?.preferences)
    }

    fn update_preferences(patch: String, id: Option<String>) -> Result<Changed, Error> {
        let patch = json::parse("params.patch", &patch)?;
        change(id.as_deref(), |workspace| workspace.update_preferences(patch))
    }

    fn recent_files(id: Option<String>) -> Result<Vec<String>, Error> {
        Ok(store::resolve(id.as_deref())?.recent_files)
    }

    fn get_state(id: Option<String>) -> Result<Contents, Error> {
        contents(store::resolve(id.as_deref())?)
    }

    fn stats() -> Result<Statistics, Error> {
        let workspaces = store::all()?;
        let sum = |count: fn(&Workspace) -> usize| figure(workspaces.iter().map(count).sum());
        Ok(Statistics {
            workspaces: figure(workspaces.len()),
            open_files: sum(|workspace| workspace.open_files.len()),
            panels: sum(|workspace| workspace.panels.len()),
            layouts: sum(|workspace| workspace.layouts.len()),
        })
    }
}

/// One change: read, apply, write, announce. If the rule or the write fails, nothing has happened.
fn change(id: Option<&str>, rule: impl FnOnce(&mut Workspace) -> Result<Happened, Error>) -> Result<Changed, Error> {
    let mut workspace = store::resolve(id)?;
    let happened = rule(&mut workspace)?;
    workspace.rev += 1;
    store::update(&workspace)?;
    Ok(announce(&workspace, happened))
}

/// Publishes what has been written. The change stands even where nobody can be told.
fn announce(workspace: &Workspace, happened: Happened) -> Changed {
    let mut payload = Map::new();
    payload.insert("id".to_owned(), workspace.id.clone().into());
    payload.insert("rev".to_owned(), workspace.rev.into());
    payload.extend(happened.details);
    let topic = format!("workspace.{}", happened.what);
    if let Err(error) = events::publish(&topic, &Value::Object(payload).to_string()) {
        midplane_sdk::warn!("{topic} of {} at rev {} was not published: {error}", workspace.id, workspace.rev);
    }
    Changed { id: workspace.id.clone(), rev: workspace.rev }
}

/// Names are what people choose by, so each is given once; `except` may keep its own.
fn refuse_taken(name: &str, except: Option<&str>, present: &[Workspace]) -> Result<(), Error> {
    let taken = present.iter().find(|workspace| workspace.name == name && Some(workspace.id.as_str()) != except);
    taken.map_or(Ok(()), |workspace| {
        let message = format!("there is a workspace {name:?} already: {}", workspace.id);
        Err(Error::already_exists(message).with("path", "params.name").with("id", workspace.id.clone()))
    })
}

fn summary(workspace: Workspace, active: Option<&str>) -> Summary {
    let active = active == Some(workspace.id.as_str());
    let Workspace { id, name, root, rev, created_at, .. } = workspace;
    Summary { id, name, root, rev, active, created_at }
}

fn contents(workspace: Workspace) -> Result<Contents, Error> {
    let preferences = json::text(&workspace.preferences)?;
    let open_files = workspace.open_files.into_iter().map(|file| OpenFileState {
        path: file.path,
        cursor: file.cursor.map(|Cursor { line, column }| Position { line, column }),
        scroll: file.scroll,
        dirty: file.dirty,
        opened_at: file.opened_at,
    });
    let panels = workspace.panels.into_iter().map(|panel| {
        let data = json::text(&panel.data)?;
        Ok(Panel { id: panel.id, kind: panel.kind, title: panel.title, state: panel.state.into(), data })
    });
    Ok(Contents {
        open_files: open_files.collect(),
        panels: panels.collect::<Result<_, Error>>()?,
        preferences,
        id: workspace.id,
        name: workspace.name,
        root: workspace.root,
        rev: workspace.rev,
        active_file: workspace.active_file,
        active_panel: workspace.active_panel,
        layouts: workspace.layouts.into_keys().collect(),
        current_layout: workspace.current_layout,
        recent_files: workspace.recent_files,
    })
}

fn figure(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl From<PanelState> for panels::PanelState {
    fn from(state: PanelState) -> Self {
        match state {
            PanelState::Active => Self::Active,
            PanelState::Inactive => Self::Inactive,
            PanelState::Minimized => Self::Minimized,
            PanelState::Maximized => Self::Maximized,
            PanelState::Closed => Self::Closed,
        }
    }
}

impl From<panels::PanelState> for PanelState {
    fn from(state: panels::PanelState) -> Self {
        match state {
            panels::PanelState::Active => Self::Active,
            panels::PanelState::Inactive => Self::Inactive,
            panels::PanelState::Minimized => Self::Minimized,
            panels::PanelState::Maximized => Self::Maximized,
            panels::PanelState::Closed => Self::Closed,
        }
    }
}
