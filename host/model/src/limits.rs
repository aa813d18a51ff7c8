//! Every default bound of the host, with its unit in the name. What happens at each bound is said where it is used.

mod files;

use std::time::Duration;

pub use files::*;

/// Largest JSON-RPC message in either direction.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of arrays and objects in a message.
pub const JSON_DEPTH_MAX: usize = 64;
/// Longest JSON-RPC string id that is echoed.
pub const ID_BYTES_MAX: usize = 256;
/// Deepest nesting of a type in WIT; no JSON could be given for a deeper one.
pub const TYPE_DEPTH_MAX: usize = JSON_DEPTH_MAX;
/// Parts of one type in WIT, each counted as often as it is used; a larger one does not cross the public boundary.
pub const TYPE_PARTS_MAX: usize = 10_000;
/// Most items of a JSON-RPC batch.
pub const BATCH_ITEMS_MAX: usize = 100;
/// Items of one batch that run at the same time.
pub const BATCH_CONCURRENCY_MAX: usize = 16;
/// Calls in flight per connection; one more is `unavailable`.
pub const CALLS_IN_FLIGHT_MAX: usize = 64;
/// Calls of one principal in flight, over all its connections and HTTP; one more is `unavailable`.
pub const CALLS_IN_FLIGHT_PER_PRINCIPAL_MAX: usize = 8192;
/// Calls of one principal that begin in a second, on average; one more is `rate_limited`.
pub const CALLS_PER_SECOND_MAX: u32 = 100_000;
/// Calls of a principal that was quiet that begin at once.
pub const CALLS_BURST_MAX: u32 = 200_000;
/// Calls of one socket that are refused for their rate, one after the other; then it is closed.
pub const RATE_REFUSALS_MAX: u32 = 1000;
/// Bytes of one report of progress; more is `too_large`.
pub const PROGRESS_BYTES_MAX: usize = 256 * 1024;
/// Shortest time between two states of progress of one call; those between are replaced by newer ones.
pub const PROGRESS_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Deadline of a call that names none.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);
/// Longest deadline a caller may ask for.
pub const DEADLINE_MAX: Duration = Duration::from_secs(600);

/// Longest name of a tool, as the Model Context Protocol has it (2025-11-25).
pub const TOOL_NAME_CHARS_MAX: usize = 128;
/// Sessions of agents of one principal; one more ends the one that was quiet for longest.
pub const AGENT_SESSIONS_PER_PRINCIPAL_MAX: usize = 64;
/// Time without a message after which a session of an agent ends.
pub const AGENT_SESSION_IDLE_MAX: Duration = Duration::from_secs(3600);

/// Longest topic.
pub const TOPIC_BYTES_MAX: usize = 256;
/// Segments of a topic.
pub const TOPIC_SEGMENTS_MAX: usize = 16;
/// Patterns of one subscription.
pub const PATTERNS_MAX: usize = 32;
/// Subscriptions of one connection.
pub const SUBSCRIPTIONS_MAX: usize = 512;
/// Largest payload of an event.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Events kept by a `log` stream.
pub const LOG_EVENTS_MAX: usize = 100_000;
/// Payload bytes kept by a `log` stream.
pub const LOG_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Age at which a `log` stream forgets an event.
pub const LOG_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Events after which a quiet subscriber is told its position.
pub const CURSOR_EVENTS: u64 = 1024;
/// Time after which a quiet subscriber is told its position.
pub const CURSOR_INTERVAL: Duration = Duration::from_secs(5);
/// Matched events that may wait for one subscription in one stream before it reads on from the log instead.
pub const PENDING_EVENTS_MAX: usize = 1024;
/// Events of an `ephemeral` stream that wait for one subscription.
pub const EPHEMERAL_EVENTS_MAX: usize = 256;
/// Payload bytes of an `ephemeral` stream that wait for one subscription.
pub const EPHEMERAL_BYTES_MAX: usize = 1024 * 1024;
/// Events read from a log in one step.
pub const PAGE_EVENTS_MAX: usize = 256;
/// Payload bytes read from a log in one step; one larger event still fits.
pub const PAGE_BYTES_MAX: usize = 512 * 1024;
/// Topics per stream for which the last lost event is known exactly; older ones share one conservative answer.
pub const EVICTED_TOPICS_MAX: usize = 16 * 1024;
/// Time for which a publisher's key names the event that it published first.
pub const PUBLISH_KEY_AGE_MAX: Duration = Duration::from_secs(600);
/// Keys remembered per stream; one more forgets the oldest.
pub const PUBLISH_KEYS_MAX: usize = 16 * 1024;
/// Events that share one durable commit.
pub const COMMIT_EVENTS_MAX: usize = 512;
/// Payload bytes that share one durable commit; one larger event still fits.
pub const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Events that wait for the disk; one more is `unavailable`.
pub const LINE_EVENTS_MAX: usize = 64 * 1024;
/// Payload bytes that wait for the disk; beyond, an event is `unavailable`.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Length at which a file of events is full and the next one begins.
pub const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Numbers that may be given out before the disk hears of it; after a crash that many may be skipped.
pub const FENCE_SEQS: u64 = 64 * 1024;
/// Requests that wait for an answer; one more is `unavailable`.
pub const REQUESTS_MAX: usize = 4096;
/// Events of one page of history.
pub const HISTORY_EVENTS_MAX: usize = 1000;

/// WebSocket ping period.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Silence after which a peer counts as gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Channels of one connection.
pub const CHANNELS_MAX: usize = 256;
/// Payload of one binary frame.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Raw output kept per terminal.
pub const TERMINAL_RING_BYTES: usize = 4 * 1024 * 1024;
/// Scrollback lines of the screen model.
pub const SCROLLBACK_LINES_MAX: usize = 10_000;
/// Output bytes an attachment may leave unacknowledged before it lags.
pub const UNACKED_BYTES_DEFAULT: usize = 256 * 1024;
/// Terminals open at the same time.
pub const TERMINALS_MAX: usize = 256;
/// Input bytes queued for one terminal.
pub const TERMINAL_INPUT_BYTES_MAX: usize = 256 * 1024;
/// One message to the plain socket of a terminal: browsers send a paste as one. Beyond, the socket is closed with 1009.
pub const TERMINAL_PASTE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Memory of all terminals: output, scrollback, screens. Beyond, the largest keep less.
pub const TERMINALS_MEMORY_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Longest time that a lossless reader may hold a program back at once; beyond, it ends.
pub const TERMINAL_HOLD_MAX: Duration = Duration::from_secs(30);
/// Clients attached to one terminal; one more is `quota_exceeded`.
pub const TERMINAL_ATTACHMENTS_MAX: usize = 64;
/// Attachments of one terminal that have ended and whose input can be continued; the oldest are forgotten.
pub const TERMINAL_LINEAGES_MAX: usize = 64;
/// Size of a terminal's recording where nothing is said, and at most: it ends there.
pub const RECORDING_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
pub const RECORDING_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Commands that are kept per terminal, where its shell marks them; the oldest are forgotten.
pub const TERMINAL_COMMANDS_MAX: usize = 256;
/// Smallest and largest terminal size in cells, both axes.
pub const TERMINAL_CELLS: std::ops::RangeInclusive<u16> = 2..=1000;

/// Quiet time after the last change of a watched tree before a batch is sent.
pub const WATCH_DEBOUNCE: Duration = Duration::from_millis(50);
/// Longest time a batch of changes is held back.
pub const WATCH_HOLD_MAX: Duration = Duration::from_millis(250);
/// Changes in one batch.
pub const WATCH_CHANGES_MAX: usize = 500;

/// Linear memory of a plugin that names no limit.
pub const PLUGIN_MEMORY_BYTES_DEFAULT: usize = 128 * 1024 * 1024;
/// Core modules of one component that are instantiated. Interpreters with their libraries have some dozens.
pub const CORE_INSTANCES_MAX: usize = 256;
/// Linear memories of one instance of a plugin: each takes 4 GiB of address space. What they hold counts together.
pub const CORE_MEMORIES_MAX: usize = 16;
/// Tables of one instance of a plugin.
pub const CORE_TABLES_MAX: usize = 64;
/// Elements of all tables of one instance of a plugin together.
pub const TABLE_ELEMENTS_MAX: usize = 200_000;
/// Calls that wait for one plugin; one more is `unavailable`.
pub const PLUGIN_QUEUE_DEFAULT: usize = 64;
/// Deadline of a plugin's calls where its manifest names none.
pub const PLUGIN_DEADLINE_DEFAULT: Duration = Duration::from_secs(30);
/// Files of one plugin that is installed.
pub const PACKAGE_FILES_MAX: usize = 1000;
/// Bytes of all files of one plugin that is installed, unpacked; they are held in memory while it is looked at.
pub const PACKAGE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Longest path below a plugin's folder.
pub const PACKAGE_PATH_BYTES_MAX: usize = 256;
/// Time a reload waits for the call inside the old generation.
pub const RELOAD_DRAIN_MAX: Duration = Duration::from_secs(5);
/// Quiet time of a plugin's files before it is reloaded.
pub const RELOAD_QUIET: Duration = Duration::from_millis(200);
/// Bytes that leave a guest in one call or import: the largest write of a file, and some more beside it. A dynamic value
/// counts 40, so a list of single bytes inside another value ends at a fortieth. Beyond, the instance ends.
pub const HOSTCALL_BYTES_MAX: usize = FILE_BYTES_MAX + 1024 * 1024;
/// Bytes of one `list<u8>` from JSON inside another value, where they cost forty times their size; more is `too_large`.
pub const DYNAMIC_BYTES_MAX: usize = 1024 * 1024;
/// Calls that one instance may leave unfinished inside; one more failure of that kind ends the instance.
pub const CALLS_GIVEN_UP_MAX: usize = 16;
/// First and longest pause before a plugin that failed starts again; it doubles in between.
pub const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Restarts within `RESTART_WINDOW`; one more failure disables the plugin.
pub const RESTARTS_MAX: usize = 5;
/// Time after which a failure is forgotten.
pub const RESTART_WINDOW: Duration = Duration::from_secs(180);
/// Time after a swap in which the old generation is kept: a new one that fails is rolled back to it.
pub const PROBATION: Duration = Duration::from_secs(10);
/// How often a plugin is asked for its health, and how often while there is reason to ask.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
pub const HEALTH_INTERVAL_SOON: Duration = Duration::from_secs(1);
/// Deadline of that question; a guest that is late has failed.
pub const HEALTH_DEADLINE: Duration = Duration::from_secs(5);
/// Least time between two checkpoints of a plugin's state.
pub const CHECKPOINT_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Checkpoints take at most one part in so many of the time.
pub const CHECKPOINT_COST_DIVISOR: u32 = 50;
/// Largest state that is kept for a restart; a larger one starts afresh.
pub const CHECKPOINT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Time that plugins may take to start before the host is ready without them.
pub const STARTUP_MAX: Duration = Duration::from_secs(2);
/// Plugin packages that are read and compiled at the same time.
pub const PACKAGES_READ_AT_ONCE_MAX: usize = 8;
/// Requests that wait for one plugin while it is being started, replaced or stopped; one more is `unavailable`.
pub const PLUGIN_REQUESTS_MAX: usize = 16;
/// Instances of one plugin.
pub const PLUGIN_INSTANCES_MAX: usize = 64;
/// Plugins a call may pass through.
pub const CALL_CHAIN_MAX: usize = 16;
/// Bytes that a plugin may store where its manifest names no number; more is `quota_exceeded`.
pub const PLUGIN_STORAGE_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
/// The largest number that a manifest may name instead.
pub const PLUGIN_STORAGE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// What a stored entry counts beside the bytes of its key and value.
pub const STORAGE_ENTRY_BYTES: u64 = 32;
/// Bytes of one stored value.
pub const STORAGE_VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one storage key.
pub const STORAGE_KEY_BYTES_MAX: usize = 1024;
/// Longest time that a reader of a plugin's log is kept waiting for a line; then it gets none, and asks again.
pub const PLUGIN_LOG_WAIT_MAX: Duration = Duration::from_secs(20);
/// Patterns that a plugin subscribes to, all subscriptions together; one more is `quota_exceeded`.
pub const PLUGIN_PATTERNS_MAX: usize = 256;
/// News of the host (terminals, processes) that wait for one plugin; one more is dropped and logged.
pub const PLUGIN_NEWS_MAX: usize = 256;
/// Log lines kept per plugin.
pub const PLUGIN_LOG_LINES_MAX: usize = 1000;
/// Message and fields of one log line of a plugin; the rest is cut.
pub const PLUGIN_LOG_LINE_BYTES_MAX: usize = 8 * 1024;
/// Fields of one log line of a plugin; the rest is left out.
pub const PLUGIN_LOG_FIELDS_MAX: usize = 16;
/// Log lines that a guest writes in a second; the rest is dropped and counted.
pub const PLUGIN_LOG_LINES_PER_SECOND_MAX: u32 = 200;
/// Events that a guest publishes in a second, on average; one more is `quota_exceeded`.
pub const PLUGIN_EVENTS_PER_SECOND_MAX: u64 = 1000;
/// Events that a guest which was quiet publishes at once.
pub const PLUGIN_EVENTS_BURST_MAX: u64 = 2000;
/// Payload bytes that a guest publishes in a second, on average.
pub const PLUGIN_EVENT_BYTES_PER_SECOND_MAX: u64 = 8 * 1024 * 1024;
/// Payload bytes that a guest which was quiet publishes at once; the largest event fits many times.
pub const PLUGIN_EVENT_BYTES_BURST_MAX: u64 = 32 * 1024 * 1024;
/// Bytes of writes that wait for the storage writer; further writers wait.
pub const STORAGE_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Writes that share one durable commit.
pub const STORAGE_GROUP_WRITES_MAX: usize = 512;
/// Keys of one page of a listing.
pub const STORAGE_KEYS_MAX: usize = 1000;
/// Keys and values of one page of entries; one larger entry still fits.
pub const STORAGE_PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Requests for the pages of one plugin that are served at the same time where its manifest names no number; one more is
/// `unavailable`.
pub const PAGES_IN_FLIGHT_DEFAULT: usize = 64;
/// The largest number that a manifest may name instead.
pub const PAGES_IN_FLIGHT_MAX: usize = 1024;
/// Time in which neither the request's nor the answer's body moves, where the manifest names none; then the answer is cut off.
pub const PAGE_IDLE_DEFAULT: Duration = Duration::from_secs(60);
/// The longest such time that a manifest may name.
pub const PAGE_IDLE_MAX: Duration = Duration::from_secs(3600);
/// Names and values of a page request's header section, and of an answer's; more is refused.
pub const PAGE_HEADER_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a guest hands over in one piece of a body; twice as many may wait for the client, then the guest waits.
pub const PAGE_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Time that running answers have to end by themselves when the host stops.
pub const PAGE_DRAIN_MAX: Duration = Duration::from_secs(3);
/// Processes of one plugin that run at the same time; one more is `quota_exceeded`.
pub const PROCESSES_PER_PLUGIN_MAX: usize = 16;
/// Processes of all plugins that run at the same time; one more is `quota_exceeded`.
pub const PROCESSES_MAX: usize = 128;
/// Ended children of one plugin that nobody has closed; the oldest are forgotten.
pub const PROCESSES_ENDED_KEPT_MAX: usize = 32;
/// Bytes of arguments and environment of one process.
pub const PROCESS_ARGUMENT_BYTES_MAX: usize = 128 * 1024;
/// Bytes of input that one run of a program is given.
pub const PROCESS_STDIN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of each output that a run of a program keeps where the caller names no limit.
pub const PROCESS_OUTPUT_BYTES_DEFAULT: usize = 1024 * 1024;
/// Bytes of each output that a run of a program keeps at most.
pub const PROCESS_OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Output kept of each stream of a long-lived process; older bytes are forgotten.
pub const PROCESS_RING_BYTES: usize = 1024 * 1024;
/// Bytes of input that wait for one long-lived process; more is refused.
pub const PROCESS_INPUT_BYTES_MAX: usize = 256 * 1024;
/// Pieces of input that wait for one long-lived process; one more is refused.
pub const PROCESS_INPUTS_QUEUED_MAX: usize = 64;
/// Smallest component that runs on quickly compiled code until its optimised code is there. Below, optimising takes less
/// than a second.
pub const TIERED_BYTES_MIN: usize = 512 * 1024;
/// Plugins that wait for their optimised code; one more stays as it is until it is loaded again.
pub const OPTIMISATIONS_QUEUED_MAX: usize = 256;
/// Compiled components on disk; the longest unused are evicted.
pub const CODE_CACHE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Compiled functions on disk that components share; the longest unused are evicted.
pub const FUNCTION_CACHE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Connections of one plugin to other servers at the same time; one more request is refused.
pub const HTTP_CONNECTIONS_MAX: usize = 32;
/// Time for finding a server, connecting and agreeing on TLS; a guest may ask for less.
pub const HTTP_CONNECT_MAX: Duration = Duration::from_secs(10);
/// Time to the head of a server's answer, where the guest names none.
pub const HTTP_FIRST_BYTE_DEFAULT: Duration = Duration::from_secs(60);
/// Time between two pieces of a server's answer, where the guest names none.
pub const HTTP_BETWEEN_BYTES_DEFAULT: Duration = Duration::from_secs(60);
/// The most that a guest may ask for either.
pub const HTTP_WAIT_MAX: Duration = Duration::from_secs(600);

/// Own changes remembered until the watcher has seen them; the oldest is forgotten. More than one set of changes leaves,
/// each of which may move something and make directories for it.
pub const OWN_WRITES_MAX: usize = 32 * 1024;
const _: () = assert!(OWN_WRITES_MAX >= 2 * APPLY_CHANGES_MAX);
/// Paths that wait for the next batch; one more makes the watcher look at everything below their common directory.
pub const WATCH_PENDING_MAX: usize = 64 * 1024;
/// Batches that wait for one subscriber; the next ones merge into a rescan.
pub const WATCH_BATCHES_MAX: usize = 128;
/// Bytes of paths in one batch; one longer change still fits.
pub const WATCH_BATCH_BYTES_MAX: usize = 256 * 1024;
/// Directories that the kernel watches for one served directory, where it allows that many; the rest is polled.
pub const WATCH_DIRECTORIES_MAX: usize = 256 * 1024;
/// Files and directories that the watcher remembers; directories beyond are not entered.
pub const WATCH_ENTRIES_MAX: usize = 1024 * 1024;
/// Time between two looks at what is polled, at least.
pub const WATCH_POLL_MIN: Duration = Duration::from_secs(1);
/// Time between two looks at what is polled, at most.
pub const WATCH_POLL_MAX: Duration = Duration::from_secs(10);
/// Time that a start waits until the tree is known.
pub const WATCH_START_MAX: Duration = Duration::from_secs(5);
/// Bytes hashed for the versions of one batch; changes beyond carry none.
pub const WATCH_HASH_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Time for which the answer to a call under an idempotency key is kept.
pub const IDEMPOTENCY_AGE_MAX: Duration = Duration::from_secs(600);
/// Bytes of such answers, half a KiB counted for each key beside them; with more, a new key is `quota_exceeded`.
pub const IDEMPOTENCY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The same of one principal.
pub const IDEMPOTENCY_BYTES_PER_PRINCIPAL_MAX: usize = 64 * 1024 * 1024;
/// Time for which a session waits for its client to come back.
pub const SESSION_GRACE: Duration = Duration::from_secs(3 * 3600);
/// Time between two looks for sessions that have waited too long.
pub const SESSION_SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// Sessions; one more ends the one that has waited longest for its client, or is `quota_exceeded` where none waits.
pub const SESSIONS_MAX: usize = 4096;
/// The same of one principal.
pub const SESSIONS_PER_PRINCIPAL_MAX: usize = 512;
/// Earlier secrets of a session that are good until its client shows that it has the newest; one more ends the oldest.
pub const SESSION_TOKENS_EARLIER_MAX: usize = 8;
/// Longest name and version of a client, in bytes.
pub const CLIENT_INFO_BYTES_MAX: usize = 256;
/// Bytes of a file of ignore rules that are read.
pub const IGNORE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Searches that run at the same time; further ones wait for their turn.
pub const SEARCHES_MAX: usize = 8;
/// Threads of one search.
pub const SEARCH_THREADS_MAX: usize = 4;
/// Longest text or regular expression to search for.
pub const SEARCH_QUERY_BYTES_MAX: usize = 4096;
/// Memory of a compiled regular expression, and of the states that it makes while it runs.
pub const SEARCH_REGEX_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Globs to include, and to exclude, of one search.
pub const SEARCH_GLOBS_MAX: usize = 64;
/// Directories that a search enters below each other; deeper ones count as unreadable.
pub const SEARCH_DEPTH_MAX: usize = 128;
/// Lines shown before, and after, a line that was found.
pub const SEARCH_CONTEXT_LINES_MAX: usize = 20;
/// Lines that one search tells.
pub const SEARCH_RESULTS_MAX: usize = 20_000;
/// Text that one search tells, with what it costs to say where it is.
pub const SEARCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest part of a line that is shown.
pub const SEARCH_LINE_BYTES_MAX: usize = 1024;
/// Places in one line that are told.
pub const SEARCH_SPANS_MAX: usize = 64;
/// Memory for one line; a file with a longer one counts as unreadable.
pub const SEARCH_LINE_BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Files that a thread of a search takes at once.
pub const SEARCH_SHARE_FILES: usize = 16;
/// Files that a search may be done with before the one that is told next.
pub const SEARCH_AHEAD_FILES_MAX: u64 = 4096;
/// Text that may wait for the file that is told next.
pub const SEARCH_AHEAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Text after which a batch is told at once; one more line still fits.
pub const SEARCH_BATCH_BYTES: usize = 32 * 1024;
/// Time that a call keeps for its answer when it waits for a search.
pub const SEARCH_ANSWER_TIME: Duration = Duration::from_millis(250);
/// Batches that wait for their reader; then the search waits.
pub const SEARCH_BATCHES_QUEUED_MAX: usize = 2;

/// Longest text by which files are found.
pub const FIND_QUERY_BYTES_MAX: usize = 256;
/// Files that one question for names finds.
pub const FIND_RESULTS_MAX: usize = 1000;

/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 64;
/// WebSocket connections open at the same time; one more is `unavailable`.
pub const CONNECTIONS_MAX: usize = 1024;
/// Connections of a listener that speak HTTP at the same time; more wait in the kernel until one ends or becomes a WebSocket.
pub const HTTP_CLIENTS_MAX: usize = 1024;
/// Time a client may take for the head of a request, from the connection or from the answer before; then its connection is ended.
pub const HEAD_MAX: Duration = Duration::from_secs(60);
/// Bytes a WebSocket reads ahead.
pub const SOCKET_READ_BUFFER_BYTES: usize = 8 * 1024;
/// Bytes a WebSocket gathers before it writes, when there is more to write.
pub const SOCKET_WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// The same of one principal, so that one cannot keep all others out; one more is `quota_exceeded`.
pub const CONNECTIONS_PER_PRINCIPAL_MAX: usize = CONNECTIONS_MAX / 4 * 3;
/// Answers that wait for one socket; whoever has one more waits, and the reader stops reading.
pub const REPLIES_QUEUED_MAX: usize = 256;
/// Bytes of them; one larger answer still fits, alone.
pub const REPLIES_BYTES_QUEUED_MAX: usize = 4 * 1024 * 1024;
/// Events that wait for one socket; its subscriptions wait, and keep positions.
pub const EVENTS_QUEUED_MAX: usize = 64;
/// Bytes of them; one larger event still fits, alone.
pub const EVENTS_BYTES_QUEUED_MAX: usize = 1024 * 1024;
/// Binary frames that wait for one socket; its channels wait.
pub const BULK_FRAMES_QUEUED_MAX: usize = 8;
/// Bytes of them.
pub const BULK_BYTES_QUEUED_MAX: usize = 512 * 1024;
/// Bytes of events that are gathered into one piece of an event stream, where more is ready.
pub const EVENT_CHUNK_BYTES: usize = 16 * 1024;
/// Answers after which a waiting event has its turn.
pub const EVENT_TURN_MESSAGES: u32 = 16;
/// Messages of faster lanes after which a waiting binary frame has its turn.
pub const BULK_TURN_MESSAGES: u32 = 32;
/// Time a socket may take for one message before its client counts as too slow.
pub const WRITE_STALL_MAX: Duration = Duration::from_secs(15);
/// Time in which a client takes nothing of an answer, or of what comes over its socket; then its connection is ended.
pub const TAKING_STALL_MAX: Duration = Duration::from_secs(120);
/// Time a client may take for its TLS handshake.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// TLS handshakes at the same time; further clients wait.
pub const HANDSHAKES_MAX: usize = 256;
/// Time a closing socket waits for the other side.
pub const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);
/// Time from the signal to the end of the host, whatever clients and plugins do.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(10);
/// How much of it clients may take; the rest is for plugins and for what is written.
pub const CLIENTS_SHUTDOWN_MAX: Duration = Duration::from_secs(6);
/// Age at which an unused WebSocket ticket is worthless.
pub const TICKET_AGE_MAX: Duration = Duration::from_secs(30);
/// Age at which a browser's cookie is worthless.
pub const COOKIE_AGE_MAX: Duration = Duration::from_secs(12 * 3600);
/// Issued tokens that are valid at the same time; one more is `quota_exceeded`.
pub const TOKENS_MAX: usize = 1000;
/// Longest name of a token, in bytes.
pub const TOKEN_NAME_BYTES_MAX: usize = 64;
/// Scopes of one token.
pub const TOKEN_SCOPES_MAX: usize = 64;
/// Longest life of a token that has an end.
pub const TOKEN_AGE_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Audit entries that wait for the disk; one more is lost, and the next one written says how many were.
pub const AUDIT_ENTRIES_QUEUED_MAX: usize = 4096;
/// Refused requests a second that the audit log names; the rest of a second is one entry with their number.
pub const AUDIT_REFUSALS_PER_SECOND_MAX: u32 = 20;
/// Size at which the audit log begins a new file; the former one is kept.
pub const AUDIT_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Time that a request over HTTP still has for its answer when its token has ended; then it is given up.
pub const REVOKED_ANSWER_MAX: Duration = Duration::from_millis(500);
/// Tickets and cookies that are valid at the same time, each; a new one ends the oldest.
pub const SECRETS_MAX: usize = 1024;
/// Of them those of one token; a new one ends the oldest of these.
pub const SECRETS_PER_TOKEN_MAX: usize = 128;
/// Longest credential that an authenticator is asked about, in bytes.
pub const CREDENTIAL_BYTES_MAX: usize = 8 * 1024;
/// Time for one answer of an authenticator.
pub const AUTHENTICATE_MAX: Duration = Duration::from_secs(2);
/// How long what an authenticator said counts before it is asked again. A revocation takes effect within this and one answer.
pub const VOUCHED_FOR: Duration = Duration::from_millis(500);
/// Time for which an open connection lasts when its authenticator gives no answer.
pub const UNCONFIRMED_MAX: Duration = Duration::from_secs(5);
/// Credentials an authenticator vouches for at the same time; when full, those that nobody uses are forgotten, and where that is not
/// enough one more is `unavailable`.
pub const VOUCHED_MAX: usize = 4096;
/// Age at which what was said of a credential that nobody uses is forgotten, and the credential with it.
pub const VOUCHED_UNUSED_MAX: Duration = Duration::from_secs(60);
/// Questions at a time about credentials that were not known before: strangers leave room for those who are known.
pub const STRANGERS_MAX: usize = 32;
/// Longest subject that an authenticator may name, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 64;
