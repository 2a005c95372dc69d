//! A way to NATS that can be cut, as a network does it: nobody is told.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes bytes on, unless it is cut.
pub struct Wire {
    pub port: u16,
    whole: Arc<watch::Sender<bool>>,
    task: JoinHandle<()>,
}

impl Wire {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (own, whole) = (listener.local_addr().unwrap().port(), Arc::new(watch::Sender::new(true)));
        let state = Arc::clone(&whole);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, port, state.subscribe()));
            }
        });
        Self { port: own, whole, task }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on nothing gets through; connections stay open and silent.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// New connections get through; those that were cut are reset.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut near: TcpStream, port: u16, mut whole: watch::Receiver<bool>) {
    if *whole.borrow_and_update()
        && let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await
    {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
            _ = whole.changed() => {}
        }
    }
    // Silent until mended.
    let _ = whole.wait_for(|whole| *whole).await;
}
