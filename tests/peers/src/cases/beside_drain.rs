use crate::{options::Options, report::Table};
pub(crate) fn run(_: &Options, _: &mut Table) -> anyhow::Result<()> {
    Ok(())
}
