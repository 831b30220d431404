//! Classic paging: `limit`, `offset`, `more`, `total`.

use axum::Json;
use serde_json::{Map, Value, json};

/// The page that a request asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(super) limit: usize,
    pub(super) offset: usize,
    /// Whether the answer counts all items.
    pub(super) total: bool,
}

impl Page {
    /// `{name: […], limit, offset, more, total}`; `total` is null unless it was asked for.
    pub(crate) fn answer(self, name: &str, items: Vec<Value>) -> Json<Value> {
        let total = if self.total { json!(items.len()) } else { Value::Null };
        let mut body = self.body(name, items);
        body.insert("total".into(), total);
        Json(Value::Object(body))
    }

    /// The same without `total`, which the shift-based endpoints do not have.
    pub(crate) fn answer_without_total(self, name: &str, items: Vec<Value>) -> Json<Value> {
        Json(Value::Object(self.body(name, items)))
    }

    fn body(self, name: &str, items: Vec<Value>) -> Map<String, Value> {
        let more = items.len() > self.offset + self.limit;
        let items = items.into_iter().skip(self.offset).take(self.limit).collect();
        let mut body = Map::new();
        body.insert(name.into(), Value::Array(items));
        body.insert("limit".into(), json!(self.limit));
        body.insert("offset".into(), json!(self.offset));
        body.insert("more".into(), json!(more));
        body
    }
}
