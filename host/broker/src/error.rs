//! What can go wrong in the broker, and how a caller hears of it.

use midplane_model::{ErrorCode, Fault, Position};

use crate::home::HomeError;

/// Milliseconds in which the disk takes many groups.
const BUSY_RETRY_AFTER_MS: u64 = 100;

/// Named for what was attempted.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the operating system gave no random bytes for an epoch")]
    DrawEpoch {
        #[source]
        source: getrandom::Error,
    },
    #[error("the operating system gave no random bytes for a request")]
    DrawRequest {
        #[source]
        source: getrandom::Error,
    },
    #[error("stream {name:?} is defined twice")]
    DuplicateStream { name: String },
    #[error("prefix {prefix:?} of stream {stream:?} belongs to another stream already")]
    DuplicatePrefix { stream: String, prefix: String },
    #[error("prefix {prefix:?} of stream {stream:?} is neither empty nor whole segments with a dot at the end")]
    MalformedPrefix { stream: String, prefix: String },
    #[error("no stream has the empty prefix, so some topics would belong to none")]
    NoStreamForTheRest,
    #[error("a payload has at most {limit} bytes, this one has {bytes}")]
    PayloadTooLarge { bytes: usize, limit: usize },
    #[error("this plugin publishes more than {per_second} {what} a second, {burst} at once; publish less")]
    OverBudget { what: &'static str, per_second: u64, burst: u64, wait_ms: u64 },
    #[error("a subscription has 1 to {limit} patterns, this one has {count}")]
    PatternCount { count: usize, limit: usize },
    #[error("stream {stream:?} no longer has what was asked for; it begins at {oldest}")]
    HistoryExpired { stream: String, epoch: String, oldest: u64 },
    #[error("the key {key:?} named another event less than ten minutes ago; draw a new key for a new event")]
    KeyReused { key: String },
    #[error("the newest event of {topic} is {current}, not {expected}; read what came since, then publish again")]
    TopicMoved { topic: String, expected: u64, current: u64 },
    #[error("stream {stream:?} keeps nothing to compare with; leave expect out")]
    NothingToCompare { stream: String },
    #[error("nobody listens to {topic}")]
    NoResponder { topic: String },
    #[error("{limit} requests wait for answers already")]
    TooManyRequests { limit: usize },
    #[error("there is no stream {name:?}")]
    UnknownStream { name: String },
    #[error("stream {stream:?} has another epoch now: its past cannot be waited for; leave the position out")]
    OtherEpoch { stream: String, head: Position },
    #[error("stream {stream:?} cannot be opened")]
    OpenHome {
        stream: String,
        #[source]
        source: HomeError,
    },
    #[error("the thread that commits events cannot be started")]
    StartCommitter {
        #[source]
        source: std::io::Error,
    },
    #[error("too many events wait for the disk")]
    Busy,
    #[error("the host is stopping")]
    Closed,
    #[error("{}", if *full { "the disk is full: the event was not kept and reached nobody" } else { "the event could not be kept and reached nobody" })]
    NotKept { full: bool },
    #[error("nobody waits for this answer: it was given, the time is over, or there was no such request")]
    NobodyWaits,
}

impl From<BrokerError> for Fault {
    fn from(error: BrokerError) -> Self {
        use BrokerError as E;
        let message = error.to_string();
        match error {
            E::PayloadTooLarge { limit, .. } => {
                Fault::new(ErrorCode::TooLarge, message).with("limit_bytes", limit as u64)
            }
            E::OverBudget { what, per_second, burst, wait_ms } => Fault::new(ErrorCode::QuotaExceeded, message)
                .with("quota", format!("event_{what}"))
                .with("per_second", per_second)
                .with("burst", burst)
                .retry_after_ms(wait_ms),
            E::PatternCount { .. } => Fault::invalid_params("params.patterns", message),
            E::HistoryExpired { stream, epoch, oldest } => Fault::new(ErrorCode::CursorExpired, message)
                .with("stream", stream)
                .with("epoch", epoch)
                .with("oldest", oldest),
            E::KeyReused { .. } => Fault::new(ErrorCode::Conflict, message),
            E::TopicMoved { current, .. } => Fault::new(ErrorCode::PreconditionFailed, message)
                .with("current_version", current)
                .with("topic_seq", current),
            E::NothingToCompare { .. } => Fault::new(ErrorCode::NotSupported, message),
            E::NoResponder { topic } => Fault::new(ErrorCode::NoResponder, message).with("topic", topic),
            E::TooManyRequests { .. } => Fault::new(ErrorCode::Unavailable, message).with("busy", true),
            E::Busy => {
                Fault::new(ErrorCode::Unavailable, message).with("busy", true).retry_after_ms(BUSY_RETRY_AFTER_MS)
            }
            E::Closed | E::NotKept { full: false } => Fault::new(ErrorCode::Unavailable, message),
            E::NotKept { full: true } => Fault::new(ErrorCode::NoSpace, message),
            E::UnknownStream { ref name } => Fault::invalid_params(name, message),
            E::OtherEpoch { stream, head } => Fault::new(ErrorCode::CursorExpired, message)
                .with("stream", stream)
                .with("epoch", head.epoch.as_ref())
                .with("oldest", head.seq),
            E::NobodyWaits => Fault::not_found(message),
            E::DrawRequest { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request could not begin");
                Fault::internal()
            }
            E::DrawEpoch { .. }
            | E::DuplicateStream { .. }
            | E::DuplicatePrefix { .. }
            | E::MalformedPrefix { .. }
            | E::NoStreamForTheRest
            | E::OpenHome { .. }
            | E::StartCommitter { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "broker could not start");
                Fault::internal()
            }
        }
    }
}
