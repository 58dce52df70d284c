//! Waiting for a condition of another process: looked at again and again, until a deadline.
//!
//! Another process cannot be waited for in another way. No test waits for a time and then hopes.

use std::future::Future;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(15);

/// The first `Some` that `look` answers.
///
/// # Panics
/// When there is none within `limit`.
pub async fn eventually<T, F>(limit: Duration, what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < limit, "expected within {limit:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
