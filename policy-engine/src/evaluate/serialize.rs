//! From Rust types to documents without a text between them: a third of the time of writing and parsing JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use regorus::Value;
use serde::Serialize;
use serde::ser::{self, Serializer};

use super::shapes::{SerializeEntries, SerializeFields};
use crate::wanted::Wanted;

/// Writes a value as `serde_json` would, as a document: of structs what is wanted, of all else everything.
#[derive(Clone, Copy)]
pub(super) struct ValueSerializer<'w>(pub(super) &'w Wanted);

/// Writes all of a value.
pub(super) const WHOLE: ValueSerializer<'static> = ValueSerializer(&Wanted::All);

/// What JSON cannot hold.
#[derive(Debug)]
pub(super) struct Unserialisable(pub(super) String);

impl fmt::Display for Unserialisable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unserialisable {}

impl ser::Error for Unserialisable {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl<'w> Serializer for ValueSerializer<'w> {
    type Ok = Value;
    type Error = Unserialisable;
    type SerializeSeq = SerializeItems;
    type SerializeTuple = SerializeItems;
    type SerializeTupleStruct = SerializeItems;
    type SerializeTupleVariant = SerializeItems;
    type SerializeMap = SerializeEntries;
    type SerializeStruct = SerializeFields<'w>;
    type SerializeStructVariant = SerializeFields<'w>;

    fn serialize_bool(self, value: bool) -> Result<Value, Unserialisable> {
        Ok(Value::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Value, Unserialisable> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<Value, Unserialisable> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<Value, Unserialisable> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<Value, Unserialisable> {
        // One number has one form, whatever type it had.
        Ok(u64::try_from(value).map_or_else(|_| Value::from(value), Value::from))
    }

    fn serialize_u8(self, value: u8) -> Result<Value, Unserialisable> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<Value, Unserialisable> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<Value, Unserialisable> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<Value, Unserialisable> {
        Ok(Value::from(value))
    }

    fn serialize_f32(self, value: f32) -> Result<Value, Unserialisable> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<Value, Unserialisable> {
        // What is not finite becomes null, as in JSON.
        Ok(Value::from(value))
    }

    fn serialize_char(self, value: char) -> Result<Value, Unserialisable> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Value, Unserialisable> {
        Ok(Value::from(value))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<Value, Unserialisable> {
        // Room for a time, an address or an identifier of ours, so that it is not made in several steps.
        let mut text = String::with_capacity(64);
        write!(text, "{value}").map_err(ser::Error::custom)?;
        Ok(Value::from(text))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, Unserialisable> {
        Ok(Value::from(value.iter().map(|byte| Value::from(u64::from(*byte))).collect::<Vec<_>>()))
    }

    fn serialize_none(self) -> Result<Value, Unserialisable> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Unserialisable> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Unserialisable> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Unserialisable> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Unserialisable> {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, Unserialisable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Unserialisable> {
        Ok(tagged(variant, value.serialize(WHOLE)?))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<SerializeItems, Unserialisable> {
        Ok(SerializeItems { items: Vec::with_capacity(length.unwrap_or(0).min(MAX_RESERVED)), variant: None })
    }

    fn serialize_tuple(self, length: usize) -> Result<SerializeItems, Unserialisable> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<SerializeItems, Unserialisable> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<SerializeItems, Unserialisable> {
        Ok(SerializeItems { variant: Some(variant), ..self.serialize_seq(Some(length))? })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<SerializeEntries, Unserialisable> {
        Ok(SerializeEntries::default())
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<SerializeFields<'w>, Unserialisable> {
        Ok(SerializeFields::begin(name, length, None, self.0))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<SerializeFields<'w>, Unserialisable> {
        Ok(SerializeFields::begin(name, length, Some(variant), &Wanted::All))
    }
}

/// What a length that was merely announced may reserve.
const MAX_RESERVED: usize = 1024;

/// A value under the name of its variant.
pub(super) fn tagged(variant: &'static str, value: Value) -> Value {
    Value::from(BTreeMap::from([(Value::from(variant), value)]))
}

/// An array in the making.
pub(super) struct SerializeItems {
    items: Vec<Value>,
    variant: Option<&'static str>,
}

impl SerializeItems {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserialisable> {
        self.items.push(value.serialize(WHOLE)?);
        Ok(())
    }

    fn finish(self) -> Value {
        let array = Value::from(self.items);
        match self.variant {
            Some(variant) => tagged(variant, array),
            None => array,
        }
    }
}

/// Declares the traits that differ in nothing but their names.
macro_rules! items {
    ($($trait:ident::$method:ident),+) => {$(
        impl ser::$trait for SerializeItems {
            type Ok = Value;
            type Error = Unserialisable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserialisable> {
                self.push(value)
            }

            fn end(self) -> Result<Value, Unserialisable> {
                Ok(self.finish())
            }
        }
    )+};
}

items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);
