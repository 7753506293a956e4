//! Answers a question about a text file: `cargo run -- MODEL QUESTION FILE`.

use std::process::ExitCode;

use bert_qa::QuestionAnswerer;
use burn::tensor::Device;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, question, file] = arguments.as_slice() else {
        eprintln!("usage: ask MODEL QUESTION FILE (MODEL: a folder or owner/name on the Hub)");
        return ExitCode::from(2);
    };
    match ask(model, question, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(model: &str, question: &str, file: &str) -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let answerer = QuestionAnswerer::from_pretrained(model, &Device::default())?.with_top_k(3);
    for span in answerer.answer(question, &text)?.n_best {
        let (probability, chars) = (span.probability, span.chars);
        println!(
            "{probability:.3}  {}  [{}..{}]",
            span.text, chars.start, chars.end
        );
    }
    Ok(())
}
