use bert_qa::{Pretrained, QuestionAnswerer};
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
    let answers = args.answers.config()?.options(!args.must_answer);
    let server = Server::bind(args.listen, args.allow_remote, limits)?;
    let features = args.features.config();
    let (loaded, device) = load(&args.model, &args.device, &features)?;
    let Pretrained { model, assets, .. } = loaded;
    let answerer =
        QuestionAnswerer::new(model, assets.tokenizer, features.options(), answers, device)
            .with_precision(args.device.precision());
    let stop = StopFlag::default();
    signals::stop_on_signals(&stop)?;
    notice("serving a page to ask questions; Ctrl-C stops it:");
    trainer::print_result(&format!("http://{}\n", server.address()))?;
    server.run(&answerer, &args.model, &stop)
}
