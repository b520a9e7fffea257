//! Code as a value: what `do={ .. }` keeps and `[$f ..]` runs.

use std::sync::Arc;

use crate::ast::{Block, Expr};

/// A piece of code. It is shown as RouterOS lists code.
#[derive(Debug, PartialEq)]
pub(crate) struct Code {
    pub body: Body,
    /// Bytes of the text that it was made of while the script ran; 0 for what stands in the script itself.
    pub weight: usize,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Body {
    Block(Arc<Block>),
    /// `(>$x)`, `(>[ .. ])`
    Quoted(Expr),
}

impl Code {
    pub fn text(&self) -> String {
        match &self.body {
            Body::Block(block) => crate::listing::run(block),
            Body::Quoted(expr) => crate::listing::value(expr),
        }
    }
}
