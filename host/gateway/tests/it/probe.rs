//! A service for the tests: the methods of the specification's examples, one that waits, one that opens a channel, one that
//! panics.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use midplane_model::{
    BoxFuture, Call, Channel, ChannelKind, ErrorCode, Fault, Frame, FrameSink, FrameSource, PluginName, Reply, Scope,
    ToolTraits,
    bulk::{ByteSource, Download},
    channel::op,
    schema::{Function, Interface, Label},
};
use midplane_router::{Method, Owner, Route, Router, Service, Template, Verb};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

pub struct Probe {
    pub inputs: mpsc::UnboundedSender<Frame>,
    output: Mutex<Option<mpsc::UnboundedReceiver<Frame>>>,
    effect: Effect,
}

/// What `effect` does: it counts, and answers when it is let through the gate. `refuse` counts, and answers before it begins.
#[derive(Clone)]
pub struct Effect {
    pub count: Arc<AtomicU64>,
    pub gate: Arc<Semaphore>,
}

pub struct Handles {
    pub inputs: mpsc::UnboundedReceiver<Frame>,
    pub output: mpsc::UnboundedSender<Frame>,
    pub effect: Effect,
}

/// Registers the probe as the plugin `probe`; returns what its channel's sink receives, the channel's source, and its effect.
pub fn register(router: &Router) -> Handles {
    let effect = Effect { count: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
    let (inputs, received) = mpsc::unbounded_channel();
    let (source, output) = mpsc::unbounded_channel();
    let probe: Arc<dyn Service> = Arc::new(Probe { inputs, output: Mutex::new(Some(output)), effect: effect.clone() });
    let owner = Owner::Plugin(PluginName::parse("probe").unwrap());
    let interface =
        Arc::new(Interface { id: "test:probe/probe".into(), name: "probe".into(), docs: None, functions: vec![] });
    let names = [
        "subtract",
        "sum",
        "get_data",
        "update",
        "notify_hello",
        "notify_sum",
        "wait",
        "attach",
        "fail",
        "boom",
        "count",
        "parts",
        "effect",
        "refuse",
        "film",
    ];
    let film = Route { verb: Verb::Get, template: Template::parse("/film").unwrap(), status: 200, raw: true };
    let method = |name: &&str| Method {
        name: (*name).into(),
        owner: owner.clone(),
        interface: interface.clone(),
        function: Arc::new(Function {
            name: Label::new(name),
            docs: None,
            params: vec![],
            result: None,
            is_async: false,
        }),
        scope: Scope::Read,
        service: probe.clone(),
        routes: (*name == "film").then(|| film.clone()).into_iter().collect(),
        tool: (["subtract", "count", "parts", "wait", "boom", "effect"].contains(name)).then_some(ToolTraits::ADDS),
    };
    router.register(&owner, names.iter().map(method).collect());
    Handles { inputs: received, output: source, effect }
}

impl Service for Probe {
    fn call(&self, method: &Arc<Method>, call: Call) -> BoxFuture<'static, Result<Reply, Fault>> {
        if &*method.name == "wait" {
            return Box::pin(std::future::pending());
        }
        if &*method.name == "boom" {
            return Box::pin(async { panic!("the service's fault") });
        }
        if &*method.name == "count" || &*method.name == "parts" {
            return Box::pin(report(method.name.clone(), call));
        }
        if &*method.name == "effect" {
            return Box::pin(self.effect.clone().happen(call));
        }
        if &*method.name == "film" {
            return Box::pin(std::future::ready(film(&call, self.effect.gate.clone())));
        }
        if &*method.name == "refuse" {
            self.effect.count.fetch_add(1, Ordering::SeqCst);
            return Box::pin(std::future::ready(Err(Fault::new(ErrorCode::Unavailable, "not now"))));
        }
        let answer = self.serve(&method.name, &call);
        Box::pin(async move { Reply::of(&answer?) })
    }
}

impl Effect {
    async fn happen(self, call: Call) -> Result<Reply, Fault> {
        assert!(call.context.effects.begin());
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        self.gate.acquire().await.unwrap().forget();
        Reply::of(&count)
    }
}

impl Probe {
    fn serve(&self, method: &str, call: &Call) -> Result<Value, Fault> {
        let numbers =
            |value: &Value| -> Vec<i64> { value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect() };
        Ok(match method {
            "subtract" => match &call.params {
                Value::Object(named) => {
                    json!(named["minuend"].as_i64().unwrap() - named["subtrahend"].as_i64().unwrap())
                }
                params => json!(numbers(params)[0] - numbers(params)[1]),
            },
            "sum" => json!(numbers(&call.params).iter().sum::<i64>()),
            "get_data" => json!(["hello", 5]),
            "attach" => json!({"channel": self.attach(call)?}),
            "fail" => {
                self.attach(call)?;
                return Err(Fault::not_found("nothing, after a channel was opened"));
            }
            _ => Value::Null,
        })
    }

    fn attach(&self, call: &Call) -> Result<u32, Fault> {
        let peer = call.context.peer.as_ref().ok_or_else(|| Fault::not_found("no peer"))?;
        let output = self.output.lock().unwrap().take().expect("one channel per test");
        let source = Box::new(Output(output));
        let sink = Arc::new(Input(self.inputs.clone()));
        peer.open_channel(Channel { kind: ChannelKind::Terminal, source, sink })
    }
}

/// Reports the numbers up to the first parameter, as states at once or as parts; answers whether anybody listened to the end.
async fn report(method: Arc<str>, call: Call) -> Result<Reply, Fault> {
    let (up_to, mut listens) =
        (call.params[0].as_u64().or(call.params["up_to"].as_u64()).unwrap_or(0), call.context.progress.is_some());
    if let Some(progress) = call.context.progress {
        for number in 1..=up_to {
            let value = serde_json::value::to_raw_value(&number).unwrap();
            let told = if &*method == "count" { progress.state(value) } else { progress.part(value).await };
            listens &= told.is_ok();
        }
    }
    Reply::of(&listens)
}

/// Bytes of no end that matters; they hold the gate as long as somebody may want them.
fn film(call: &Call, held: Arc<Semaphore>) -> Result<Reply, Fault> {
    let exchange = call.context.exchange.as_ref().ok_or_else(|| Fault::not_found("no exchange"))?;
    exchange.answer_with(Download {
        name: "film".into(),
        media_type: "video/mp4".into(),
        attachment: false,
        version: "1".into(),
        size: 1 << 32,
        modified: SystemTime::UNIX_EPOCH,
        source: Box::new(Film(held)),
    })?;
    Reply::of(&Value::Null)
}

struct Film(#[expect(dead_code, reason = "held, to be counted")] Arc<Semaphore>);

impl ByteSource for Film {
    fn read(&self, _: u64, length: usize) -> BoxFuture<'_, Result<Bytes, Fault>> {
        Box::pin(std::future::ready(Ok(Bytes::from(vec![0; length]))))
    }
}

struct Output(mpsc::UnboundedReceiver<Frame>);

impl FrameSource for Output {
    fn next(&mut self) -> BoxFuture<'_, Option<Frame>> {
        Box::pin(self.0.recv())
    }
}

struct Input(mpsc::UnboundedSender<Frame>);

impl FrameSink for Input {
    fn receive(&self, frame: Frame) -> Result<(), Fault> {
        if frame.op != op::INPUT {
            return Err(Fault::invalid_params("op", "only INPUT is taken here"));
        }
        self.0.send(frame).map_err(|_| Fault::internal())
    }
}
