//! How a socket ends: whoever knows why says so once, and everybody stops.

use std::sync::{Arc, OnceLock};

use axum::extract::ws::{CloseFrame, Utf8Bytes};
use tokio_util::sync::CancellationToken;

/// Time after which a client may come back.
const RETRY_AFTER_MS: u64 = 1000;

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client closed it, or its connection broke.
    ClientGone,
    /// Nothing came from the client for too long; nobody is there to read a close frame.
    Silent,
    /// The token was revoked or has expired.
    Unauthenticated,
    /// Nobody could say whether its credential is still good; it may come back.
    Unconfirmed,
    /// The host stops.
    GoingAway,
    /// Its session went on elsewhere.
    Superseded,
    /// Its session was closed by another.
    SessionClosed,
    /// The client takes its messages too slowly; it may resume.
    SlowConsumer,
    MessageTooLarge,
    /// It went on calling, however often it was told to wait.
    RateLimited,
    InvalidUtf8,
    /// Against RFC 6455, or a binary message that is no frame.
    ProtocolError,
}

impl CloseReason {
    /// The close frame to send, where somebody can still read one.
    pub(crate) fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::ClientGone | Self::Silent => return None,
            Self::Unauthenticated => (4001, "the token is no longer valid".to_owned()),
            Self::Superseded => (4009, "the session went on elsewhere".to_owned()),
            Self::SessionClosed => (1000, "the session was closed".to_owned()),
            Self::GoingAway | Self::Unconfirmed => (4012, format!(r#"{{"retry_after_ms":{RETRY_AFTER_MS}}}"#)),
            Self::SlowConsumer => (4008, "slow consumer".to_owned()),
            Self::MessageTooLarge => (4013, "message too large".to_owned()),
            Self::RateLimited => (4029, format!(r#"{{"retry_after_ms":{RETRY_AFTER_MS}}}"#)),
            Self::InvalidUtf8 => (1007, "text is not UTF-8".to_owned()),
            Self::ProtocolError => (1002, "protocol error".to_owned()),
        };
        Some(CloseFrame { code, reason: Utf8Bytes::from(reason) })
    }
}

/// Shared by all parts of one socket. Every call's cancel token is a child of it.
#[derive(Clone, Default)]
pub(crate) struct Closing {
    reason: Arc<OnceLock<CloseReason>>,
    token: CancellationToken,
}

impl Closing {
    /// Ends the socket. The first reason counts.
    pub(crate) fn request(&self, reason: CloseReason) {
        // A later reason is a consequence of the first.
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    pub(crate) fn reason(&self) -> Option<CloseReason> {
        self.reason.get().copied()
    }

    /// Waits until the socket is to end. Cancel safe.
    pub(crate) async fn requested(&self) {
        self.token.cancelled().await;
    }

    pub(crate) fn child_token(&self) -> CancellationToken {
        self.token.child_token()
    }
}
