//! wasmtime with nothing of the host's around it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use wasmtime::{
    Config, Engine, Store,
    component::{
        Component, ComponentNamedList, ComponentType, Instance, Lift, Linker, Lower, ResourceTable, TypedFunc, Val,
    },
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The component of a guest, as `cargo xtask guests` builds it.
pub fn wasm(guest: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests").join(guest);
    let path = folder.join(guest).with_extension("wasm");
    ensure!(path.exists(), "{} is built by `cargo xtask guests`", path.display());
    Ok(path)
}

/// Settings as the host's own: yielding costs guest code something, and is not what is compared here.
fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).epoch_interruption(true);
    Ok(Engine::new(&config)?)
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A compiled component, linked.
pub struct Raw {
    engine: Engine,
    component: Component,
    linker: Linker<State>,
}

/// An instance of `echo`.
pub struct Echo {
    store: Store<State>,
    instance: Instance,
}

#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct ShapeOfEverything {
    name: String,
    corners: Vec<Point>,
    note: Option<String>,
    big: u64,
}

impl Raw {
    pub fn of(guest: &str) -> Result<Self> {
        let engine = engine()?;
        let component = Component::from_file(&engine, wasm(guest)?)?;
        let mut linker: Linker<State> = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        linker.define_unknown_imports_as_traps(&component)?;
        Ok(Self { engine, component, linker })
    }

    pub async fn instance(&self) -> Result<Echo> {
        let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.linker.instantiate_async(&mut store, &self.component).await?;
        Ok(Echo { store, instance })
    }
}

impl Echo {
    fn func<P, R>(&mut self, name: &str) -> Result<TypedFunc<P, R>>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let interface =
            self.instance.get_export_index(&mut self.store, None, "test:echo/echo@0.1.0").context("echo")?;
        let index = self.instance.get_export_index(&mut self.store, Some(&interface), name).context("function")?;
        Ok(self.instance.get_typed_func(&mut self.store, index)?)
    }

    pub async fn typed(&mut self, count: u32) -> Result<Duration> {
        self.same::<(i32, i32), (i32,)>("add", (1, 2), count).await
    }

    pub async fn dynamic(&mut self, count: u32) -> Result<Duration> {
        let add = *self.func::<(i32, i32), (i32,)>("add")?.func();
        let (args, mut results) = ([Val::S32(1), Val::S32(2)], [Val::S32(0)]);
        let begin = Instant::now();
        for _ in 0..count {
            add.call_async(&mut self.store, &args, &mut results).await?;
        }
        Ok(begin.elapsed() / count)
    }

    /// One call with what `relay.repeat` sends.
    pub async fn both_ways(&mut self, load: &str, size: usize, count: u32) -> Result<Duration> {
        match load {
            "text" => self.same::<(String,), (String,)>("a-string", ("x".repeat(size),), count).await,
            "bytes" => self.same::<(Vec<u8>,), (Vec<u8>,)>("bytes", (vec![7; size],), count).await,
            "records" => {
                let corners = vec![Point { x: -1, y: 1 }; size];
                let record = ShapeOfEverything { name: "shape".into(), corners, note: None, big: u64::MAX };
                self.same::<(ShapeOfEverything,), (ShapeOfEverything,)>("a-record", (record,), count).await
            }
            _ => self.typed(count).await,
        }
    }

    async fn same<P, R>(&mut self, name: &str, params: P, count: u32) -> Result<Duration>
    where
        P: ComponentNamedList + Lower + Clone + Send + Sync + 'static,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let func = self.func::<P, R>(name)?;
        for _ in 0..count / 10 {
            func.call_async(&mut self.store, params.clone()).await?;
        }
        let begin = Instant::now();
        for _ in 0..count {
            func.call_async(&mut self.store, params.clone()).await?;
        }
        Ok(begin.elapsed() / count)
    }
}

/// Compiling a component, and making its compiled code ready for instances.
pub fn compile_and_load(path: &Path) -> Result<(Duration, Duration)> {
    let engine = engine()?;
    let bytes = std::fs::read(path)?;
    let begin = Instant::now();
    let component = Component::new(&engine, &bytes)?;
    let compile = begin.elapsed();
    let code = component.serialize()?;
    let begin = Instant::now();
    // SAFETY: the line above has just made these bytes, with this engine.
    unsafe { Component::deserialize(&engine, &code)? };
    Ok((compile, begin.elapsed()))
}
