//! `print`: items as RouterOS shows them.

use crate::ast::Arg;
use crate::error::Errors;
use crate::schema::Menu;
use crate::tree::Tree;

/// Rows that exist beside the configuration: addresses by DHCP, routes of other origin.
pub trait Rows {
    /// The rows of a menu, in order.
    fn rows(&self, menu: &str) -> Vec<Row>;
}

/// One such row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Flag letters: `D`, `DAc`.
    pub flags: String,
    /// Property name and text.
    pub values: Vec<(String, String)>,
}

/// No rows beside the configuration.
pub struct NoRows;

impl Rows for NoRows {
    fn rows(&self, _menu: &str) -> Vec<Row> {
        Vec::new()
    }
}

pub(crate) struct Options;

pub(crate) fn options(_menu: &'static Menu, _args: &[Arg]) -> Result<Options, Errors> {
    Ok(Options)
}

pub(crate) fn print(
    _tree: &Tree,
    _menu: &'static Menu,
    _options: &Options,
    _rows: &dyn Rows,
) -> Result<String, Errors> {
    Ok(String::new())
}
