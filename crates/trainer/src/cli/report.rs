use trainer::Error;

use super::args::Report;

/// Writes the page and says where it is.
pub(super) fn run(args: &Report) -> Result<(), Error> {
    let path = trainer::report(&args.run_dir, args.out.as_deref())?;
    println!("{}", path.display());
    Ok(())
}
