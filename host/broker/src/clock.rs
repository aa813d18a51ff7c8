//! The broker's one monotonic clock. It is tokio's, so that tests can pause it; outside of a runtime it is the system's.

use std::time::Instant;

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
