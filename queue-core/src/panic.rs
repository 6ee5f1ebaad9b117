//! Panics of user code, caught and turned into texts with their places.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind, set_hook, take_hook};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

thread_local! {
    /// The place of the last panic on this thread, from the hook to the catch.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Makes the panics of this process keep their places, because a caught panic no longer has its
/// own. The hook that was there before is called after each panic as before.
pub(crate) fn keep_places() {
    static HOOK: Once = Once::new();
    // The hook may not be changed by a thread that panics, e.g. if a value starts a worker when it
    // is dropped.
    if std::thread::panicking() {
        return;
    }
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            keep_place(panic);
            previous(panic);
        }));
    });
}

fn keep_place(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    // Fails on a thread that ends, where nothing is caught any more.
    let _ = PLACE.try_with(|kept| kept.set(place));
}

/// A panic that was caught. Its text is `panicked at src/jobs.rs:7:5: no such order`, or
/// `panicked: no such order` if the place is not known.
pub(crate) struct CaughtPanic {
    payload: Box<dyn Any + Send>,
    place: Option<String>,
}

impl CaughtPanic {
    /// Continues the panic on this thread. The hook is not called again.
    pub(crate) fn resume(self) -> ! {
        PLACE.set(self.place);
        resume_unwind(self.payload)
    }
}

impl fmt::Display for CaughtPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| self.payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("with a value that is not a string");
        match &self.place {
            Some(place) => write!(f, "panicked at {place}: {text}"),
            None => write!(f, "panicked: {text}"),
        }
    }
}

/// Runs a future. Fails if the future panics.
pub(crate) async fn catch_panic<F: Future>(future: F) -> Result<F::Output, CaughtPanic> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_panic_in(|| future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Calls a function. Fails if the function panics.
pub(crate) fn catch_panic_in<T>(function: impl FnOnce() -> T) -> Result<T, CaughtPanic> {
    // An earlier panic that user code caught has another place.
    PLACE.take();
    catch_unwind(AssertUnwindSafe(function)).map_err(|payload| CaughtPanic { payload, place: PLACE.take() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(function: impl FnOnce()) -> String {
        catch_panic_in(function).unwrap_err().to_string()
    }

    #[test]
    fn panic_has_its_message_and_its_place() {
        keep_places();
        keep_places();
        let (text, line) = (text_of(|| panic!("no such order: {}", 7)), line!());
        assert_eq!(text, format!("panicked at {}:{line}:40: no such order: 7", file!()));
    }

    #[test]
    fn resumed_panic_keeps_its_place() {
        keep_places();
        let (first, line) = (catch_panic_in(|| panic!("boom")).unwrap_err(), line!());
        let text = std::thread::spawn(move || text_of(|| first.resume())).join().unwrap();
        assert!(text.starts_with(&format!("panicked at {}:{line}:", file!())), "{text}");
    }

    #[test]
    fn panic_without_the_hook_has_no_place_of_another() {
        keep_places();
        drop(catch_unwind(|| panic!("caught by the handler")));
        assert_eq!(text_of(|| resume_unwind(Box::new("boom"))), "panicked: boom");
        let other = text_of(|| std::panic::panic_any(7_u8));
        assert!(other.ends_with(": with a value that is not a string"), "{other}");
    }
}
