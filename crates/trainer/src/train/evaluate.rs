use std::time::Instant;

use super::train_loop::TrainLoop;
use crate::Error;
use crate::distributed::evaluate_together;
use crate::logging::observer::{EvaluationReport, Observer};

impl TrainLoop<'_> {
    /// Scores the evaluation set, unless somebody asks to stop meanwhile.
    pub(super) fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let started = Instant::now();
        let model = self.engine.model(true)?.expect("it is wanted");
        let total = self.eval.features.len();
        let done = &mut |finished| observer.evaluating(finished, total);
        let (answers, with) = (&self.config.answers, (&*self.group, &self.stop));
        let evaluation = evaluate_together(&model, self.eval, answers, &self.device, with, done)?;
        let Some(evaluation) = evaluation else {
            return Ok(());
        };
        let is_best = self.plan.compare(&mut self.state, &evaluation.metrics)?;
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.run_dir.still_there()?;
            if is_best {
                checkpointer.save(&model, run_log::BEST_MODEL_DIR)?;
            }
        }
        self.state.evaluated_step = self.state.step;
        let report = EvaluationReport {
            step: self.state.step,
            epoch: self.state.epoch(),
            metrics: evaluation.metrics.clone(),
            best: self.state.best,
            seconds: started.elapsed().as_secs_f64(),
        };
        observer.evaluation(&report)?;
        self.evaluation = Some((report, evaluation));
        Ok(())
    }
}
