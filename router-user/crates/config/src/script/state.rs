//! What a running script has: variables, and how much of time and memory is left.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::hook::Variables;
use super::host::Host;
use super::rights::Rights;
use super::value::Value;
use crate::error::Fault;
use crate::tree::ItemId;

/// How much a script may take. Whoever gives more depth gives it a larger stack too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps between two waits.
    pub steps: u64,
    /// Calls, blocks and expressions inside each other.
    pub depth: u32,
    /// Bytes of all its values.
    pub memory: usize,
}

impl Default for Limits {
    /// For a script that someone waits for, on a thread with the usual 2 MiB of stack.
    fn default() -> Limits {
        Limits { steps: 5_000_000, depth: 150, memory: 64 << 20 }
    }
}

/// The largest single value.
const MAX_VALUE: usize = 8 << 20;
/// New bytes after which all values are counted again.
const RECOUNT: usize = 8 << 20;
/// Bytes of new values that cost as much as a step.
const BYTES_PER_STEP: usize = 64;
/// Variables of the whole router.
const MAX_GLOBALS: usize = 10_000;

/// The variables that all scripts of a router share.
#[derive(Clone, Debug, Default)]
pub struct Globals(Arc<Mutex<BTreeMap<String, Value>>>);

impl Globals {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Value>) -> T) -> T {
        // A map of values is whole after every change, also one that ended in a panic.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn get(&self, name: &str) -> Value {
        self.with(|values| values.get(name).cloned().unwrap_or(Value::Nothing))
    }

    pub(crate) fn set(&self, name: &str, value: Value) -> Result<(), Fault> {
        self.with(|values| {
            if value == Value::Nothing {
                values.remove(name);
            } else if values.len() >= MAX_GLOBALS && !values.contains_key(name) {
                return Err(Fault::new("too many global variables"));
            } else {
                values.insert(name.to_owned(), value);
            }
            Ok(())
        })
    }

    /// Takes the value out, so that it can be changed without being copied.
    fn take(&self, name: &str) -> Value {
        self.with(|values| values.remove(name).unwrap_or(Value::Nothing))
    }

    /// Names and texts, for `/system script environment`.
    pub fn list(&self) -> Vec<(String, String)> {
        self.with(|values| values.iter().map(|(name, value)| (name.clone(), value.to_text())).collect())
    }

    /// Takes a variable away; tells whether it was there.
    pub fn remove(&self, name: &str) -> bool {
        self.with(|values| values.remove(name).is_some())
    }

    fn weight(&self) -> usize {
        self.with(|values| values.iter().map(|(name, value)| name.len() + value.weight()).sum())
    }
}

/// What a name means in a block.
#[derive(Clone, Debug)]
enum Binding {
    Local(Value),
    Global,
}

/// The blocks of one function, or of the script itself, that are at work.
type Frame = Vec<HashMap<String, Binding>>;

pub(crate) struct State<'h> {
    pub host: Box<dyn Host + 'h>,
    pub globals: Globals,
    pub limits: Limits,
    frames: Vec<Frame>,
    steps: u64,
    depth: u32,
    /// New bytes since all were counted.
    fresh: usize,
    /// Bytes of values that are being worked with and in no variable.
    pub held: usize,
    /// The limit that was hit, or why the script was ended from outside: no `on-error` holds that up.
    pub ended: bool,
    /// Blocks whose errors are caught.
    pub catching: u32,
    /// Commands act at once: what they refer to must be there.
    pub live: bool,
    /// Nothing outside is to be done: the script is only tried.
    pub trying: bool,
    pub rights: Rights,
    /// The item that a condition is tried on.
    pub item: Option<(&'static crate::schema::Menu, ItemId)>,
}

impl<'h> State<'h> {
    pub fn new(host: Box<dyn Host + 'h>, globals: Globals, limits: Limits) -> State<'h> {
        State {
            host,
            globals,
            limits,
            frames: vec![vec![HashMap::new()]],
            steps: limits.steps,
            depth: 0,
            fresh: 0,
            held: 0,
            ended: false,
            catching: 0,
            live: false,
            trying: false,
            rights: Rights::default(),
            item: None,
        }
    }

    fn end(&mut self, message: &str, hint: String) -> Fault {
        self.ended = true;
        Fault::new(message).hint(hint)
    }

    /// Takes steps off what is left.
    pub fn step(&mut self, count: u64) -> Result<(), Fault> {
        match self.steps.checked_sub(count) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => {
                self.steps = 0;
                let hint = format!("it took more than {} steps without a :delay", self.limits.steps);
                Err(self.end("script was ended: it runs too long", hint))
            }
        }
    }

    /// What is done by others takes their time.
    pub fn rested_outside(&mut self) {
        if self.host.rests() {
            self.rested();
        }
    }

    /// A script that waits may go on as long as one that begins.
    pub fn rested(&mut self) {
        self.steps = self.limits.steps;
    }

    pub fn enter(&mut self) -> Result<(), Fault> {
        if self.depth >= self.limits.depth {
            let hint = format!("at most {} levels of calls, blocks and brackets", self.limits.depth);
            return Err(self.end("script was ended: nested too deeply", hint));
        }
        self.depth += 1;
        Ok(())
    }

    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts a new value.
    pub fn made(&mut self, value: Value) -> Result<Value, Fault> {
        let weight = self.weigh(&value)?;
        if weight >= BYTES_PER_STEP {
            self.step(u64::try_from(weight / BYTES_PER_STEP).unwrap_or(u64::MAX))?;
        }
        self.fresh = self.fresh.saturating_add(weight);
        if self.fresh > RECOUNT {
            self.fresh = 0;
            let scopes = self.frames.iter().flatten();
            let locals: usize = scopes.flatten().map(|(name, bound)| name.len() + bound.weight()).sum();
            if locals.saturating_add(self.held).saturating_add(self.globals.weight()) > self.limits.memory {
                let hint = format!("all values may have {} MiB", self.limits.memory >> 20);
                return Err(self.end("script was ended: it needs too much memory", hint));
            }
        }
        Ok(value)
    }

    /// The size of a value, if it isn't too large.
    pub fn weigh(&mut self, value: &Value) -> Result<usize, Fault> {
        let weight = value.weight();
        if weight > MAX_VALUE {
            let hint = format!("no value may have more than {} MiB", MAX_VALUE >> 20);
            return Err(self.end("script was ended: it needs too much memory", hint));
        }
        Ok(weight)
    }

    pub fn open_block(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.push(HashMap::new());
        }
    }

    pub fn close_block(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.pop();
        }
    }

    /// A function sees its arguments and no variable of its caller.
    pub fn open_function(&mut self, args: Vec<(String, Value)>) {
        let bound = args.into_iter().map(|(name, value)| (name, Binding::Local(value)));
        self.frames.push(vec![bound.collect()]);
    }

    pub fn close_function(&mut self) {
        self.frames.pop();
    }

    /// What a script begins with.
    pub fn declare_all(&mut self, given: Variables) {
        for (name, value) in given.into_values() {
            self.declare_local(&name, value);
        }
    }

    fn scope(&mut self, name: &str) -> Option<&mut Binding> {
        self.frames.last_mut()?.iter_mut().rev().find_map(|scope| scope.get_mut(name))
    }

    pub fn is_declared(&self, name: &str) -> bool {
        self.frames.last().into_iter().flatten().any(|scope| scope.contains_key(name))
    }

    fn declare(&mut self, name: &str, binding: Binding) {
        if let Some(scope) = self.frames.last_mut().and_then(|frame| frame.last_mut()) {
            scope.insert(name.to_owned(), binding);
        }
    }

    pub fn declare_local(&mut self, name: &str, value: Value) {
        self.declare(name, Binding::Local(value));
    }

    /// Makes the router's variable of this name visible, with a new value if one is given.
    pub fn declare_global(&mut self, name: &str, value: Option<Value>) -> Result<(), Fault> {
        self.declare(name, Binding::Global);
        match value {
            Some(value) => self.globals.set(name, value),
            None => Ok(()),
        }
    }

    /// A name that was declared nowhere is nothing.
    pub fn get(&mut self, name: &str) -> Value {
        match self.scope(name) {
            Some(Binding::Local(value)) => value.clone(),
            Some(Binding::Global) => self.globals.get(name),
            None => Value::Nothing,
        }
    }

    pub fn set(&mut self, name: &str, value: Value) -> Result<(), Fault> {
        match self.scope(name) {
            Some(Binding::Local(place)) => {
                *place = value;
                Ok(())
            }
            Some(Binding::Global) => self.globals.set(name, value),
            None => Err(Fault::new("syntax error").hint(format!("the variable {name} is not declared"))),
        }
    }

    /// Changes a variable in place: its value is not shared while it is changed.
    pub fn change(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Value) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let global = match self.scope(name) {
            Some(Binding::Local(place)) => return change(place),
            Some(Binding::Global) => self.globals.clone(),
            None => {
                return Err(Fault::new("syntax error").hint(format!("the variable {name} is not declared")));
            }
        };
        let mut value = global.take(name);
        let changed = change(&mut value);
        global.set(name, value)?;
        changed
    }

    /// All variables that can be seen, for `:environment print`.
    pub fn visible(&self) -> Vec<(String, Value)> {
        let mut all = BTreeMap::new();
        for (name, bound) in self.frames.last().into_iter().flatten().flatten() {
            let value = match bound {
                Binding::Local(value) => value.clone(),
                Binding::Global => self.globals.get(name),
            };
            all.insert(name.clone(), value);
        }
        all.into_iter().collect()
    }
}

impl Binding {
    fn weight(&self) -> usize {
        match self {
            Binding::Local(value) => value.weight(),
            Binding::Global => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::Nowhere;
    use super::*;

    #[test]
    fn a_function_sees_no_variable_of_its_caller_and_globals_only_when_declared() {
        let mut state = State::new(Box::new(Nowhere::default()), Globals::default(), Limits::default());
        state.declare_local("a", Value::Num(1));
        state.declare_global("g", Some(Value::Num(2))).unwrap();
        state.open_function(vec![("1".into(), Value::Num(3))]);
        assert_eq!(state.get("a"), Value::Nothing);
        assert_eq!(state.get("g"), Value::Nothing);
        assert_eq!(state.get("1"), Value::Num(3));
        assert!(state.set("g", Value::Num(5)).is_err());
        state.declare_global("g", None).unwrap();
        assert_eq!(state.get("g"), Value::Num(2));
        state.close_function();
        assert_eq!(state.get("a"), Value::Num(1));
    }

    #[test]
    fn a_block_hides_and_gives_back() {
        let mut state = State::new(Box::new(Nowhere::default()), Globals::default(), Limits::default());
        state.declare_local("a", Value::Num(1));
        state.open_block();
        state.set("a", Value::Num(2)).unwrap();
        state.declare_local("a", Value::Num(3));
        assert_eq!(state.get("a"), Value::Num(3));
        state.close_block();
        assert_eq!(state.get("a"), Value::Num(2));
    }

    #[test]
    fn globals_outlive_a_script_and_go_when_they_are_nothing() {
        let globals = Globals::default();
        globals.set("x", Value::Num(1)).unwrap();
        assert_eq!(globals.list(), [("x".to_owned(), "1".to_owned())]);
        globals.set("x", Value::Nothing).unwrap();
        assert!(globals.list().is_empty());
    }
}
