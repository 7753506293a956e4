use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use trainer::LogWriter;

/// Changes what is logged.
pub(super) struct Log(Box<dyn Fn(EnvFilter)>);

impl Log {
    /// Logs errors only, as ranks other than 0 do.
    pub(super) fn errors_only(&self) {
        (self.0)(EnvFilter::new("error"));
    }
}

/// Logs to standard error; `RUST_LOG` sets the level (default `info`).
pub(super) fn to_standard_error() -> Log {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_writer(|| LogWriter)
        .with_ansi(false)
        // Their own message would panic where standard error cannot be written.
        .log_internal_errors(false)
        .event_format(Plain)
        .with_env_filter(filter)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    let subscriber = builder.finish();
    // Fails if there is a subscriber already, which then gets the events.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Log(Box::new(move |filter| {
        // Fails only if the subscriber is gone.
        let _ = handle.reload(filter);
    }))
}

/// Formats an event as its message, with a prefix for other levels than `info`.
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        match *metadata.level() {
            Level::INFO => {}
            Level::WARN => write!(writer, "warning: ")?,
            Level::ERROR => write!(writer, "error: ")?,
            level => write!(writer, "{level} {}: ", metadata.target())?,
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
