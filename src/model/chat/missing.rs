//! A name that nothing defines. Templates may test for it, as for Jinja's `undefined`; one that prints it
//! would leave a gap where the model saw a token, and is told on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, Value};

/// The first such name that a rendering prints.
#[derive(Debug, Default)]
pub(super) struct Printed(Mutex<Option<String>>);

impl Printed {
    fn note(&self, name: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| name.to_owned());
    }

    pub(super) fn first(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What stands for the name.
#[derive(Debug)]
pub(super) struct Missing {
    name: String,
    printed: Arc<Printed>,
}

impl Missing {
    pub(super) fn value(name: &str, printed: &Arc<Printed>) -> Value {
        Value::from_object(Self { name: name.to_owned(), printed: Arc::clone(printed) })
    }
}

/// Whether a value is defined as far as a template can tell.
pub(super) fn is_defined(value: &Value) -> bool {
    !value.is_undefined() && value.downcast_object_ref::<Missing>().is_none()
}

impl Object for Missing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        let reason = format!("nothing defines `{}`", self.name);
        Some(Value::from(Error::new(ErrorKind::UndefinedError, reason)))
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.printed.note(&self.name);
        Ok(())
    }
}
