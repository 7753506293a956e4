use crate::Error;
use crate::logging::observer::{EpochReport, EvaluationReport, Observer, StepReport};

/// A closure that is told one kind of report.
pub(crate) struct OnStep<F>(pub(crate) F);
pub(crate) struct OnEvaluation<F>(pub(crate) F);
pub(crate) struct OnEpoch<F>(pub(crate) F);

impl<F: FnMut(&StepReport) + Send> Observer for OnStep<F> {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        (self.0)(report);
        Ok(())
    }
}

impl<F: FnMut(&EvaluationReport) + Send> Observer for OnEvaluation<F> {
    fn evaluation(&mut self, report: &EvaluationReport) -> Result<(), Error> {
        (self.0)(report);
        Ok(())
    }
}

impl<F: FnMut(&EpochReport) + Send> Observer for OnEpoch<F> {
    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        (self.0)(report);
        Ok(())
    }
}
