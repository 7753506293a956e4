use trainer::{Error, ServeLimits, Server, StopFlag};

use super::args::Serve;
use super::{load, notice, signals};

/// Serves until a signal stops it.
pub(super) fn run(args: &Serve) -> Result<(), Error> {
    args.device.run(|| serve(args))
}

fn serve(args: &Serve) -> Result<(), Error> {
    let limits = ServeLimits {
        max_body_bytes: args.max_body_bytes,
        max_questions: args.max_questions,
        max_queue: args.max_queue,
        max_rate: args.max_rate,
    };
    args.answers.check()?;
    let server = Server::bind(args.listen, args.allow_remote, limits)?;
    let loaded = load(&args.model, &args.device, &args.features, &args.answers)?;
    let options = loaded.options(args.must_answer);
    let answerer = loaded.answerer(options);
    let stop = StopFlag::default();
    signals::stop_on_signals(&stop)?;
    notice("serving a page to ask questions; Ctrl-C stops it:");
    trainer::print_result(&format!("http://{}\n", server.address()))?;
    server.run(&answerer, &args.model, &stop)
}
