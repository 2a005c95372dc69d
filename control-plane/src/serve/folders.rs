//! Waits until something happens in some folders: a file written, renamed into them or removed.
//!
//! What happened is not told; whoever waits looks at the files. Events are lost on volumes that others write to over a network, and only Linux has
//! them, so whoever waits also looks now and then without being told.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Folders and their events.
#[derive(Debug, Default)]
pub(super) struct Folders {
    #[cfg(target_os = "linux")]
    events: Option<linux::Events>,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    /// Watches these folders from now on as well. Those that cannot be watched are left out, and tried again when named again.
    pub(super) fn watch(&mut self, folders: BTreeSet<PathBuf>) {
        #[cfg(target_os = "linux")]
        {
            let events = self.events.take().or_else(linux::Events::new);
            let seen = |folder: &PathBuf| events.as_ref().is_some_and(|events| events.add(folder));
            // Also those known: a folder that was removed and made anew is another one, and watching one twice is watching it once.
            self.watched = folders.into_iter().filter(seen).collect();
            self.events = events;
        }
        #[cfg(not(target_os = "linux"))]
        drop(folders);
    }

    /// Whether every one of these is watched.
    pub(super) fn cover(&self, folders: &BTreeSet<PathBuf>) -> bool {
        folders.is_subset(&self.watched)
    }

    /// Returns once something has happened since the last call; never, where nothing is watched.
    pub(super) async fn changed(&self) {
        #[cfg(target_os = "linux")]
        if let Some(events) = &self.events {
            return events.next().await;
        }
        std::future::pending().await
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::sync::{Arc, Weak};
    use std::thread;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use rustix::io::{Errno, read};
    use tokio::sync::Notify;

    /// How often the thread looks whether anybody still listens.
    const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

    /// An inotify queue, and a thread that waits at it: it ends when this is dropped.
    #[derive(Debug)]
    pub(super) struct Events(Arc<Queue>);

    #[derive(Debug)]
    struct Queue {
        queue: OwnedFd,
        heard: Notify,
    }

    impl Events {
        /// `None` where the system has no more of them.
        pub(super) fn new() -> Option<Self> {
            let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
            let queue = Arc::new(Queue { queue, heard: Notify::new() });
            let listening = Arc::downgrade(&queue);
            thread::Builder::new().name("folders".into()).spawn(move || listen(&listening)).ok()?;
            Some(Self(queue))
        }

        pub(super) fn add(&self, folder: &Path) -> bool {
            let of = WatchFlags::CLOSE_WRITE
                | WatchFlags::MOVE
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::ATTRIB
                | WatchFlags::ONLYDIR;
            inotify::add_watch(&self.0.queue, folder, of).is_ok()
        }

        /// Returns once something has happened since the last call.
        pub(super) async fn next(&self) {
            self.0.heard.notified().await;
        }
    }

    fn listen(listening: &Weak<Queue>) {
        while let Some(queue) = listening.upgrade() {
            match poll(&mut [PollFd::new(&queue.queue, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) if drain(&queue.queue) => queue.heard.notify_one(),
                // Broken: files are still looked at now and then.
                _ => return,
            }
        }
    }

    /// Takes all events that wait; false when the queue is broken.
    fn drain(queue: &OwnedFd) -> bool {
        let mut bytes = [0_u8; 4_096];
        loop {
            match read(queue, &mut bytes) {
                Ok(0) => return false,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn told(folders: &Folders) -> bool {
        tokio::time::timeout(PATIENCE, folders.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn writing_renaming_and_removing_are_told_once_and_then_all_is_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let (file, aside) = (dir.path().join("a.yaml"), dir.path().join("a.new"));
        let mut folders = Folders::default();
        let both = BTreeSet::from([dir.path().to_owned(), dir.path().join("absent")]);
        folders.watch(both.clone());
        assert!(!folders.cover(&both) && folders.cover(&BTreeSet::from([dir.path().to_owned()])));
        std::fs::write(&aside, "a").unwrap();
        assert!(told(&folders).await);
        std::fs::rename(&aside, &file).unwrap();
        assert!(told(&folders).await);
        std::fs::remove_file(&file).unwrap();
        assert!(told(&folders).await);
        let quiet = tokio::time::timeout(Duration::from_millis(50), folders.changed()).await;
        assert!(quiet.is_err(), "nothing has happened");
    }

    #[tokio::test]
    async fn a_volume_of_kubernetes_is_told_when_its_link_moves() {
        let dir = tempfile::tempdir().unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        for version in ["one", "two"] {
            std::fs::create_dir(dir.path().join(version)).unwrap();
            std::fs::write(dir.path().join(version).join("a.yaml"), version).unwrap();
        }
        link("one", "..data");
        link("..data/a.yaml", "a.yaml");
        let mut folders = Folders::default();
        folders.watch(BTreeSet::from([dir.path().to_owned()]));
        link("two", "..data_tmp");
        std::fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        assert!(told(&folders).await);
        assert_eq!(std::fs::read_to_string(dir.path().join("a.yaml")).unwrap(), "two");
    }
}
