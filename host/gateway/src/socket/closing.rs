//! How a socket ends: whoever knows why says so once, and everybody stops.
//!
//! 4003 of the contract (a foreign origin) is never sent: such a client is refused at the handshake with 403, and no socket is made.

use std::sync::{Arc, OnceLock};

use axum::extract::ws::{CloseFrame, Utf8Bytes};
use tokio_tungstenite::tungstenite::{Error as SocketError, error::ProtocolError};
use tokio_util::sync::CancellationToken;

use crate::{call::STOPPING_RETRY_AFTER_MS as RETRY_AFTER_MS, tokens::End};

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
    /// Its terminal was closed, or the program in it has ended.
    TerminalEnded,
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
    pub(crate) const ALL: [Self; 13] = [
        Self::ClientGone,
        Self::Silent,
        Self::Unauthenticated,
        Self::Unconfirmed,
        Self::GoingAway,
        Self::Superseded,
        Self::SessionClosed,
        Self::TerminalEnded,
        Self::SlowConsumer,
        Self::MessageTooLarge,
        Self::RateLimited,
        Self::InvalidUtf8,
        Self::ProtocolError,
    ];

    /// For the operator.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::Silent => "silent",
            Self::Unauthenticated => "unauthenticated",
            Self::Unconfirmed => "unconfirmed",
            Self::GoingAway => "going_away",
            Self::Superseded => "superseded",
            Self::SessionClosed => "session_closed",
            Self::TerminalEnded => "terminal_ended",
            Self::SlowConsumer => "slow_consumer",
            Self::MessageTooLarge => "message_too_large",
            Self::RateLimited => "rate_limited",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::ProtocolError => "protocol_error",
        }
    }

    /// The close frame to send, where somebody can still read one.
    pub(crate) fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::ClientGone | Self::Silent => return None,
            Self::Unauthenticated => (4001, "the token is no longer valid".to_owned()),
            Self::Superseded => (4009, "the session went on elsewhere".to_owned()),
            Self::SessionClosed => (1000, "the session was closed".to_owned()),
            Self::TerminalEnded => (1000, "the terminal was closed".to_owned()),
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

/// Of what could not be read.
impl From<axum::Error> for CloseReason {
    fn from(error: axum::Error) -> Self {
        match error.into_inner().downcast_ref::<SocketError>() {
            Some(SocketError::Capacity(_)) => Self::MessageTooLarge,
            Some(SocketError::Utf8(_)) => Self::InvalidUtf8,
            // A connection that breaks is nobody's mistake.
            Some(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Self::ClientGone,
            Some(SocketError::Protocol(_)) => Self::ProtocolError,
            _ => Self::ClientGone,
        }
    }
}

impl From<End> for CloseReason {
    fn from(end: End) -> Self {
        match end {
            End::Invalid => Self::Unauthenticated,
            End::Unconfirmed => Self::Unconfirmed,
        }
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
