//! The bounded queue of a slot. Whoever serves the plugin takes from it: one instance, or several that share it; a message
//! goes to exactly one. Who may take is decided by the supervisor, which lets a generation take only after the former one
//! has stopped.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::slot::Message;

/// When full, calls are refused and events wait where they come from. When shut, calls are refused and events stay.
pub struct Mailbox {
    queue: Mutex<Queue>,
    room: Arc<Semaphore>,
    arrived: Notify,
}

struct Queue {
    /// Each with the room that it takes.
    messages: VecDeque<(Message, OwnedSemaphorePermit)>,
    capacity: usize,
    /// Places that go when they become free, because the mailbox was made smaller.
    surplus: usize,
    shut: bool,
}

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    Full { capacity: usize },
    Shut,
}

/// A place in the mailbox.
pub struct Room(OwnedSemaphorePermit);

impl Mailbox {
    pub fn new(capacity: usize) -> Arc<Self> {
        let queue = Queue { messages: VecDeque::new(), capacity, surplus: 0, shut: false };
        let room = Arc::new(Semaphore::new(capacity));
        Arc::new(Self { queue: Mutex::new(queue), room, arrived: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a call in, unless the mailbox is full or shut; the call is dropped then.
    pub fn try_send(&self, message: Message) -> Result<(), Refused> {
        let mut queue = self.lock();
        if queue.shut {
            return Err(Refused::Shut);
        }
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            return Err(Refused::Full { capacity: queue.capacity });
        };
        queue.messages.push_back((message, room));
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for a place. Dropping it loses the turn and nothing else.
    pub async fn room(&self) -> Room {
        match self.room.clone().acquire_owned().await {
            Ok(permit) => Room(permit),
            // Nobody closes the semaphore.
            Err(_) => std::future::pending().await,
        }
    }

    /// Puts an event into its place, also when the mailbox is shut: events are for whoever serves next.
    pub fn send(&self, Room(room): Room, message: Message) {
        self.lock().messages.push_back((message, room));
        self.arrived.notify_one();
    }

    /// The oldest message. Dropping the future loses nothing.
    pub async fn take(&self) -> Message {
        loop {
            if let Some(message) = self.try_take() {
                return message;
            }
            self.arrived.notified().await;
        }
    }

    fn try_take(&self) -> Option<Message> {
        let mut queue = self.lock();
        let (message, room) = queue.messages.pop_front()?;
        queue.free(room);
        if !queue.messages.is_empty() {
            // One permit may stand for several messages: whoever else waits is told.
            self.arrived.notify_one();
        }
        Some(message)
    }

    /// Refuses calls from now on, and gives those that wait, in order. Events stay for whoever serves next.
    pub fn shut(&self) -> Vec<Message> {
        let mut queue = self.lock();
        queue.shut = true;
        let (events, calls): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut queue.messages)
            .into_iter()
            .partition(|(message, _)| matches!(message, Message::Event(_)));
        queue.messages = events;
        let mut refused = Vec::with_capacity(calls.len());
        for (message, room) in calls {
            queue.free(room);
            refused.push(message);
        }
        refused
    }

    pub fn open(&self) {
        self.lock().shut = false;
    }

    /// What waits now.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Another bound. What waits already stays.
    pub fn resize(&self, capacity: usize) {
        let mut queue = self.lock();
        let before = std::mem::replace(&mut queue.capacity, capacity);
        if let Some(more) = capacity.checked_sub(before) {
            let kept = queue.surplus.min(more);
            queue.surplus -= kept;
            self.room.add_permits(more - kept);
        } else {
            let fewer = before - capacity;
            queue.surplus += fewer - self.room.forget_permits(fewer);
        }
    }
}

impl Queue {
    fn free(&mut self, room: OwnedSemaphorePermit) {
        if self.surplus > 0 {
            self.surplus -= 1;
            room.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use midplane_model::{CallContext, Principal};
    use tokio::sync::oneshot;

    use super::*;
    use crate::bindings::{Event, Origin};

    fn call(method: &str) -> Message {
        let context = CallContext::new("r", Arc::new(Principal::owner()), Duration::from_secs(1));
        Message::Call { method: method.into(), params: serde_json::Value::Null, context, reply: oneshot::channel().0 }
    }

    fn event() -> Message {
        Message::Event(Event {
            stream: String::new(),
            epoch: String::new(),
            seq: 0,
            topic: "t".into(),
            time: String::new(),
            payload: "null".into(),
            origin: Origin { principal: None, plugin: None, request_id: None },
            request: None,
        })
    }

    fn method(message: &Message) -> &str {
        match message {
            Message::Call { method, .. } => method,
            _ => "",
        }
    }

    #[tokio::test]
    async fn what_waits_is_taken_in_order_and_each_by_one_of_those_who_share_it() {
        let mailbox = Mailbox::new(8);
        let taker = |mailbox: Arc<Mailbox>| tokio::spawn(async move { method(&mailbox.take().await).to_owned() });
        let waiting: Vec<_> = (0..3).map(|_| taker(mailbox.clone())).collect();
        tokio::task::yield_now().await;
        for name in ["a", "b", "c"] {
            mailbox.try_send(call(name)).unwrap();
        }
        let mut taken = Vec::new();
        for task in waiting {
            taken.push(task.await.unwrap());
        }
        taken.sort();
        assert_eq!(taken, ["a", "b", "c"]);
        for name in ["d", "e"] {
            mailbox.try_send(call(name)).unwrap();
        }
        assert_eq!(method(&mailbox.take().await), "d");
        assert_eq!(method(&mailbox.take().await), "e");
    }

    #[tokio::test]
    async fn a_full_mailbox_refuses_calls_and_lets_events_wait() {
        let mailbox = Mailbox::new(1);
        mailbox.try_send(call("a")).unwrap();
        assert_eq!(mailbox.try_send(call("b")), Err(Refused::Full { capacity: 1 }));
        let waiting = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { mailbox.send(mailbox.room().await, event()) }
        });
        tokio::task::yield_now().await;
        assert_eq!(mailbox.len(), 1);
        mailbox.take().await;
        waiting.await.unwrap();
        assert_eq!(mailbox.len(), 1);
    }

    #[tokio::test]
    async fn a_shut_mailbox_gives_its_calls_back_and_keeps_its_events() {
        let mailbox = Mailbox::new(4);
        mailbox.try_send(call("a")).unwrap();
        mailbox.send(mailbox.room().await, event());
        mailbox.try_send(call("b")).unwrap();
        let refused: Vec<String> = mailbox.shut().iter().map(|message| method(message).to_owned()).collect();
        assert_eq!(refused, ["a", "b"]);
        assert_eq!(mailbox.try_send(call("c")), Err(Refused::Shut));
        mailbox.open();
        assert!(matches!(mailbox.take().await, Message::Event(_)));
        for _ in 0..4 {
            mailbox.try_send(call("d")).unwrap();
        }
    }

    #[tokio::test]
    async fn another_bound_counts_from_the_next_message_on() {
        let mailbox = Mailbox::new(2);
        mailbox.try_send(call("a")).unwrap();
        mailbox.try_send(call("b")).unwrap();
        mailbox.resize(1);
        mailbox.take().await;
        assert_eq!(mailbox.try_send(call("c")), Err(Refused::Full { capacity: 1 }));
        mailbox.take().await;
        mailbox.try_send(call("d")).unwrap();
        mailbox.resize(3);
        mailbox.try_send(call("e")).unwrap();
        mailbox.try_send(call("f")).unwrap();
        assert_eq!(mailbox.try_send(call("g")), Err(Refused::Full { capacity: 3 }));
    }
}
