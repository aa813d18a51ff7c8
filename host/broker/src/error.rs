//! What can go wrong in the broker, and how a caller hears of it.

use midplane_model::{ErrorCode, Fault};

/// Named for what was attempted.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the operating system gave no random bytes for an epoch")]
    DrawEpoch {
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
    #[error("a subscription has 1 to {limit} patterns, this one has {count}")]
    PatternCount { count: usize, limit: usize },
    #[error("stream {stream:?} no longer has what was asked for; it begins at {oldest}")]
    HistoryExpired { stream: String, epoch: String, oldest: u64 },
}

impl From<BrokerError> for Fault {
    fn from(error: BrokerError) -> Self {
        use BrokerError as E;
        let message = error.to_string();
        match error {
            E::PayloadTooLarge { limit, .. } => {
                Fault::new(ErrorCode::TooLarge, message).with("limit_bytes", limit as u64)
            }
            E::PatternCount { .. } => Fault::invalid_params("params.patterns", message),
            E::HistoryExpired { stream, epoch, oldest } => Fault::new(ErrorCode::CursorExpired, message)
                .with("stream", stream)
                .with("epoch", epoch)
                .with("oldest", oldest),
            E::DrawEpoch { .. }
            | E::DuplicateStream { .. }
            | E::DuplicatePrefix { .. }
            | E::MalformedPrefix { .. }
            | E::NoStreamForTheRest => {
                tracing::error!(error = &error as &dyn std::error::Error, "broker could not start");
                Fault::internal()
            }
        }
    }
}
