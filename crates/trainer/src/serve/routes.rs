//! What each path answers.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde_json::json;

use super::http::{Request, Response};
use super::questions::Questions;
use super::{MAX_CHARACTERS, Shared};
use crate::predict::answer_object;

/// How long a request may wait for its answers.
const ANSWER_TIME: Duration = Duration::from_secs(120);

impl Shared {
    /// The response to a request from the address `peer`.
    pub(super) fn respond(&self, request: &Request, peer: IpAddr) -> Response {
        if !self.is_for_this_server(request) {
            return Response::error(421, "the Host header names another server");
        }
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let is_within_rate = rates.allows(peer, Instant::now());
        drop(rates);
        if !is_within_rate {
            let rate = self.limits.max_rate;
            return Response::error(429, format!("more than {rate} requests per second"))
                .header("Retry-After", 1);
        }
        match (request.path.as_str(), request.method.as_str()) {
            ("/", "GET" | "HEAD") => Response::new("text/html", include_str!("page.html")),
            ("/page.css", "GET" | "HEAD") => Response::new("text/css", include_str!("page.css")),
            ("/page.js", "GET" | "HEAD") => {
                Response::new("text/javascript", include_str!("page.js"))
            }
            ("/info", "GET" | "HEAD") => Response::json(&self.info),
            ("/", "POST") => self.answer(request),
            ("/", _) => Response::error(405, "GET gives the page, POST answers")
                .header("Allow", "GET, HEAD, POST"),
            ("/page.css" | "/page.js" | "/info", _) => {
                Response::error(405, "only GET").header("Allow", "GET, HEAD")
            }
            _ => Response::error(404, "there are /, /info, /page.css and /page.js"),
        }
    }

    /// Whether the Host header names this server. On a loopback address other names are refused: a page of another site may
    /// reach it under a name of its own (DNS rebinding).
    fn is_for_this_server(&self, request: &Request) -> bool {
        let Some(host) = &request.host else {
            return true;
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        !self.is_local
            || name.eq_ignore_ascii_case("localhost")
            || literal.parse::<IpAddr>().is_ok()
    }

    fn answer(&self, request: &Request) -> Response {
        // Pages of other sites may send other types without a CORS preflight.
        let essence = request.content_type.as_deref().unwrap_or_default();
        let essence = essence.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Response::error(
                415,
                "the body must be JSON, with Content-Type: application/json",
            );
        }
        let limits = &self.limits;
        let questions = match Questions::parse(&request.body, limits.max_questions, MAX_CHARACTERS)
        {
            Ok(questions) => questions,
            Err((status, message)) => return Response::error(status, message),
        };
        let asked: Vec<String> = questions
            .examples
            .iter()
            .map(|example| example.question.clone())
            .collect();
        let Some(pending) = self.queue.push(questions.examples, questions.characters) else {
            return Response::error(503, "too many requests wait: try again")
                .header("Retry-After", 1);
        };
        let Some(answers) = pending.wait(ANSWER_TIME) else {
            let seconds = ANSWER_TIME.as_secs();
            return Response::error(503, format!("no answer in {seconds} s: ask less at once"))
                .header("Retry-After", 10);
        };
        match answers {
            Ok(predictions) => {
                let answers = asked
                    .iter()
                    .zip(&predictions)
                    .map(|(question, prediction)| {
                        let mut object = answer_object(prediction, questions.top_k);
                        object["question"] = question.as_str().into();
                        object
                    });
                let answers: Vec<_> = answers.collect();
                Response::json(&json!({ "model": self.info["model"], "answers": answers }))
            }
            Err(error @ (bert_qa::Error::Data(_) | bert_qa::Error::Question { .. })) => {
                Response::error(422, error.to_string())
            }
            Err(error) => Response::error(500, error.to_string()),
        }
    }
}
