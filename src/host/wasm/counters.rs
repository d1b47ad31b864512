//! Counters by their names.

use std::cell::RefCell;
use std::collections::HashMap;

use log::warn;

use super::calls::{self, Status};

/// The counters that one worker has used so far.
#[derive(Default)]
pub struct Counters {
    ids: RefCell<HashMap<String, u32>>,
}

impl Counters {
    /// Adds one to the counter `name`. One that is used for the first time is defined then: most
    /// of those that there could be are never used.
    pub fn add(&self, name: &str) {
        if let Err(status) = self.id(name).and_then(calls::increment) {
            warn!("can't count {name}: {status:?}");
        }
    }

    fn id(&self, name: &str) -> Result<u32, Status> {
        if let Some(id) = self.ids.borrow().get(name) {
            return Ok(*id);
        }
        let id = calls::counter(name)?;
        self.ids.borrow_mut().insert(name.to_owned(), id);
        Ok(id)
    }
}
