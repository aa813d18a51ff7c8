//! The in-process event broker: topics, streams, subscriptions, history and replay.
//!
//! It knows nothing of calls, sockets, envelopes or permissions, and of plugins their names. Events come in through [`Broker::publish`] from
//! whoever was allowed to publish; they leave through [`Subscription::next`], drawn by whoever was allowed to subscribe.
//! The contract it keeps is section 8 of the public contract; its heart is the *truth rule*: `recovered` is true if and
//! only if every matching, unexpired event after `since` will be delivered, once, in order, before anything newer.
//!
//! # Map
//! - `broker`: the door. Topics to streams, subscriptions, stats.
//! - `publish`: what a publisher says and is told; `repeats`: the keys that make a repeated publish the same event.
//! - `budget`: how much plugins publish, by the name in the origin.
//! - `requests`: events that want an answer, and the way of the answer.
//! - `definition`, `prefixes`: which streams there are, and which topics belong to which.
//! - `stream`: one stream: stamps, keeps, matches, under one short lock. Total order comes from here.
//! - `store` over `log` and `latest`, with `evictions`: what a stream keeps in memory, and what it knows to have lost.
//! - `home`: the seam to where a `log` stream outlives the process; `journal`: such a home in files; `commit`, `durable`: the
//!   way there, in groups, and back at the start.
//! - `trie`, `subscribers`, `backlog`: who matches, and what waits for them.
//! - `recovery`: the decision behind the truth rule, as a pure function.
//! - `feed`, `subscription`, over `reading`: the reader's side: one feed per stream, drawn in turn.
//! - `history`: pages of the past without a subscription.
//!
//! # How a slow subscriber costs nothing
//! A subscription holds positions. A publisher that matches it appends the event's `seq` (8 bytes) to its backlog, at most
//! `PENDING_EVENTS_MAX` of them; the reader looks the events up in the log. So a subscriber with a rare pattern never scans
//! the events of others. When the backlog is full it is thrown away and the subscription is marked *scanning*: publishers
//! then do nothing at all for it, and the reader walks the log from its position, a page at a time, filtering outside the
//! lock, until it has caught up. What a recovery replays is read in the same way, which is why live events cannot overtake
//! it. Memory is bounded by the backlog and one page; if the log has moved past the position meanwhile, the subscriber is
//! told by a gap. The rejected alternatives: a queue of events per subscriber (memory, or loss), and scanning always (a
//! quiet subscriber would pay for a busy stream).

mod backlog;
mod broker;
mod budget;
mod clock;
mod commit;
mod definition;
mod durable;
mod epoch;
mod error;
mod evictions;
mod feed;
mod history;
mod home;
#[cfg(test)]
mod interleavings;
mod journal;
mod latest;
mod limits;
mod log;
mod prefixes;
mod publish;
mod reading;
mod recovery;
mod repeats;
mod requests;
mod store;
mod stream;
mod subscribers;
mod subscription;
mod sync;
mod trie;

pub use broker::{Broker, BrokerStats};
pub use budget::EventBudget;
pub use definition::{Retention, StreamClass, StreamDefinition};
pub use error::BrokerError;
pub use history::{HistoryRange, StreamHistory};
pub use home::{Home, HomeError, Opened};
pub use journal::Journal;
pub use limits::BrokerLimits;
pub use publish::{Conditions, Publish, Published};
pub use recovery::{OnGap, Reason, Since, StreamReport, SubscribeReport};
pub use requests::Request;
pub use stream::StreamStats;
pub use subscription::{Delivery, GapReason, OnOverflow, SubscribeOptions, Subscription};
