//! Objects for structs, made after objects that were made before.
//!
//! A struct has the same fields each time. So the first of its kind leaves a template behind, an object with its keys in
//! place; each later one is a copy of it whose values are set. No key is allocated or sorted twice, which halves the cost
//! of a document. Templates belong to a thread, as do their reference counts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;
use std::rc::Rc;

use regorus::Value;
use regorus::value::Object;
use serde::Serialize;
use serde::ser;

use super::serialize::{Unserialisable, ValueSerializer, WHOLE, tagged};
use crate::wanted::Wanted;

/// The most templates of one thread: more than there are structs in an input.
const MAX_SHAPES: usize = 64;

/// The object that a struct becomes, with its keys and without its values.
struct Shape {
    /// The fields in the order of the struct, each with its key.
    fields: Vec<(&'static str, Value)>,
    template: Object,
}

/// The name of a struct, by its address, and how many fields it writes.
type ShapeName = (usize, usize, usize);

thread_local! {
    /// So few that looking through them takes less than hashing a name.
    static SHAPES: RefCell<Vec<(ShapeName, Rc<Shape>)>> = const { RefCell::new(Vec::new()) };
}

impl Shape {
    fn known(name: ShapeName) -> Option<Rc<Self>> {
        let find = |shapes: &Vec<(ShapeName, Rc<Self>)>| shapes.iter().find(|(known, _)| *known == name).cloned();
        SHAPES.with_borrow(find).map(|(_, shape)| shape)
    }

    /// Leaves a template of these fields behind.
    fn learn(name: ShapeName, fields: &[(&'static str, Value)]) {
        let fields: Vec<_> = fields.iter().map(|(field, _)| (*field, Value::from(*field))).collect();
        let entries: BTreeMap<_, _> = fields.iter().map(|(_, key)| (key.clone(), Value::Null)).collect();
        if let Value::Object(template) = Value::from(entries) {
            let shape = Self { fields, template: Object::clone(&template) };
            SHAPES.with_borrow_mut(|shapes| {
                shapes.retain(|(known, _)| *known != name);
                if shapes.len() < MAX_SHAPES {
                    shapes.push((name, Rc::new(shape)));
                }
            });
        }
    }
}

/// An object of a struct in the making.
pub(super) struct SerializeFields<'w> {
    wanted: &'w Wanted,
    name: ShapeName,
    progress: Progress,
    variant: Option<&'static str>,
}

enum Progress {
    /// The fields have come in the order of the shape so far; so many are set.
    Known { shape: Rc<Shape>, object: Object, set: usize },
    /// The fields are collected.
    New(Vec<(&'static str, Value)>),
}

impl<'w> SerializeFields<'w> {
    pub(super) fn begin(name: &'static str, length: usize, variant: Option<&'static str>, wanted: &'w Wanted) -> Self {
        let name = (name.as_ptr().addr(), name.len(), length);
        let progress = match Shape::known(name) {
            Some(shape) => Progress::Known { object: shape.template.clone(), shape, set: 0 },
            None => Progress::New(Vec::new()),
        };
        Self { wanted, name, progress, variant }
    }

    fn set<T: Serialize + ?Sized>(&mut self, field: &'static str, value: &T) -> Result<(), Unserialisable> {
        let value = match self.wanted.field(field) {
            Some(wanted) => value.serialize(ValueSerializer(wanted))?,
            None => Value::Null,
        };
        match &mut self.progress {
            Progress::Known { shape, object, set } => {
                let expected = shape.fields.get(*set).filter(|(expected, _)| *expected == field);
                if expected.is_some() && value == Value::Null {
                    // As in the template.
                    *set += 1;
                } else if let Some(place) = expected.and_then(|(_, key)| object.get_mut(key)) {
                    *place = value;
                    *set += 1;
                } else {
                    let mut fields = take_fields(shape, object, *set);
                    fields.push((field, value));
                    self.progress = Progress::New(fields);
                }
            }
            Progress::New(fields) => fields.push((field, value)),
        }
        Ok(())
    }

    fn finish(self) -> Value {
        let value = match self.progress {
            Progress::Known { shape, object, set } if set == shape.fields.len() => object.into_value(),
            Progress::Known { shape, mut object, set } => object_of(take_fields(&shape, &mut object, set)),
            Progress::New(fields) => {
                Shape::learn(self.name, &fields);
                object_of(fields)
            }
        };
        match self.variant {
            Some(variant) => tagged(variant, value),
            None => value,
        }
    }
}

/// The first fields of an object that turns out to be of another shape.
fn take_fields(shape: &Shape, object: &mut Object, set: usize) -> Vec<(&'static str, Value)> {
    let taken = shape.fields.iter().take(set).filter_map(|(field, key)| {
        let value = object.get_mut(key)?;
        Some((*field, mem::replace(value, Value::Null)))
    });
    taken.collect()
}

fn object_of(fields: Vec<(&'static str, Value)>) -> Value {
    Value::from(fields.into_iter().map(|(field, value)| (Value::from(field), value)).collect::<BTreeMap<_, _>>())
}

/// Declares the traits that differ in nothing but their names.
macro_rules! fields {
    ($($trait:ident),+) => {$(
        impl ser::$trait for SerializeFields<'_> {
            type Ok = Value;
            type Error = Unserialisable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                field: &'static str,
                value: &T,
            ) -> Result<(), Unserialisable> {
                self.set(field, value)
            }

            fn end(self) -> Result<Value, Unserialisable> {
                Ok(self.finish())
            }
        }
    )+};
}

fields!(SerializeStruct, SerializeStructVariant);

/// An object of a map in the making: its keys are not known beforehand.
#[derive(Default)]
pub(super) struct SerializeEntries {
    entries: BTreeMap<Value, Value>,
    key: Option<Value>,
}

impl ser::SerializeMap for SerializeEntries {
    type Ok = Value;
    type Error = Unserialisable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unserialisable> {
        match key.serialize(WHOLE)? {
            text @ Value::String(_) => self.key = Some(text),
            _ => return Err(Unserialisable("a key that is no text".to_owned())),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserialisable> {
        let key = self.key.take().ok_or_else(|| Unserialisable("a value without a key".to_owned()))?;
        self.entries.insert(key, value.serialize(WHOLE)?);
        Ok(())
    }

    fn end(self) -> Result<Value, Unserialisable> {
        Ok(Value::from(self.entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Document;
    use serde::ser::SerializeStruct;

    /// A struct that leaves fields out, each time others.
    struct Partial(Vec<(&'static str, u8)>);

    impl Serialize for Partial {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut fields = serializer.serialize_struct("Partial", 2)?;
            for (field, value) in &self.0 {
                fields.serialize_field(field, value)?;
            }
            fields.end()
        }
    }

    #[test]
    fn a_struct_that_changes_its_fields_is_written_as_it_is_each_time() {
        let cases: [&[(&'static str, u8)]; 8] = [
            &[("b", 1), ("a", 2)],
            &[("b", 3), ("a", 4)],
            &[("b", 5), ("c", 6)],
            &[("b", 5)],
            &[],
            &[("c", 6), ("b", 5)],
            &[("c", 6), ("b", 5), ("a", 4)],
            &[("b", 1), ("a", 2)],
        ];
        for fields in cases {
            let expected: serde_json::Value = fields.iter().map(|(field, value)| (*field, *value)).collect();
            assert_eq!(Document::of(&Partial(fields.to_vec())).to_json(), expected, "{fields:?}");
        }
    }
}
