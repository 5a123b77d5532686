//! The conversation that is kept for the next mail, and hung up when none comes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::session::Session;

/// How long an idle conversation is kept. Servers wait five minutes (RFC 5321, section 4.5.3.2.7), but a firewall between may
/// forget an idle connection sooner, and then a mail waits for its deadline; and some count the connections of an account.
const IDLE: Duration = Duration::from_secs(60);

/// At most one conversation. Whoever uses it takes it out, so that one given up halfway is never found here.
#[derive(Default)]
pub struct Kept(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    session: Option<Session>,
    /// Whether someone waits to hang up.
    watched: bool,
}

impl Kept {
    /// The conversation, if there is one that is young enough to be trusted.
    pub fn take(&self) -> Option<Session> {
        slot(&self.0).session.take().filter(|session| session.idle() < IDLE)
    }

    /// Keeps a conversation, in place of the one that is here.
    pub fn put(&self, session: Session) {
        let mut slot = slot(&self.0);
        slot.session = Some(session);
        if !std::mem::replace(&mut slot.watched, true) {
            tokio::spawn(hang_up_in_time(Arc::clone(&self.0)));
        }
    }
}

fn slot(kept: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    // A slot is whole at every moment, also where its last holder panicked.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the conversation has been idle for long enough, and says goodbye.
async fn hang_up_in_time(kept: Arc<Mutex<Slot>>) {
    loop {
        let wait = slot(&kept).session.as_ref().map_or(IDLE, |session| IDLE.saturating_sub(session.idle()));
        tokio::time::sleep(wait).await;
        let session = {
            let mut slot = slot(&kept);
            let old = slot.session.as_ref().is_none_or(|session| session.idle() >= IDLE);
            if !old {
                continue;
            }
            slot.watched = false;
            slot.session.take()
        };
        if let Some(session) = session {
            let _ = tokio::time::timeout(IDLE, session.quit()).await;
        }
        return;
    }
}
