//! Arrays: values in order, and values under names. Names are sorted, as RouterOS shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::value::{Value, count};
use crate::error::Fault;

/// Arrays inside arrays. Everything that walks through a value counts on it.
const MAX_DEPTH: u32 = 64;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Array {
    list: Vec<Value>,
    named: BTreeMap<Arc<[u8]>, Value>,
    weight: usize,
    depth: u32,
}

impl Array {
    pub fn len(&self) -> usize {
        self.list.len() + self.named.len()
    }

    pub fn list(&self) -> &[Value] {
        &self.list
    }

    pub fn named(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Value)> {
        self.named.iter()
    }

    pub fn has_names(&self) -> bool {
        !self.named.is_empty()
    }

    pub fn weight(&self) -> usize {
        self.weight
    }

    pub fn depth(&self) -> u32 {
        self.depth.max(1)
    }

    /// The values of the list, then those under names.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.list.iter().chain(self.named.values())
    }

    /// Each value with its position or its name.
    pub fn entries(&self) -> impl Iterator<Item = (Value, &Value)> {
        let list = self.list.iter().enumerate().map(|(n, value)| (count(n), value));
        list.chain(self.named.iter().map(|(key, value)| (Value::Str(Arc::clone(key)), value)))
    }

    /// What `->` reads; None where nothing is.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        match key {
            Value::Num(n) => self.list.get(usize::try_from(*n).ok()?),
            other => self.named.get(&other.to_bytes()),
        }
    }

    /// Takes a value out and leaves nothing in its place.
    pub fn take(&mut self, key: &Value) -> Value {
        let place = match key {
            Value::Num(n) => usize::try_from(*n).ok().and_then(|at| self.list.get_mut(at)),
            other => self.named.get_mut(&other.to_bytes()),
        };
        let Some(place) = place else { return Value::Nothing };
        let taken = std::mem::replace(place, Value::Nothing);
        let lost = taken.weight().saturating_sub(Value::Nothing.weight());
        self.weight = self.weight.saturating_sub(lost);
        taken
    }

    pub fn push(&mut self, value: Value) {
        self.grow(&value);
        self.list.push(value);
    }

    /// What `:set ($a->key) value` does. A position behind the end fills up with nothing.
    pub fn set(&mut self, key: &Value, value: Value) -> Result<(), Fault> {
        if value.depth() + 1 > MAX_DEPTH {
            return Err(Fault::new("arrays are nested too deeply"));
        }
        match key {
            Value::Num(n) => {
                let Some(at) = usize::try_from(*n).ok().filter(|at| *at < super::MAX_ELEMENTS) else {
                    return Err(Fault::new(format!("array index {n} out of range")));
                };
                while self.list.len() <= at {
                    self.push(Value::Nothing);
                }
                self.grow(&value);
                if let Some(place) = self.list.get_mut(at) {
                    self.weight = self.weight.saturating_sub(place.weight());
                    *place = value;
                }
            }
            other => self.insert(other.to_bytes(), value),
        }
        Ok(())
    }

    pub fn insert(&mut self, key: Arc<[u8]>, value: Value) {
        self.grow(&value);
        let length = key.len();
        match self.named.insert(key, value) {
            Some(old) => self.weight = self.weight.saturating_sub(old.weight()),
            None => self.weight = self.weight.saturating_add(length).saturating_add(24),
        }
    }

    /// What `:set ($a->key)` without a value does.
    pub fn remove(&mut self, key: &Value) {
        let old = match key {
            Value::Num(n) => match usize::try_from(*n) {
                Ok(at) if at < self.list.len() => Some(self.list.remove(at)),
                _ => None,
            },
            other => self.named.remove(&other.to_bytes()),
        };
        self.weight = self.weight.saturating_sub(old.map_or(0, |old| old.weight()));
    }

    /// Another array's values behind these; its names win.
    pub fn append(&mut self, other: &Array) {
        for value in &other.list {
            self.push(value.clone());
        }
        for (key, value) in &other.named {
            self.insert(Arc::clone(key), value.clone());
        }
    }

    /// Each value changed, in place and under its name.
    pub fn map(&self, change: impl Fn(&Value) -> Result<Value, Fault>) -> Result<Array, Fault> {
        let mut array = self.list.iter().map(&change).collect::<Result<Array, Fault>>()?;
        for (key, value) in &self.named {
            array.insert(Arc::clone(key), change(value)?);
        }
        Ok(array)
    }

    /// `1;2;a=3`; inner arrays without any mark of their own.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut first = true;
        for value in &self.list {
            separate(&mut first, out);
            value.write(out);
        }
        for (key, value) in &self.named {
            separate(&mut first, out);
            out.extend_from_slice(key);
            out.push(b'=');
            value.write(out);
        }
    }

    fn grow(&mut self, value: &Value) {
        self.weight = self.weight.saturating_add(value.weight());
        self.depth = self.depth.max(value.depth() + 1);
    }

    /// Refuses what is nested too deeply to be walked through.
    pub fn checked(self) -> Result<Array, Fault> {
        if self.depth > MAX_DEPTH {
            return Err(Fault::new("arrays are nested too deeply"));
        }
        Ok(self)
    }
}

fn separate(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b';');
    }
}

impl FromIterator<Value> for Array {
    fn from_iter<T: IntoIterator<Item = Value>>(values: T) -> Array {
        let mut array = Array::default();
        values.into_iter().for_each(|value| array.push(value));
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_order_and_names_are_sorted_behind_them() {
        let mut array: Array = [Value::Num(1), Value::str("x")].into_iter().collect();
        array.set(&Value::str("b"), Value::Num(2)).unwrap();
        array.set(&Value::str("a"), Value::Num(3)).unwrap();
        assert_eq!(Value::array(array.clone()).to_text(), "1;x;a=3;b=2");
        assert_eq!(array.len(), 4);
        assert_eq!(array.get(&Value::Num(1)), Some(&Value::str("x")));
        assert_eq!(array.get(&Value::str("a")), Some(&Value::Num(3)));
        assert_eq!(array.get(&Value::Num(2)), None);
        array.remove(&Value::str("b"));
        array.remove(&Value::Num(0));
        assert_eq!(Value::array(array).to_text(), "x;a=3");
    }

    #[test]
    fn what_is_replaced_weighs_no_more() {
        let mut array = Array::default();
        array.set(&Value::str("k"), Value::str(&"x".repeat(1000))).unwrap();
        array.set(&Value::str("k"), Value::Num(1)).unwrap();
        array.set(&Value::Num(0), Value::str(&"x".repeat(1000))).unwrap();
        array.set(&Value::Num(0), Value::Num(1)).unwrap();
        assert!(array.weight() < 200, "{}", array.weight());
    }

    #[test]
    fn a_position_far_behind_the_end_is_refused() {
        let mut array = Array::default();
        assert!(array.set(&Value::Num(i64::MAX), Value::Num(1)).is_err());
        assert!(array.set(&Value::Num(-1), Value::Num(1)).is_err());
        array.set(&Value::Num(2), Value::Num(1)).unwrap();
        assert_eq!(array.len(), 3);
    }

    #[test]
    fn arrays_in_arrays_end_somewhere() {
        let mut value = Value::list([]);
        for _ in 0..100 {
            match Array::from_iter([value.clone()]).checked() {
                Ok(array) => value = Value::array(array),
                Err(_) => return,
            }
        }
        panic!("100 levels were taken");
    }
}
